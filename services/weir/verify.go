package main

import (
	"context"
	"encoding/json"
	"os"

	"weir/services/dev"
	"weir/services/dev/screen"
	"weir/services/verify"
)

type verifyCommand struct {
	verify.Config `embed:""`

	devDir `embed:""`
	Output string `name:"output" enum:"table,json" default:"table" help:"The report as table or json."`
}

func (c *verifyCommand) run(ctx context.Context, std stdio) error {
	cfg := c.Config
	addresses, err := c.point()
	if err != nil {
		return err
	}
	if addresses != nil {
		cfg.Kafka.Brokers = []string{addresses.Kafka}
		if cfg.LocalRoot, err = dev.BucketRoot(c.Dir); err != nil {
			return err
		}
	}
	show := screen.New(std.err, std.err == os.Stderr && isTerminal(os.Stderr))
	cfg.Progress = func(text string) { show.Progress("%s", text) }
	report, err := verify.Run(ctx, cfg)
	show.Done()
	if err != nil {
		return err
	}
	if err := write(report, c.Output, std); err != nil {
		return err
	}
	if !report.OK() {
		return errFound
	}
	return nil
}

func write(report *verify.Report, output string, std stdio) error {
	if output != "json" {
		return report.WriteText(std.out)
	}
	enc := json.NewEncoder(std.out)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
