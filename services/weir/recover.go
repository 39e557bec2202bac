package main

import (
	"context"
	"errors"
	"fmt"

	"weir/services/query/rows"
	"weir/services/sink"
)

type recoverCommand struct {
	sink.RecoverConfig `embed:""`
	output             `embed:""`
}

func (c *recoverCommand) run(ctx context.Context, std stdio) error {
	cfg := c.RecoverConfig
	cfg.Tell = func(text string) { fmt.Fprintln(std.err, text) }
	all, err := sink.Recover(ctx, cfg)
	if len(all) == 0 {
		return err
	}
	found := rows.New("partition", "result", "was", "stands", "lost", "doubled", "why")
	for _, r := range all {
		found.Add(int64(r.Partition), r.Result, r.Was, r.Stands, r.Lost, r.Doubled, r.Why)
	}
	return errors.Join(found.Write(std.out, c.Output), err)
}
