package main

import (
	"context"
	"fmt"
	"strings"

	"weir/pkg/settings"
	"weir/services/dev"
	"weir/services/gateway"
	"weir/services/query/rows"
)

type sourceCommands struct {
	List    sourcesList    `cmd:"" help:"The sources with their limits and rules; never their write keys."`
	Add     sourcesAdd     `cmd:"" help:"A new source; its write key is printed once, and only a hash of it is kept."`
	Rotate  sourcesRotate  `cmd:"" help:"A new write key for a source; the newest of its old ones stays good until the next rotation, or until --retire."`
	Disable sourcesDisable `cmd:"" help:"Refuse a source's requests from now on."`
	Enable  sourcesEnable  `cmd:"" help:"Take a disabled source's requests again."`
}

// sourceStore is where these commands look, and whose list they edit.
type sourceStore struct {
	gateway.SourceList `embed:""`

	Dir string `name:"dir" help:"Folder of a weir dev whose sources are meant. Empty: what sources or sources-topic names."`
}

func (s sourceStore) list() gateway.SourceList {
	if s.Dir != "" {
		s.Path, s.Topic = dev.SourcesPath(s.Dir), ""
	}
	return s.SourceList
}

type sourcesList struct {
	sourceStore `embed:""`
	output      `embed:""`
}

func (c *sourcesList) run(ctx context.Context, std stdio) error {
	all, err := c.list().All(ctx)
	if err != nil {
		return fmt.Errorf("list the sources: %w", err)
	}
	found := rows.New("source", "name", "enabled", "write_keys", "events_per_second", "bytes_per_second", "burst",
		"allowed_origins", "ip", "drop", "hmac", "blocked_events", "suppressed_users")
	for _, s := range all {
		found.Add(s.ID, orNull(s.Name), s.Enabled, int64(s.WriteKeys), rate(s.Limits.EventsPerSecond), rate(s.Limits.BytesPerSecond), burst(s),
			joined(s.Origins), s.IP, joined(s.Drop), joined(s.Hash), int64(s.Blocked), int64(s.Suppressed))
	}
	return found.Write(std.out, c.Output)
}

// rate is NULL where there is no limit.
func rate(perSecond float64) any {
	if perSecond == 0 {
		return nil
	}
	return int64(perSecond)
}

func burst(s gateway.SourceInfo) any {
	if s.Limits.None() {
		return nil
	}
	return s.Limits.Burst.String()
}

func joined(list []string) any { return orNull(strings.Join(list, " ")) }

// sourceName is the argument of the commands that mean one source.
type sourceName struct {
	ID string `arg:"" help:"The source's id."`
}

func (s sourceName) faults() []error {
	var f settings.Faults
	f.Check(gateway.ValidSourceID(s.ID), "id", "%q: an id has 1 to 128 characters of A-Z a-z 0-9 . _ - and is neither . nor ..", s.ID)
	return f
}

type sourcesAdd struct {
	sourceName  `embed:""`
	sourceStore `embed:""`
	output      `embed:""`

	Name string `name:"name" help:"What people call the source."`
}

func (c *sourcesAdd) Validate() []error { return append(c.faults(), c.SourceList.Validate()...) }

func (c *sourcesAdd) run(ctx context.Context, std stdio) error {
	key, err := c.list().Add(ctx, c.ID, c.Name)
	if err != nil {
		return fmt.Errorf("add source %s: %w", c.ID, err)
	}
	return c.show(std, c.ID, key)
}

// show prints a write key, the one time that it is known.
func (o output) show(std stdio, id, key string) error {
	found := rows.New("source", "write_key")
	found.Add(id, key)
	if err := found.Write(std.out, o.Output); err != nil {
		return err
	}
	fmt.Fprintln(std.err, "The write key is shown this once: only its hash is kept. Gateways take it within a second or two.")
	return nil
}

type sourcesRotate struct {
	sourceName  `embed:""`
	sourceStore `embed:""`
	output      `embed:""`

	Retire bool `name:"retire" help:"Take all write keys away but the newest, and make no new one."`
}

func (c *sourcesRotate) Validate() []error { return append(c.faults(), c.SourceList.Validate()...) }

func (c *sourcesRotate) run(ctx context.Context, std stdio) error {
	if c.Retire {
		return c.retire(ctx, std)
	}
	key, err := c.list().Rotate(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("rotate the write key of source %s: %w", c.ID, err)
	}
	return c.show(std, c.ID, key)
}

func (c *sourcesRotate) retire(ctx context.Context, std stdio) error {
	if err := c.list().Retire(ctx, c.ID); err != nil {
		return fmt.Errorf("retire the old write keys of source %s: %w", c.ID, err)
	}
	fmt.Fprintf(std.err, "Source %s has its newest write key only.\n", c.ID)
	return nil
}

type sourcesDisable struct {
	sourceName  `embed:""`
	sourceStore `embed:""`
}

func (c *sourcesDisable) Validate() []error { return append(c.faults(), c.SourceList.Validate()...) }

func (c *sourcesDisable) run(ctx context.Context, std stdio) error {
	if err := c.list().Enable(ctx, c.ID, false); err != nil {
		return fmt.Errorf("disable source %s: %w", c.ID, err)
	}
	fmt.Fprintf(std.err, "Source %s is disabled.\n", c.ID)
	return nil
}

type sourcesEnable struct {
	sourceName  `embed:""`
	sourceStore `embed:""`
}

func (c *sourcesEnable) Validate() []error { return append(c.faults(), c.SourceList.Validate()...) }

func (c *sourcesEnable) run(ctx context.Context, std stdio) error {
	if err := c.list().Enable(ctx, c.ID, true); err != nil {
		return fmt.Errorf("enable source %s: %w", c.ID, err)
	}
	fmt.Fprintf(std.err, "Source %s is enabled.\n", c.ID)
	return nil
}
