package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/follow"
)

// Standing is what a group has committed for a partition. Why it says nothing of weir's
// flushes, "" where it does.
type Standing struct {
	State flush.State
	Why   string
}

// Committed reads committed offsets.
type Committed interface {
	// Standing of partitions of a topic, of all where none is named. why: there is
	// nothing to be known of the topic.
	Standing(ctx context.Context, group, topic string, id lake.TopicID, partitions []int32) (all map[int32]Standing, why string, err error)
}

// Result of one repair.
type Result string

// The results; with a dry run those that it would have.
const (
	Cleared  Result = "cleared"  // the partition passes again
	Created  Result = "created"  // in Glue
	Restored Result = "restored" // in the lake
	Refused  Result = "refused"  // it is as it was: Why says what is missing
)

// Repaired is what became of one thing that was not right.
type Repaired struct {
	What   string // partition 3 of weir.events; table eventlogs; …
	Result Result
	Was    string // what was not right
	Why    string // what was done, or what is missing
}

// Repair is one run of the command.
type Repair struct {
	Lake
	Committed  Committed
	Topic      string  // only this topic's gates; "" = all
	Partitions []int32 // only these, and nothing in Glue but what their flushes need; none = all
	DryRun     bool

	registrar *follow.Registrar
	done      []Repaired
}

// Run repairs what can be proved: the registry of columns, which Glue is held against, gates, then Glue. What was done before an error is in the
// result.
func (r *Repair) Run(ctx context.Context) ([]Repaired, error) {
	whole := len(r.Partitions) == 0
	if whole {
		if err := r.columns(ctx); err != nil {
			return r.done, err
		}
	}
	r.registrar = follow.NewRegistrar(r.Tables, r.Lake.Partitions, r.Database, r.Lake.Lake, r.fact)
	all, err := r.gates(ctx)
	if err != nil {
		return r.done, err
	}
	for _, m := range all.sorted() {
		if err := r.mend(ctx, m); err != nil {
			return r.done, err
		}
	}
	if !whole {
		return r.done, nil
	}
	return r.done, r.glue(ctx)
}

// fact tells somebody who waits why.
func (r *Repair) fact(f follow.Fact) {
	switch f := f.(type) {
	case follow.Fault:
		if f.Err != nil {
			r.tell("waiting for %s: %v", f.Dependency, f.Err)
		}
	case follow.Refused:
		r.done = append(r.done, Repaired{What: describe(f.Partition), Result: Refused, Was: "not in Glue", Why: f.Err.Error()})
	}
}

func (r *Repair) add(what string, result Result, was, why string) {
	if r.DryRun && result != Refused {
		result = "would be " + result
	}
	r.done = append(r.done, Repaired{What: what, Result: result, Was: was, Why: why})
}

// repairAttempts bounds how often a gate is judged anew because a catalog that runs has
// written it meanwhile.
const repairAttempts = 5

// mend repairs what stands at one topic's gate.
func (r *Repair) mend(ctx context.Context, m memory) error {
	for n := 1; ; n++ {
		before := len(r.done)
		err := r.once(ctx, m)
		if !errors.Is(err, s3.ErrChanged) || n == repairAttempts {
			return err
		}
		r.done = r.done[:before]
		if m, err = r.memory(ctx, m.id); err != nil {
			return err
		}
	}
}

func (r *Repair) once(ctx context.Context, m memory) error {
	stands := r.standing(m)
	if m.err == nil && len(stands) == 0 {
		return nil
	}
	group, topic, why, err := r.owner(ctx, m, stands)
	if err != nil || r.Topic != "" && topic != r.Topic {
		return err
	}
	var states map[int32]Standing
	if why == "" {
		if states, why, err = r.Committed.Standing(ctx, group, topic, m.id, stands); err != nil {
			return err
		}
	}
	if why != "" {
		return r.refuse(m, topic, stands, why)
	}
	if m.err != nil { // its memory is made anew, of all partitions
		for p := range states {
			stands = append(stands, p)
		}
		slices.Sort(stands)
	}
	w := &work{Repair: r, memory: m, group: group, topic: topic, reasons: make(map[int32]string)}
	return w.all(ctx, stands, states)
}

