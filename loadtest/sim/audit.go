package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
)

// auditor compares what stands in Kafka, in the lake and in Glue with what producers were told, once everything is at
// rest. Rows and lines are read by parquet-go's own reader and encoding/json, not by what wrote them.
type auditor struct {
	w       *World
	stats   Stats
	records map[place]*kgo.Record
	ids     map[string][]place
	letters map[place]bool
	rows    map[place][]row
	chains  map[int32][]*flush.Manifest // of each partition, from its first flush of this era on
}

// audit judges this era; what it finds are violations.
func (w *World) audit() {
	a := &auditor{
		w: w, records: map[place]*kgo.Record{}, ids: map[string][]place{}, letters: map[place]bool{},
		rows: map[place][]row{}, chains: map[int32][]*flush.Manifest{},
	}
	for _, check := range []struct {
		name string
		do   func() error
	}{
		{"read the events", a.readEvents},
		{"read the dead letters", a.readLetters},
		{"ledger", a.ledger},
		{"A chains", a.chainsTile},
		{"B table", a.table},
		{"B raw copy", a.rawCopy},
		{"B rejected", a.rejectedTopic},
		{"D Glue", a.glue},
		{"E notifications", a.notifications},
		{"F uploads", a.uploads},
		{"G gate", a.gate},
		{"H files", a.files},
		{"I lanes", a.lanes},
	} {
		if err := check.do(); err != nil {
			w.violation("audit, %s: %v", check.name, err)
		}
	}
	w.stats.add(a.stats)
}

func (a *auditor) readEvents() error {
	list, err := a.w.readTopic(topicEvents, a.w.shape.Partitions)
	for _, r := range list {
		p := place{r.Partition, r.Offset}
		if p.offset < a.w.era.from[p.partition].Low {
			continue
		}
		id := idOf(r)
		a.ids[id] = append(a.ids[id], p)
		if e := a.w.ledger.sent[id]; e == nil || !e.passed {
			a.records[p] = r
		}
	}
	a.stats.Events = len(a.records)
	return err
}

// idOf is the id under which the ledger knows a record.
func idOf(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == headerID {
			return string(h.Value)
		}
	}
	var ev struct {
		MessageID string `json:"messageId"`
	}
	_ = json.Unmarshal(r.Value, &ev) // the gateway lets nothing else through
	return ev.MessageID
}

// ledger: what was acknowledged is in Kafka once, what was refused is not, and nothing is there that nobody sent.
func (a *auditor) ledger() error {
	for id, e := range a.w.ledger.sent {
		n := len(a.ids[id])
		switch {
		case n > 1:
			a.w.violation("event %s stands in Kafka %d times: %v", id, n, a.ids[id])
		case e.outcome == acknowledged && n == 0:
			a.w.violation("event %s was acknowledged and is not in Kafka", id)
		case e.outcome == refused && n > 0:
			a.w.violation("event %s was refused and is in Kafka at %v", id, a.ids[id])
		}
		if e.outcome == acknowledged {
			a.stats.Acknowledged++
		}
	}
	for id, at := range a.ids {
		if a.w.ledger.sent[id] == nil {
			a.w.violation("Kafka holds %q at %v, which nobody sent", id, at)
		}
	}
	return nil
}

// isLetter tells whether the record at p must be a dead letter.
func (a *auditor) isLetter(p place) bool {
	e := a.w.ledger.sent[idOf(a.records[p])]
	return e != nil && e.letter
}

