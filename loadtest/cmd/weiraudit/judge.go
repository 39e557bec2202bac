package main

import (
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"weir/loadtest/audit"
	"weir/loadtest/chaos/record"
)

// fate is what an event's producer knows of it.
type fate struct {
	outcome record.Outcome // never Sent: that is indeterminate
	letter  bool
	at      int64 // when the outcome was known, Unix ms
}

// row is an event as the table holds it.
type row struct {
	id   record.ID
	ours bool   // it is of this run
	key  string // the object
	sum  string // the mark's
	want string // the sum of the row's own columns
}

// evidence is everything that was read.
type evidence struct {
	run     record.Run
	fates   map[record.ID]fate
	state   audit.State
	table   []row
	objects []string // keys of both tables
	seen    []record.Seen
	actions []record.Action
	glue    map[string]bool // table/sourceid=…/dt=… that Glue shows; nil: not asked
}

// findings collects faults by kind, and keeps the first few of each.
type findings map[string]*record.Finding

func (f findings) add(kind, what string) {
	const most = 5
	found := f[kind]
	if found == nil {
		found = &record.Finding{Kind: kind}
		f[kind] = found
	}
	found.Count++
	if len(found.First) < most {
		found.First = append(found.First, what)
	}
}

// judge counts by loadtest/audit and adds what a ledger and a clock know beside it.
func judge(e evidence) record.Verdict {
	f := findings{}
	counted := audit.Judge(e.state)
	v := record.Verdict{
		InKafka: int64(counted.Records), InTable: int64(len(e.table)),
		DeadLetters: int64(counted.DeadLetters), DeadLettersRepeated: int64(counted.DeadLettersRepeated),
		Missing: int64(len(counted.MissingInTable) + len(counted.MissingInRaw) + len(counted.LostAcknowledged)),
		Doubled: int64(len(counted.DoubledInTable) + len(counted.DoubledInRaw) + len(counted.DoubledInKafka)),
	}
	for _, n := range e.state.Lake.Raw {
		v.InRaw += int64(n)
	}
	addCounted(f, counted)
	e.judgeFates(f, &v)
	e.judgeTable(f, &v)
	e.judgeSeen(f)
	e.judgeGlue(f, &v)
	e.measure(&v)
	for _, kind := range slices.Sorted(maps.Keys(f)) {
		v.FaultList = append(v.FaultList, *f[kind])
		v.Faults += f[kind].Count
	}
	v.OK = v.Faults == 0
	return v
}

// addCounted names what was counted.
func addCounted(f findings, v audit.Verdict) {
	for kind, found := range map[string][]audit.Place{
		"missing in the table": v.MissingInTable, "doubled in the table": v.DoubledInTable,
		"in the table and not in Kafka": v.UnknownInTable, "wrong in the table": v.WrongInTable,
		"missing in the raw copy": v.MissingInRaw, "doubled in the raw copy": v.DoubledInRaw,
		"wrong dead letters": v.WrongDeadLetters,
	} {
		for _, p := range found {
			f.add(kind, p.String())
		}
	}
	for kind, found := range map[string][]string{
		"acknowledged and not in Kafka": v.LostAcknowledged, "sent once and in Kafka twice": v.DoubledInKafka,
		"rejected and in Kafka": v.RejectedInKafka,
	} {
		for _, id := range found {
			f.add(kind, id)
		}
	}
	for range v.UnknownInRaw {
		f.add("in the raw copy and not in Kafka", "")
	}
	for range v.Beyond { // a run is shorter than any retention
		f.add("in the table and no longer in Kafka", "")
	}
}

// sent is what the producers know, in the words of loadtest/audit.
func sent(run record.Run, fates map[record.ID]fate) (s audit.Sent) {
	for id, told := range fates {
		switch text := id.Text(run.ID); told.outcome {
		case record.Acked:
			s.Acknowledged = append(s.Acknowledged, text)
		case record.Rejected:
			s.Rejected = append(s.Rejected, text)
		default:
			s.Indeterminate = append(s.Indeterminate, text)
		}
	}
	return s
}

