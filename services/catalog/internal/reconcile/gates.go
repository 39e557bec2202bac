package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// memory is one gate's memory as it stands.
type memory struct {
	id   lake.TopicID
	key  string
	gate flush.Gate
	etag string // "" = there is none
	err  error  // why it cannot be read; nothing of the gate is known then
}

type gates map[lake.TopicID]memory

// gates reads the memories of the database.
func (l Lake) gates(ctx context.Context) (gates, error) {
	all := make(gates)
	dir := lake.GateDir(l.Database)
	for o, err := range l.Store.List(ctx, dir, "") {
		if err != nil {
			return nil, err
		}
		id, err := lake.ParseTopicID(strings.TrimSuffix(strings.TrimPrefix(o.Key, dir), ".json"))
		if err != nil {
			continue // not ours
		}
		if all[id], err = l.memory(ctx, id); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (l Lake) memory(ctx context.Context, id lake.TopicID) (memory, error) {
	m := memory{id: id, key: lake.GateKey(l.Database, id)}
	body, etag, err := l.Store.Get(ctx, m.key)
	if errors.Is(err, s3.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.etag = etag
	gate, err := codec.DecodeGate(body)
	if m.err = err; err == nil {
		m.gate = *gate
	}
	return m, nil
}

func (m memory) partitions() []int32 { return slices.Sorted(maps.Keys(m.gate.Marks)) }

func (all gates) sorted() []memory {
	return slices.SortedFunc(maps.Values(all), func(a, b memory) int { return strings.Compare(a.key, b.key) })
}

func (all gates) differences(report *Report) {
	for _, m := range all.sorted() {
		if m.err != nil {
			report.add(Difference{Kind: GateUnreadable, Key: m.key, Why: m.err.Error()})
		}
		for _, p := range m.partitions() {
			if alarm := m.gate.Marks[p].Alarm; alarm != "" {
				report.add(Difference{Kind: GateStopped, Key: m.key, Why: fmt.Sprintf("partition %d: %s", p, alarm)})
			}
		}
	}
}

// mark is what the gate has accepted of an owner's flushes.
func (all gates) mark(o lake.Owner) flush.Mark {
	mark := all[o.TopicID].gate.Marks[o.Partition]
	if mark.Group != o.Group {
		return flush.Mark{}
	}
	return mark
}
