package follow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// Store is the part of the object store that the follower needs.
type Store interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	Head(ctx context.Context, key string) (s3.Object, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
	PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error)
}

// memory is what the gate of one topic id remembers, as it stands in the lake.
type memory struct {
	gate flush.Gate
	etag string // "" = there is no object yet
	body []byte
}

// judged is what became of a batch of notifications.
type judged struct {
	accepted []flush.Notification // pass now, in order; those that closed a gap included
	repeats  []flush.Notification // passed before
	changed  map[lake.TopicID]flush.Gate
}

// gates judges notifications by the memory of their topic ids. It belongs to
// one goroutine; what it reads stays in mind until somebody else is seen to write.
type gates struct {
	store    Store
	database string
	tell     Observer
	memories map[lake.TopicID]*memory
}

func newGates(store Store, database string, tell Observer) *gates {
	return &gates{store: store, database: database, tell: tell, memories: make(map[lake.TopicID]*memory)}
}

// recall reads every memory that the database has, so that the partitions that
// stand still are known from the start. None at all: nothing is known.
func (g *gates) recall(ctx context.Context) error {
	dir := lake.GateDir(g.database)
	for o, err := range g.store.List(ctx, dir, "") {
		if err != nil {
			return err
		}
		id, err := lake.ParseTopicID(strings.TrimSuffix(strings.TrimPrefix(o.Key, dir), ".json"))
		if err != nil {
			continue // not ours
		}
		m, err := g.memory(ctx, id)
		if err != nil {
			return err
		}
		for p, mark := range m.gate.Marks {
			if mark.Alarm != "" {
				g.tell(Alarm{TopicID: id, Partition: p, Reason: mark.Alarm, Memory: o.Key})
			}
		}
	}
	return nil
}

func (g *gates) memory(ctx context.Context, id lake.TopicID) (*memory, error) {
	if m, ok := g.memories[id]; ok {
		return m, nil
	}
	m, err := g.read(ctx, id)
	if err == nil {
		g.memories[id] = m
	}
	return m, err
}

// read takes only a 404 for an empty memory: an object that cannot be read must
// not let everything pass again.
func (g *gates) read(ctx context.Context, id lake.TopicID) (*memory, error) {
	key := lake.GateKey(g.database, id)
	body, etag, err := g.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return &memory{}, nil
	}
	if err != nil {
		return nil, err
	}
	gate, err := codec.DecodeGate(body)
	if err != nil {
		return nil, fmt.Errorf("read the gate's memory %s: %w", key, err)
	}
	return &memory{gate: *gate, etag: etag, body: body}, nil
}

// judge lets the notifications pass, in their order, through copies of the
// gates: nothing is accepted until put.
func (g *gates) judge(ctx context.Context, notes []flush.Notification) (judged, error) {
	j := judged{changed: make(map[lake.TopicID]flush.Gate)}
	for _, n := range notes {
		m, err := g.memory(ctx, n.TopicID)
		if err != nil {
			return j, err
		}
		gate, ok := j.changed[n.TopicID]
		if !ok {
			gate = m.gate.Clone()
		}
		changed, err := g.one(ctx, &j, &gate, n)
		if err != nil {
			return j, err
		}
		if ok || changed {
			j.changed[n.TopicID] = gate
		}
	}
	return j, nil
}

// one judges n and says whether the gate has changed.
func (g *gates) one(ctx context.Context, j *judged, gate *flush.Gate, n flush.Notification) (bool, error) {
	verdict, reason := gate.Judge(n)
	switch verdict {
	case flush.Repeat:
		j.repeats = append(j.repeats, n)
		return false, nil
	case flush.Accept:
		gate.Accept(n)
		j.accepted = append(j.accepted, n)
		return true, nil
	case flush.Gap:
		closed, alarm, err := g.closeGap(ctx, gate, n)
		if err != nil {
			return false, err
		}
		if alarm != "" {
			return g.raise(gate, n, alarm), nil
		}
		for _, c := range closed {
			gate.Accept(c)
		}
		j.accepted = append(j.accepted, closed...)
		return true, nil
	}
	return g.raise(gate, n, reason), nil
}

// raise stops the partition, once.
func (g *gates) raise(gate *flush.Gate, n flush.Notification, reason string) bool {
	if gate.Marks[n.Partition].Alarm != "" {
		return false
	}
	gate.Raise(n, reason)
	g.tell(Alarm{
		Topic: n.Topic, TopicID: n.TopicID, Partition: n.Partition, Manifest: n.Manifest, Reason: reason,
		Memory: lake.GateKey(g.database, n.TopicID),
	})
	return true
}

// put writes the gates that a batch has changed. settled is false where another
// catalog has written in between: its memory is read now, and the batch must be
// judged again. A put whose answer was lost finds its own bytes.
func (g *gates) put(ctx context.Context, j judged) (settled bool, err error) {
	settled = true
	for _, id := range sortedIDs(j.changed) {
		gate := j.changed[id]
		body, err := codec.EncodeGate(&gate)
		if err != nil {
			return false, fmt.Errorf("write the gate's memory of topic %s: %w", id, err)
		}
		m := g.memories[id]
		key := lake.GateKey(g.database, id)
		etag, err := g.store.PutIfMatch(ctx, key, body, m.etag)
		if err == nil {
			g.memories[id] = &memory{gate: gate, etag: etag, body: body}
			continue
		}
		if !errors.Is(err, s3.ErrChanged) && !errors.Is(err, s3.ErrExists) {
			return false, err
		}
		there, err := g.read(ctx, id)
		if err != nil {
			return false, err
		}
		g.memories[id] = there
		if !bytes.Equal(there.body, body) {
			settled = false
			g.tell(Rival{Key: key})
		}
	}
	return settled, nil
}

func sortedIDs(m map[lake.TopicID]flush.Gate) []lake.TopicID {
	ids := make([]lake.TopicID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b lake.TopicID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