// judgeFates counts what producers were told. Kafka holds nothing that no ledger knows, and what was made to be no
// event must not be taken for one.
func (e evidence) judgeFates(f findings, v *record.Verdict) {
	for _, told := range e.fates {
		switch told.outcome {
		case record.Acked:
			v.Acked++
		case record.Rejected:
			v.Rejected++
		default:
			v.Indeterminate++
		}
		if told.letter {
			v.Letters++
		}
	}
	for p, r := range e.state.Log.Records {
		id, ours := record.ParseID(e.run.ID, r.ID)
		told, known := e.fates[id]
		if !ours || !known {
			f.add("in Kafka and in no ledger", p.String())
		} else if told.letter != (r.Want == audit.DeadLetter) {
			f.add("a letter that is an event, or an event that is none", p.String())
		}
	}
}

// judgeTable looks whether a row is of one piece: its mark adds up with its columns.
func (e evidence) judgeTable(f findings, v *record.Verdict) {
	for _, r := range e.table {
		if !r.ours || r.sum != r.want {
			f.add("a row that does not add up", r.key+" "+r.id.Text(e.run.ID))
		}
		if e.fates[r.id].outcome == record.Indeterminate {
			v.IndeterminateInTable++
		}
	}
}

// judgeSeen: what was visible stays visible.
func (e evidence) judgeSeen(f findings) {
	for _, s := range e.seen {
		if s.Gone {
			f.add("an object that was visible and is gone", s.Key)
		}
	}
}

// judgeGlue: Glue shows the lake partitions that hold objects, and no others.
func (e evidence) judgeGlue(f findings, v *record.Verdict) {
	if e.glue == nil {
		return
	}
	v.GluePartitions = int64(len(e.glue))
	held := map[string]bool{}
	for _, key := range e.objects {
		held[path.Dir(key)] = true
	}
	for p := range held {
		if !e.glue[p] {
			f.add("a lake partition with rows that Glue does not show", p)
		}
	}
	for p := range e.glue {
		if !held[p] {
			f.add("a lake partition that Glue shows and that holds nothing", p)
		}
	}
}

// measure says how long acknowledged events took to the table, and how long after each action the table was whole:
// nothing that was acknowledged before it was missing any more. Sights are at most one look late.
func (e evidence) measure(v *record.Verdict) {
	first := map[string]int64{}
	for _, s := range e.seen {
		if _, before := first[s.Key]; !before && !s.Gone {
			first[s.Key] = s.At
		}
	}
	v.Files = int64(len(first))
	type visible struct{ acked, at int64 }
	var all []visible
	var took []float64
	for _, r := range e.table {
		t := e.fates[r.id]
		at, known := first[r.key]
		if t.outcome != record.Acked || !known {
			continue
		}
		all = append(all, visible{t.at, at})
		took = append(took, seconds(max(0, at-t.at)))
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		v.Freshness = record.Freshness{P50: took[n/2], P99: took[n*99/100], Max: took[n-1]}
	}
	for _, a := range slices.SortedFunc(slices.Values(e.actions), func(a, b record.Action) int { return int(a.At - b.At) }) {
		rec := record.Recovery{Action: a}
		for _, row := range all {
			if row.acked <= a.At && row.at > a.At {
				rec.Waiting++
				rec.Seconds = max(rec.Seconds, seconds(row.at-a.At))
			}
		}
		v.Recoveries = append(v.Recoveries, rec)
	}
}

func seconds(ms int64) float64 { return math.Round(float64(ms)) / 1000 }

// readFates folds the ledgers: the last word on an event counts.
func readFates(dir string) (map[record.ID]fate, error) {
	ledgers, err := record.ReadLedgers(dir)
	if err != nil {
		return nil, err
	}
	fates := map[record.ID]fate{}
	for producer, entries := range ledgers {
		for _, entry := range entries {
			for n := range entry.N {
				id := record.ID{Producer: producer, Seq: entry.Seq + n}
				told, known := fates[id]
				switch {
				case entry.Outcome == record.Sent && known, entry.Outcome != record.Sent && !known:
					return nil, fmt.Errorf("the ledger of %s is out of order at seq %d", producer, id.Seq)
				case entry.Outcome == record.Sent:
					told = fate{outcome: record.Indeterminate, letter: entry.Kind == record.Letter}
				default:
					told.outcome, told.at = entry.Outcome, entry.At
				}
				fates[id] = told
			}
		}
	}
	return fates, nil
}

// lakePartition is the folder of an object's key, unescaped as Hive escapes.
func lakePartition(location, lakeURL string) string {
	return strings.Trim(strings.TrimPrefix(location, strings.TrimSuffix(lakeURL, "/")+"/"), "/")
}
