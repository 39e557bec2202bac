// Package journal decides what the catalog's ledger writes: which flushes come next, which rows they make, and what is
// remembered of it. A Journal is an intent: it names a batch by its number, the flushes of the batch, and how far all
// batches together have come; whoever reads it can make the batch's objects, again and with the same rows, from the
// manifests. Its invariant: a flush stands in one batch, and batches leave out only what holes name.
// It reads and writes nothing itself, internal/ledger does; what passes at all is the gate's to say (pkg/flush).
// Floor 2, PURE; owned by the catalog service.
package journal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// format of the ledger's memory that this code writes. It reads this one only.
const format = 1

// Journal is what the ledger remembers. The zero value has written nothing.
type Journal struct {
	Number    int64                     // of the batch, from 1; 0 = there was none
	Positions map[lake.Owner]flush.Link // the last flush of each partition that stands in a batch, this one included
	Days      []lake.Day                // of which the batch has rows, rising
	Flushes   []Flush                   // of the batch
	Shapes    bool                      // its flushes tell of the properties of their events
	Places    map[lake.Day]int64        // of each day that was merged: the number of the batch that did. A day is merged once
	Merge     *lake.Day                 // what the batch merges, instead of writing flushes; nil = it writes them
}

// Flush is one flush of a batch, with what its manifest does not say.
type Flush struct {
	Manifest  string    // its key
	VisibleAt time.Time // zero = nobody saw it
	Dropped   []string  // keys of its files that the next flush gave up: they were never there
}

// Next is the journal after this one: a batch of these flushes.
func (j Journal) Next(b *Batch) Journal {
	next := Journal{Number: j.Number + 1, Positions: maps.Clone(j.Positions), Flushes: b.Flushes, Places: j.Places}
	if next.Positions == nil {
		next.Positions = make(map[lake.Owner]flush.Link)
	}
	maps.Copy(next.Positions, b.positions)
	next.Days = slices.Sorted(maps.Keys(b.Rows))
	next.Shapes = !b.Shapes.Empty()
	return next
}

// Merging is the journal after this one: a batch that merges the objects of a day that has not been merged.
func (j Journal) Merging(day lake.Day) Journal {
	next := Journal{Number: j.Number + 1, Positions: j.Positions, Places: maps.Clone(j.Places), Merge: &day}
	if next.Places == nil {
		next.Places = make(map[lake.Day]int64)
	}
	next.Places[day] = next.Number
	return next
}

// mergeAfter is how long after its end a day counts as over: what is flushed of it later stays in objects of its own.
const mergeAfter = 36 * time.Hour

// Due are those of the days that are over and not merged.
func (j Journal) Due(days []lake.Day, now time.Time) (due []lake.Day) {
	for _, day := range days {
		if _, merged := j.Places[day]; !merged && now.Sub((day+1).Time()) >= mergeAfter {
			due = append(due, day)
		}
	}
	return due
}

type memory struct {
	Format    int              `json:"format"`
	Number    int64            `json:"number,string"`
	Positions []string         `json:"positions"` // keys of manifests, which say whose they are
	Days      []string         `json:"days"`
	Flushes   []flushMemory    `json:"flushes"`
	Shapes    bool             `json:"shapes,omitempty"`
	Places    map[string]int64 `json:"places,omitempty"` // by day
	Merge     string           `json:"merge,omitempty"`  // a day
}

type flushMemory struct {
	Manifest  string     `json:"manifest"`
	VisibleAt *time.Time `json:"visible_at,omitempty"`
	Dropped   []string   `json:"dropped,omitempty"`
}

// Encode writes the journal. The same journal is the same bytes.
func (j Journal) Encode() ([]byte, error) {
	m := memory{Format: format, Number: j.Number, Shapes: j.Shapes}
	for _, link := range j.Positions {
		m.Positions = append(m.Positions, link.Manifest)
	}
	slices.Sort(m.Positions)
	for _, day := range j.Days {
		m.Days = append(m.Days, day.String())
	}
	for _, f := range j.Flushes {
		one := flushMemory{Manifest: f.Manifest, Dropped: f.Dropped}
		if !f.VisibleAt.IsZero() {
			one.VisibleAt = &f.VisibleAt
		}
		m.Flushes = append(m.Flushes, one)
	}
	for day, number := range j.Places {
		if m.Places == nil {
			m.Places = make(map[string]int64, len(j.Places))
		}
		m.Places[day.String()] = number
	}
	if j.Merge != nil {
		m.Merge = j.Merge.String()
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode the ledger's memory: %w", err)
	}
	return body, nil
}

// Decode reads what Encode wrote, and refuses another format.
func Decode(body []byte) (Journal, error) {
	var m memory
	if err := json.Unmarshal(body, &m); err != nil {
		return Journal{}, fmt.Errorf("decode the ledger's memory: %w", err)
	}
	if m.Format != format || m.Number < 1 {
		return Journal{}, fmt.Errorf("decode the ledger's memory: format %d, batch %d; this version of weir reads format %d: run the version that wrote it, or a newer one", m.Format, m.Number, format)
	}
	j := Journal{Number: m.Number, Shapes: m.Shapes, Positions: make(map[lake.Owner]flush.Link, len(m.Positions))}
	for _, key := range m.Positions {
		owner, seq, _, err := lake.ParseManifestKey(key)
		if err != nil {
			return Journal{}, fmt.Errorf("decode the ledger's memory: %w", err)
		}
		j.Positions[owner] = flush.Link{Seq: seq, Manifest: key}
	}
	for _, text := range m.Days {
		day, err := lake.ParseDay(text)
		if err != nil {
			return Journal{}, fmt.Errorf("decode the ledger's memory: %w", err)
		}
		j.Days = append(j.Days, day)
	}
	if err := j.places(m); err != nil {
		return Journal{}, fmt.Errorf("decode the ledger's memory: %w", err)
	}
	for _, f := range m.Flushes {
		one := Flush{Manifest: f.Manifest, Dropped: f.Dropped}
		if f.VisibleAt != nil {
			one.VisibleAt = f.VisibleAt.UTC()
		}
		j.Flushes = append(j.Flushes, one)
	}
	return j, nil
}

// places reads what was merged.
func (j *Journal) places(m memory) error {
	for text, number := range m.Places {
		day, err := lake.ParseDay(text)
		if err != nil {
			return err
		}
		if j.Places == nil {
			j.Places = make(map[lake.Day]int64, len(m.Places))
		}
		j.Places[day] = number
	}
	if m.Merge == "" {
		return nil
	}
	day, err := lake.ParseDay(m.Merge)
	j.Merge = &day
	return err
}
