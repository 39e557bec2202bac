package main

import (
	"context"
	"errors"

	"weir/services/query/rows"
	"weir/services/sink"
)

type recoverCommand struct {
	sink.RecoverConfig `embed:""`
	output             `embed:""`
}

func (c *recoverCommand) run(ctx context.Context, std stdio) error {
	all, err := sink.Recover(ctx, c.RecoverConfig)
	if len(all) == 0 {
		return err
	}
	found := rows.New("partition", "result", "was", "stands", "why")
	for _, r := range all {
		found.Add(int64(r.Partition), r.Result, r.Was, r.Stands, r.Why)
	}
	return errors.Join(found.Write(std.out, c.Output), err)
}