func (a *auditor) readLetters() error {
	list, err := a.w.readTopic(topicLetters, a.w.shape.Partitions)
	for _, r := range a.w.era.since(list) {
		h := map[string]string{}
		for _, x := range r.Headers {
			h[x.Key] = string(x.Value)
		}
		var p place
		if _, err := fmt.Sscan(h["weir-dlq-partition"], &p.partition); err != nil {
			return fmt.Errorf("a dead letter without its partition: %w", err)
		}
		if _, err := fmt.Sscan(h["weir-dlq-offset"], &p.offset); err != nil {
			return fmt.Errorf("a dead letter without its offset: %w", err)
		}
		if p.offset < a.w.era.from[p.partition].Low { // told again
			continue
		}
		of := a.records[p]
		if of == nil || !bytes.Equal(of.Value, r.Value) || !bytes.Equal(of.Key, r.Key) {
			a.w.violation("the dead letter of %s is not the record that stands there", p)
		}
		a.letters[p] = true // it may be there again: readers know it by its place
	}
	a.stats.DeadLetters = len(a.letters)
	return err
}

// chainsTile is check A: the flushes of a partition follow each other without a gap from the era's begin, mostly seq 1,
// to what is committed, and what they hold tiles the log: every record stands in one file of each table, or is a dead letter, once.
func (a *auditor) chainsTile() error {
	for p := range a.w.shape.Partitions {
		s, err := a.w.committed(p)
		if err != nil {
			return err
		}
		if s.Phase != flush.Done {
			a.w.violation("partition %d ends with an intent: %s", p, s.Metadata())
		}
		chain, err := a.chain(a.w.era.from[p], s)
		if err != nil {
			a.w.violation("partition %d: %v", p, err)
			continue
		}
		a.chains[p] = chain
		a.stats.Flushes += len(chain)
		a.tile(p, s, chain)
	}
	return nil
}

func (a *auditor) chain(from, s flush.State) ([]*flush.Manifest, error) {
	var chain []*flush.Manifest
	key := s.Manifest
	for seq := s.Seq; seq > from.Seq; seq-- {
		m := a.w.watch.manifestOf(key)
		if m == nil || m.Seq != seq {
			return nil, fmt.Errorf("flush %d is named %q, and there is no such manifest", seq, key)
		}
		chain = append(chain, m)
		key = m.Predecessor
	}
	if key != from.Manifest {
		return nil, fmt.Errorf("flush %d follows %q instead of %q", from.Seq+1, key, from.Manifest)
	}
	slices.Reverse(chain)
	return chain, nil
}

func (a *auditor) tile(p int32, s flush.State, chain []*flush.Manifest) {
	tables := map[string]*flush.Offsets{lake.EventLogsName: {}, lake.EventLogsRawName: {}}
	letters, low := &flush.Offsets{}, a.w.era.from[p].Low
	for _, m := range chain {
		if m.Low != low {
			a.w.violation("partition %d: flush %d begins at %d, the one before ends at %d", p, m.Seq, m.Low, low)
		}
		low = m.NextLow
		for i := range m.Files {
			f := &m.Files[i]
			if n := tables[f.Table].Common(f.Offsets); n > 0 {
				a.w.violation("partition %d: %d offsets of %s were flushed before", p, n, f.Key)
			}
			tables[f.Table].Or(f.Offsets)
			a.stats.Files++
		}
		for _, d := range m.DeadLetters {
			letters.Add(d.Offset)
		}
	}
	if s.Low != low {
		a.w.violation("partition %d: %d is committed, its last flush ends at %d", p, s.Low, low)
	}
	for at := range a.records {
		if at.partition != p {
			continue
		}
		for name, flushed := range tables {
			if at.offset < low && flushed.Contains(at.offset) == letters.Contains(at.offset) {
				a.w.violation("record %s: in the manifests' files of %s %v, their dead letter %v", at, name, flushed.Contains(at.offset), letters.Contains(at.offset))
			}
		}
	}
}

// rejectedTopic: what the gateway refused, and said so, stands in the topic for that.
func (a *auditor) rejectedTopic() error {
	list, err := a.w.readTopic(topicRejected, a.w.shape.Partitions)
	there := map[string]bool{}
	for _, r := range list {
		there[idOf(r)] = true
	}
	for id, e := range a.w.ledger.sent {
		if e.aside && !there[id] {
			a.w.violation("event %s was rejected, and is not in %s", id, topicRejected)
		}
	}
	return err
}

