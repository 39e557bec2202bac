package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"weir/loadtest/corpus"
	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/settings"
)

// shape is what a table has of an event.
type shape struct {
	schema    lake.Schema
	options   columnar.Options
	promotion *event.Promotion
}

func (s shape) layout() (*columnar.Layout, error) {
	s.options.RowGroupRows = rowGroupRows
	return columnar.NewLayout(s.schema, s.options)
}

func plainMaps(o columnar.Options) shape { return shape{schema: lake.EventLogs().Schema, options: o} }

// mapsAndPromoted is the table as the sink writes it.
func mapsAndPromoted() shape {
	wanted := promote.DefaultList().Paths
	registry, _, err := promote.Registry{}.Extend(wanted)
	if err != nil {
		panic(err) // the default list fits a registry
	}
	columns := registry.Promoted(wanted)
	s := plainMaps(columnar.Options{Promoted: columns})
	s.promotion = event.NewPromotion(columns)
	return s
}

// typedAlone has no maps but the one of what has no column.
func typedAlone() shape {
	s := mapsAndPromoted()
	s.promotion.Alone()
	s.schema = slices.DeleteFunc(slices.Clone(s.schema), func(c lake.Column) bool {
		return c.Type == lake.MapStringString && c.Name != "rescued"
	})
	return s
}

// feed decodes the row's events by weir's scanner and hands them on. What the count begins with is the decoding: the
// corpus is made before.
func feed(c child, p *event.Promotion, each func(*event.Record, *event.View) error) error {
	n := c.row.events
	if n > corpusEvents {
		n = corpusEvents / 4   // a row of many measures memory, and the corpus is in it
		settings.CollectAt(30) // as the sink does
	}
	values := corpus.Generate(corpusSeed, n)
	received := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if err := c.meter.start(); err != nil {
		return err
	}
	view := event.View{Promotion: p}
	r := event.Record{Topic: topic, TopicID: lake.TopicID{1}, Partition: 3, Key: []byte("bench")}
	for i := range c.row.events {
		r.Offset, r.Value, r.Timestamp = int64(i), values[i%len(values)], received.Add(time.Duration(i)*20*time.Millisecond)
		if reason := view.Decode(&r); reason != "" {
			return fmt.Errorf("the corpus holds what is no event: %s", reason)
		}
		if err := each(&r, &view); err != nil {
			return err
		}
	}
	return nil
}

// openFiles is how many lake partitions the row of many has open at once.
const openFiles = 1000

// runManyFiles encodes into a thousand files, of which few see most events (zipf), as a partition does that many sources
// share. The corpus comes again and again.
func runManyFiles(s shape) func(context.Context, child) (int64, error) {
	return func(_ context.Context, c child) (int64, error) { return manyFiles(c, s) }
}

func manyFiles(c child, s shape) (int64, error) {
	layout, err := s.layout()
	if err != nil {
		return 0, err
	}
	var size counter
	files := make([]*columnar.File, openFiles)
	for i := range files {
		files[i] = layout.NewFile(&size)
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(corpusSeed, 1)), 1.1, 1, openFiles-1)
	err = feed(c, s.promotion, func(r *event.Record, v *event.View) error {
		if r.Offset%10_000 == 0 {
			if err := evict(layout, files, &size); err != nil {
				return err
			}
		}
		return files[zipf.Uint64()].Append(r, v)
	})
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return int64(size), err
}

// openBytes is what the open files may hold; beyond it the largest are cut, as the sink's memory budget has it.
const openBytes = 500 << 20

func evict(layout *columnar.Layout, files []*columnar.File, out io.Writer) error {
	held := int64(0)
	for _, f := range files {
		held += f.Buffered()
	}
	for held > openBytes {
		largest := 0
		for i, f := range files {
			if f.Buffered() > files[largest].Buffered() {
				largest = i
			}
		}
		held -= files[largest].Buffered()
		if err := files[largest].Close(); err != nil {
			return err
		}
		files[largest] = layout.NewFile(out)
	}
	return nil
}

// runEncode is weir's own scanner and encoder, from an event's bytes to a file's.
func runEncode(s shape) func(context.Context, child) (int64, error) {
	return func(_ context.Context, c child) (int64, error) {
		layout, err := s.layout()
		if err != nil {
			return 0, err
		}
		var size counter
		file := layout.NewFile(&size)
		if err := feed(c, s.promotion, file.Append); err != nil {
			return 0, err
		}
		err = file.Close() // which writes the rest
		return int64(size), err
	}
}
