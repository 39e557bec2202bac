package main

import (
	"context"
	"fmt"
	"time"

	"weir/loadtest/corpus"
	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/lake"
)

// feed decodes the row's events by weir's scanner and hands them on. What the count begins with is the decoding: the
// corpus is made before.
func feed(c child, each func(*event.Record, *event.View) error) error {
	values := corpus.Generate(corpusSeed, c.row.events)
	received := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	if err := c.meter.start(); err != nil {
		return err
	}
	var view event.View
	r := event.Record{Topic: topic, TopicID: lake.TopicID{1}, Partition: 3, Key: []byte("bench")}
	for i, value := range values {
		r.Offset, r.Value, r.Timestamp = int64(i), value, received.Add(time.Duration(i)*20*time.Millisecond)
		if reason := view.Decode(&r); reason != "" {
			return fmt.Errorf("the corpus holds what is no event: %s", reason)
		}
		if err := each(&r, &view); err != nil {
			return err
		}
	}
	return nil
}

// runEncode is weir's own scanner and encoder, from an event's bytes to a file's.
func runEncode(o columnar.Options) func(context.Context, child) (int64, error) {
	return func(_ context.Context, c child) (int64, error) {
		o.RowGroupRows = rowGroupRows
		layout, err := columnar.NewLayout(lake.EventLogs().Schema, o)
		if err != nil {
			return 0, err
		}
		var size counter
		file := layout.NewFile(&size)
		if err := feed(c, file.Append); err != nil {
			return 0, err
		}
		return int64(size), file.Close()
	}
}
