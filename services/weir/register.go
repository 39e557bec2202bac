package main

import (
	"context"
	"errors"
	"fmt"

	"weir/services/catalog"
	"weir/services/query/rows"
)

type registerCommand struct {
	catalog.RegisterConfig `embed:""`

	devDir `embed:""`
	output `embed:""`
}

func (c *registerCommand) Validate() []error {
	return append(c.RegisterConfig.Validate(), c.glueFaults()...)
}

func (c *registerCommand) run(ctx context.Context, std stdio) error {
	if _, err := c.point(); err != nil {
		return err
	}
	show := watch(std)
	c.Progress = func(text string) { show.Progress("%s", text) }
	done, stood, failed := catalog.Register(ctx, c.RegisterConfig)
	show.Done()
	found, refused := rows.New("sourceid", "day", "result", "location", "why"), 0
	for _, r := range done {
		found.Add(r.SourceID, r.Day.String(), string(r.Result), r.Location, text(r.Why))
		if r.Result == catalog.RegisterRefused {
			refused++
		}
	}
	if failed == nil || len(done) > 0 {
		failed = errors.Join(found.Write(std.out, c.Output), failed)
	}
	if failed != nil {
		return failed
	}
	fmt.Fprintf(std.err, "%d partitions stood there already\n", stood)
	if refused > 0 {
		return differs(fmt.Sprintf("%d of %d could not be registered: they are as they were", refused, len(done)))
	}
	return nil
}