// glue is check D: what readers of the catalog find is what is published.
func (a *auditor) glue() error {
	ctx := context.Background()
	c, err := glue.Open(ctx, a.w.glueConfig(a.w.newLink("auditor", "auditor", 1)), nil)
	if err != nil {
		return err
	}
	for _, t := range []lake.Table{lake.EventLogs(), lake.EventLogsRaw(a.w.shape.RawCodec)} {
		want := map[string]bool{}
		for _, o := range a.w.bucket.Objects() {
			key, _ := a.w.location().Rel(o.Key)
			if strings.HasPrefix(key, t.Dir+"/") {
				want[a.w.location().URL(key[:strings.LastIndexByte(key, '/')+1])] = true
			}
		}
		got := map[string]bool{}
		for p, err := range c.Partitions(ctx, database, t.Name, glue.Filter{ExcludeColumns: true}) {
			if err != nil {
				return err
			}
			got[strings.TrimSuffix(p.Location, "/")+"/"] = true
		}
		if !maps.Equal(want, got) {
			a.w.violation("Glue's table %s has the partitions %v, the lake %v", t.Name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
	return nil
}

// notifications is check E at the catalog's door: each flush was told, in order, before the next, and no other.
func (a *auditor) notifications() error {
	list, err := a.w.readTopic(topicFlushes, 1)
	if err != nil {
		return err
	}
	told := map[int32]uint64{}
	for p, s := range a.w.era.from {
		told[p] = s.Seq
	}
	for _, r := range a.w.era.since(list) {
		n, err := codec.DecodeCommitted(r.Value)
		if err != nil {
			return err
		}
		chain, from := a.chains[n.Partition], a.w.era.from[n.Partition]
		switch {
		case n.Seq == from.Seq && n.Manifest == from.Manifest && from.Seq > 0: // told again
		case n.Seq <= from.Seq || n.Seq > from.Seq+uint64(len(chain)) || chain[n.Seq-from.Seq-1].Key != n.Manifest:
			a.w.violation("partition %d: a notification names %s as flush %d, which was not decided", n.Partition, n.Manifest, n.Seq)
		case n.Seq > told[n.Partition]+1:
			a.w.violation("partition %d: flush %d was told before flush %d", n.Partition, n.Seq, told[n.Partition]+1)
		}
		told[n.Partition] = max(told[n.Partition], n.Seq)
	}
	for p, chain := range a.chains {
		if want := a.w.era.from[p].Seq + uint64(len(chain)); told[p] != want {
			a.w.violation("partition %d: %d of %d flushes were told", p, told[p], want)
		}
	}
	return nil
}

// uploads is check F: every upload that is left belongs to something that could not clean up. A probe of the store that
// is cut short by the end of its process leaves a few bytes under its one key.
func (a *auditor) uploads() error {
	for _, u := range a.w.bucket.Uploads() {
		if !a.w.watch.excused(u) && !strings.Contains(u.Key, "/_weir/probe/") {
			a.w.violation("upload %s of %s is left behind by a process that could have aborted it", u.ID, u.Key)
		}
	}
	return nil
}

// gate is check G: what the catalog has let pass is what the group has committed, and no alarm stands.
func (a *auditor) gate() error {
	key := a.w.location().Key(lake.GateKey(database, lake.TopicID(a.w.topicID(topicEvents))))
	o, ok := a.w.bucket.Object(key)
	if !ok {
		return fmt.Errorf("there is no %s", key)
	}
	g, err := codec.DecodeGate(o.Body)
	if err != nil {
		return err
	}
	for p := range a.w.shape.Partitions {
		s, err := a.w.committed(p)
		if err != nil {
			return err
		}
		if m := g.Marks[p]; m.Alarm != "" || m.Seq != s.Seq || m.Manifest != s.Manifest || m.Low != s.Low {
			a.w.violation("partition %d: the gate stands at %+v, the group at %d %s", p, m, s.Low, s.Metadata())
		}
	}
	return nil
}
