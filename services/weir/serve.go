package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/catalog"
	"weir/services/dev"
	"weir/services/gateway"
	"weir/services/sink"
)

// flushTelemetryWithin bounds the export of the last metrics and spans.
const flushTelemetryWithin = 5 * time.Second

// validate checks the address; the rest was checked as it was read.
func (p process) validate() []error {
	var f settings.Faults
	_, port, err := net.SplitHostPort(p.Admin)
	f.Check(err == nil && port != "", "admin", "%q is not host:port", p.Admin)
	return f
}

// serve runs one service with its telemetry and its admin port around it.
func (p process) serve(ctx context.Context, std stdio, name string, run func(context.Context, *telemetry.Telemetry) error) (err error) {
	settings.BoundHeap()
	tel, err := telemetry.Start(ctx, telemetry.Options{
		Service: name, Version: version, LogLevel: p.LogLevel, LogFormat: p.LogFormat, Output: std.err,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shutdown(tel)) }()
	if p.Admin == "" { // weir dev serves it by itself
		return run(ctx, tel)
	}
	admin, err := tel.ServeAdmin(p.Admin)
	if err != nil {
		return err
	}
	tel.Log.Info("admin port open", "addr", admin.Addr())
	defer func() { err = errors.Join(err, admin.Close()) }() // after the service: probes see it drain
	return run(ctx, tel)
}

func shutdown(tel *telemetry.Telemetry) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTelemetryWithin)
	defer cancel()
	return tel.Shutdown(ctx)
}

// sinkGrowth is by how many percent a sink's heap grows between two collections. It holds almost no pointers, so that
// collecting costs little, and what is open stays in memory for a minute.
const sinkGrowth = 30

type gatewayCommand struct {
	gateway.Config `embed:""`
	process        `embed:""`
}

func (c *gatewayCommand) Validate() []error { return append(c.Config.Validate(), c.validate()...) }

func (c *gatewayCommand) run(ctx context.Context, std stdio) error {
	return c.serve(ctx, std, "gateway", func(ctx context.Context, tel *telemetry.Telemetry) error {
		return gateway.Run(ctx, c.Config, tel, nil)
	})
}

// sinkCommands: the service is what runs when no other word follows.
type sinkCommands struct {
	Run     sinkCommand    `cmd:"" default:"withargs" help:"The service; run may be left out."`
	Recover recoverCommand `cmd:"" help:"Give stopped partitions their committed offset back, from what S3, the catalog and the flush topic know."`
}

type sinkCommand struct {
	sink.Config `embed:""`
	process     `embed:""`
}

func (c *sinkCommand) Validate() []error {
	return slices.Concat(c.Config.Validate(), c.validate(), lakeFaults())
}

func (c *sinkCommand) run(ctx context.Context, std stdio) error {
	settings.CollectAt(sinkGrowth)
	return c.serve(ctx, std, "sink", func(ctx context.Context, tel *telemetry.Telemetry) error {
		return sink.Run(ctx, c.Config, tel)
	})
}

type catalogCommand struct {
	catalog.Config `embed:""`
	process        `embed:""`
}

func (c *catalogCommand) Validate() []error {
	return slices.Concat(c.Config.Validate(), c.validate(), lakeFaults())
}

func (c *catalogCommand) run(ctx context.Context, std stdio) error {
	return c.serve(ctx, std, "catalog", func(ctx context.Context, tel *telemetry.Telemetry) error {
		return catalog.Run(ctx, c.Config, tel)
	})
}

type devCommand struct {
	dev.Config `embed:""`

	LogLevel  string `name:"log-level" default:"warn" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat string `name:"log-format" default:"text" enum:"json,text" help:"Log lines as json or text."`
}

func (c *devCommand) run(ctx context.Context, std stdio) error {
	p := process{LogLevel: c.LogLevel, LogFormat: c.LogFormat}
	return p.serve(ctx, std, "dev", func(ctx context.Context, tel *telemetry.Telemetry) error {
		return dev.Run(ctx, c.Config, tel, std.out, std.terminal)
	})
}