// standing lists the partitions that are asked for and stopped.
func (r *Repair) standing(m memory) []int32 {
	var list []int32
	for _, p := range m.partitions() {
		if m.gate.Marks[p].Alarm != "" && (len(r.Partitions) == 0 || slices.Contains(r.Partitions, p)) {
			list = append(list, p)
		}
	}
	return list
}

func (r *Repair) refuse(m memory, topic string, stands []int32, why string) error {
	if m.err != nil {
		r.add("gate "+m.key, Refused, m.err.Error(), why)
	}
	for _, p := range stands {
		r.add(name(topic, m.id, p), Refused, m.gate.Marks[p].Alarm, why)
	}
	return nil
}

// owner is the group that writes the topic into this lake, and the topic's name: as the
// lake says, and only where it does not, as the gate's marks do.
func (r *Repair) owner(ctx context.Context, m memory, stands []int32) (group, topic, why string, err error) {
	key := lake.OwnersKey(m.id)
	body, _, err := r.Store.Get(ctx, key)
	if err == nil {
		var owners struct {
			Format       int
			Group, Topic string
		}
		if err := json.Unmarshal(body, &owners); err != nil || owners.Format != 1 {
			return "", "", fmt.Sprintf("%s, which names the topic's group, cannot be read: format %d (%v)", key, owners.Format, err), nil
		}
		return owners.Group, owners.Topic, "", nil
	}
	if !errors.Is(err, s3.ErrNotFound) {
		return "", "", "", err
	}
	for _, p := range stands {
		if o, _, _, err := lake.ParseManifestKey(m.gate.Marks[p].Manifest); err == nil {
			return o.Group, o.Topic, "", nil
		}
	}
	return "", "", key + ", which names the topic's group, is not there", nil
}

func name(topic string, id lake.TopicID, partition int32) string {
	if topic == "" {
		topic = id.String()
	}
	return fmt.Sprintf("partition %d of %s", partition, topic)
}

func describe(p lake.Partition) string {
	return fmt.Sprintf("%s sourceid=%s dt=%s", p.Table, p.SourceID, p.Day)
}

// work is the repair of one gate.
type work struct {
	*Repair
	memory
	group, topic string
	reasons      map[int32]string // why partitions stay stopped
}

// all repairs the partitions one after the other, and writes the gate.
func (w *work) all(ctx context.Context, stands []int32, states map[int32]Standing) error {
	if w.err != nil && w.gate.Marks == nil {
		w.gate.Marks = make(map[int32]flush.Mark)
	}
	for _, p := range stands {
		w.reasons[p] = w.gate.Marks[p].Alarm
		if w.err != nil {
			w.reasons[p] = "its gate could not be read: " + w.err.Error()
		}
		w.gate.Clear(p) // in this copy: what is written has the alarm until the chain is whole
	}
	changed := w.err != nil
	for _, p := range stands {
		was := w.reasons[p]
		done, refusal, err := w.partition(ctx, p, states[p])
		if err != nil {
			return err
		}
		if refusal != "" {
			w.add(name(w.topic, w.id, p), Refused, was, refusal)
			continue
		}
		delete(w.reasons, p)
		changed = true
		w.add(name(w.topic, w.id, p), Cleared, was, done)
	}
	if !changed {
		return nil
	}
	return w.save(ctx)
}

// save writes the gate: stopped are still those whose chain is not known to be whole.
func (w *work) save(ctx context.Context) error {
	if w.DryRun {
		return nil
	}
	gate := w.gate.Clone()
	for p, reason := range w.reasons {
		gate.Raise(flush.Notification{Partition: p}, reason)
	}
	body, err := codec.EncodeGate(&gate)
	if err != nil {
		return err
	}
	etag, err := w.Store.PutIfMatch(ctx, w.key, body, w.etag)
	if errors.Is(err, s3.ErrExists) {
		return s3.ErrChanged
	}
	if err == nil {
		w.etag = etag
	}
	return err
}
