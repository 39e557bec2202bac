package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// laned is a record of a gateway, as its header and its value say.
type laned struct {
	id            string
	lane, fanout  int
	epoch, offset int64
}

// order is by epoch, then by place: of one user an epoch has one partition.
func (l laned) order(than laned) int {
	return cmp.Or(cmp.Compare(l.epoch, than.epoch), cmp.Compare(l.offset, than.offset))
}

// lanes is check I: where a hot source's record stands follows from its key and its header, its lane from its user; an epoch
// has one fan-out; and what a client was answered of a user stands in the order in which it was sent.
func (a *auditor) lanes() error {
	keys := kgo.StickyKeyPartitioner(nil).ForTopic(topicEvents)
	fanouts, users := map[string]int{}, map[string][]laned{}
	for p, r := range a.records {
		l, ok, err := lanedOf(p, r)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		a.stats.Laned++
		if want := (keys.Partition(r, int(a.w.shape.Partitions)) + l.lane) % int(a.w.shape.Partitions); want != int(p.partition) {
			a.w.violation("record %s of lane %d of %s belongs to partition %d", p, l.lane, r.Key, want)
		}
		var ev struct{ UserID string }
		if err := json.Unmarshal(r.Value, &ev); err != nil {
			return fmt.Errorf("record %s: %w", p, err)
		}
		if want := int(xxhash.Sum64String(ev.UserID) % uint64(l.fanout)); want != l.lane {
			a.w.violation("record %s of user %s is of lane %d of %d instead of %d", p, ev.UserID, l.lane, l.fanout, want)
		}
		epoch := fmt.Sprintf("%s/%d", r.Key, l.epoch)
		if n := fanouts[epoch]; n != 0 && n != l.fanout {
			a.w.violation("epoch %s has fan-outs of %d and %d", epoch, n, l.fanout)
		}
		fanouts[epoch] = l.fanout
		if client, _, web := strings.Cut(l.id, "/"); web && a.w.ledger.sent[l.id].outcome == acknowledged {
			user := string(r.Key) + " " + client + " " + ev.UserID
			users[user] = append(users[user], l)
		}
	}
	for user, list := range users {
		slices.SortFunc(list, laned.order)
		if !slices.IsSortedFunc(list, func(x, y laned) int { return cmp.Compare(seqOf(x.id), seqOf(y.id)) }) {
			a.w.violation("the events of %s do not stand in their order: %+v", user, list)
		}
	}
	return nil
}

// lanedOf reads the header; false for a record without one.
func lanedOf(p place, r *kgo.Record) (l laned, ok bool, err error) {
	for _, h := range r.Headers {
		if h.Key == "weir-fanout" {
			l = laned{id: idOf(r), offset: p.offset}
			if _, err := fmt.Sscanf(string(h.Value), "%d/%d/%d", &l.lane, &l.fanout, &l.epoch); err != nil {
				return l, false, fmt.Errorf("record %s: header %q: %w", p, h.Value, err)
			}
			return l, true, nil
		}
	}
	return l, false, nil
}

// seqOf is the number in an id.
func seqOf(id string) (n int) {
	_, text, _ := strings.Cut(id, "/")
	_, _ = fmt.Sscan(text, &n)
	return n
}
