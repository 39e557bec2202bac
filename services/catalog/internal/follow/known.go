package follow

import (
	"container/list"
	"time"

	"weir/pkg/lake"
)

// known remembers partitions that Glue has confirmed, so that a flush into a
// partition of today costs no call. It is bounded in number and in time:
// a partition that somebody dropped comes back with the first flush after ttl.
type known struct {
	limit int
	ttl   time.Duration
	byKey map[lake.Partition]*list.Element
	order *list.List // of knownEntry, the latest used in front
}

type knownEntry struct {
	partition lake.Partition
	until     time.Time
}

func newKnown(limit int, ttl time.Duration) *known {
	return &known{limit: limit, ttl: ttl, byKey: make(map[lake.Partition]*list.Element), order: list.New()}
}

func (k *known) has(p lake.Partition, now time.Time) bool {
	e, ok := k.byKey[p]
	if !ok {
		return false
	}
	if !now.Before(e.Value.(knownEntry).until) {
		k.drop(e)
		return false
	}
	k.order.MoveToFront(e)
	return true
}

func (k *known) add(p lake.Partition, now time.Time) {
	if e, ok := k.byKey[p]; ok {
		k.drop(e)
	}
	k.byKey[p] = k.order.PushFront(knownEntry{p, now.Add(k.ttl)})
	if len(k.byKey) > k.limit {
		k.drop(k.order.Back())
	}
}

// forget drops every partition of a table.
func (k *known) forget(table string) {
	for p, e := range k.byKey {
		if p.Table == table {
			k.drop(e)
		}
	}
}

func (k *known) drop(e *list.Element) {
	delete(k.byKey, e.Value.(knownEntry).partition)
	k.order.Remove(e)
}
