package flush_test

import (
	"fmt"
	"slices"

	"weir/pkg/flush"
)

// wrong says what is wrong with a world, "" when nothing is. Quiet worlds are those in which nobody has anything left
// to do; only there may nothing be missing.
func (k *book) wrong(w *world, quiet bool) string {
	if what := k.passed(w); what != "" {
		return what
	}
	if w.replaced {
		return "a visible object was replaced"
	}
	alarm, stop := w.gate.Marks[0].Alarm, w.stopError()
	if w.moved {
		return k.silent(w, quiet && alarm == "" && stop == "")
	}
	visible, what := k.visible(w)
	switch {
	case what != "":
		return what
	case alarm != "":
		return "the gate alarms: " + alarm
	case stop != "":
		return "the partition stops: " + stop
	case w.started && w.state.Seq > 0 && w.find(k, w.state.Manifest) < 0:
		return "the committed manifest is not there"
	}
	if what := k.belowLow(w, visible); what != "" {
		return what
	}
	if quiet {
		return k.missing(w, visible)
	}
	return ""
}

// silent: Kafka broke its promise. Then rows may be doubled, but as far as the catalog was told, not in silence.
func (k *book) silent(w *world, quiet bool) string {
	if w.blind {
		return "an owner goes on from a state older than what the gate knows"
	}
	for _, id := range w.told {
		if quiet && !slices.Contains(w.accepted, id) {
			return fmt.Sprintf("flush %c was notified, never accepted, and nobody says so", k.all[id].letter)
		}
	}
	return ""
}

// visible is per table the records in visible objects; no record may be in two.
func (k *book) visible(w *world) (seen [maxTables]uint8, what string) {
	for _, f := range w.flushes {
		a := &k.all[f.id]
		for i, mask := range f.objects {
			if twice := seen[a.tables[i]] & mask; twice != 0 {
				what = fmt.Sprintf("records %03b of table %d are visible twice", twice, a.tables[i])
			}
			seen[a.tables[i]] |= mask
		}
	}
	return seen, what
}

func (k *book) belowLow(w *world, visible [maxTables]uint8) string {
	first := uint8(0)
	if w.marker > 0 {
		first = 1<<w.marker - 1
	}
	for t := range k.bounds.tables {
		if miss := (1<<w.state.Low - 1) &^ (visible[t] | w.produced | first); w.started && miss != 0 {
			return fmt.Sprintf("records %03b are below the committed low and not visible in table %d", miss, t)
		}
	}
	return ""
}

// passed: what the gate let through is visible, and passed once.
func (k *book) passed(w *world) string {
	for i, id := range w.accepted {
		a := &k.all[id]
		at := w.find(k, a.m.Key)
		for f, mask := range a.masks {
			if w.flushes[at].objects[f] == 0 && mask != 0 {
				return "the gate accepted an object that is not visible"
			}
		}
		for _, other := range w.accepted[:i] {
			if other == id {
				return "the gate accepted a flush twice"
			}
		}
		if w.gate.Marks[0].Alarm != "" || k.broken == noManifest {
			continue
		}
		if verdict, _ := w.gate.Judge(a.note); verdict != flush.Repeat {
			return "an accepted flush that is notified again gets " + verdict.String()
		}
	}
	return ""
}

func (k *book) missing(w *world, visible [maxTables]uint8) string {
	all := uint8(1<<k.bounds.records - 1)
	if w.marker > 0 {
		all &^= 1<<w.marker - 1
	}
	for t := range k.bounds.tables {
		if lost := all &^ (visible[t] | w.produced); lost != 0 {
			return fmt.Sprintf("records %03b of table %d are lost", lost, t)
		}
	}
	for _, f := range w.flushes {
		if f.objects == [maxFiles]uint8{} {
			continue
		}
		if !slices.Contains(w.accepted, f.id) {
			return fmt.Sprintf("flush %c is visible and the gate never accepted it", k.all[f.id].letter)
		}
	}
	if s := &w.slots[2*w.owner]; s.m == nil || s.m.Doing().Op != flush.None {
		return "nobody consumes the partition"
	}
	return ""
}

func (w *world) stopError() string {
	for n := range w.slots {
		if m := w.slots[n].m; m != nil && m.Doing().Op == flush.Stop {
			return m.Doing().Err.Error()
		}
	}
	return ""
}
