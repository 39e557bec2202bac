package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/settings"
	"weir/services/weir/internal/sse"
)

type tailCommand struct {
	Source string   `name:"source" help:"Only what this source sends; with a * at its end, those that begin so."`
	Type   string   `name:"type" help:"Only events of this type: track, identify, page, screen, group, alias."`
	Filter []string `name:"filter" sep:"none" help:"Only what this says; all of several must hold: accepted, rejected, refused, reason=…, or a top-level key of the event, as event=Order*. Masked values cannot be asked for."`
	Admin  []string `name:"admin" default:"127.0.0.1:9090" help:"Admin addresses of the gateways to watch."`
	Output string   `name:"output" enum:"pretty,json" default:"pretty" help:"A line for people, or a line of JSON, for each event: pretty or json."`

	devDir `embed:""`
}

// Help is what people ask next.
func (*tailCommand) Help() string {
	return "Shows a sample, at most 50 events a second of each gateway, while they come in. What tells of a person is masked: traits, " +
		"personal keys, long texts, what looks like an address or a telephone number; nothing turns that off. A gateway that goes away is " +
		"tried again until Ctrl-C."
}

func (c *tailCommand) Validate() []error {
	var f settings.Faults
	f.Check(len(c.Admin) > 0, "admin", "names no gateway")
	for _, addr := range c.Admin {
		_, port, err := net.SplitHostPort(addr)
		f.Check(err == nil && port != "", "admin", "%q is not host:port", addr)
	}
	return f
}

func (c *tailCommand) run(ctx context.Context, std stdio) error {
	addresses, err := c.point()
	if err != nil {
		return err
	}
	if addresses != nil {
		c.Admin = []string{addresses.Admin}
	}
	group, inner := errgroup.WithContext(ctx)
	arrivals := make(chan arrival)
	for _, addr := range c.Admin {
		w := watching{addr: addr, query: c.query(), client: http.DefaultClient, arrivals: arrivals}
		group.Go(func() error { return w.follow(inner) })
	}
	group.Go(func() error { return c.printAll(inner, arrivals, std) })
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil // it was Ctrl-C
}

func (c *tailCommand) query() string {
	q := url.Values{"filter": c.Filter}
	if c.Source != "" {
		q.Set("source", c.Source)
	}
	if c.Type != "" {
		q.Set("type", c.Type)
	}
	return q.Encode()
}

// printAll prints what comes from all gateways, each line whole.
func (c *tailCommand) printAll(ctx context.Context, arrivals <-chan arrival, std stdio) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-arrivals:
			if err := c.print(a, std); err != nil {
				return err
			}
		}
	}
}

// arrival is an event of a stream, or a note on it.
type arrival struct {
	from  string
	event sse.Event
	note  string // "" = it is an event
}

func (c *tailCommand) print(a arrival, std stdio) error {
	switch {
	case a.note != "":
		fmt.Fprintf(std.err, "%s: %s\n", a.from, a.note)
		return nil
	case a.event.Name == "status":
		return printStatus(std.err, a)
	case a.event.Name != "":
		return nil // the stream's end says more
	case c.Output == "json":
		_, err := fmt.Fprintln(std.out, a.event.Data)
		return err
	}
	return printPretty(std.out, a)
}

func printStatus(w io.Writer, a arrival) error {
	var s struct{ Missed, PassedOver int64 }
	if err := json.Unmarshal([]byte(a.event.Data), &s); err != nil {
		return fmt.Errorf("read what %s sends: %w", a.from, err)
	}
	fmt.Fprintf(w, "%s: %d events passed over, because there were too many; %d missed, because this end was slow\n", a.from, s.PassedOver, s.Missed)
	return nil
}

// seen is what a gateway shows of an event.
type seen struct {
	At              time.Time
	Source, Outcome string
	Reason          string
	MessageID       string
	Partition       *int32
	Offset          int64
	Events          int
	Event           json.RawMessage
	Cut             bool
}

func printPretty(w io.Writer, a arrival) error {
	var s seen
	if err := json.Unmarshal([]byte(a.event.Data), &s); err != nil {
		return fmt.Errorf("read what %s sends: %w", a.from, err)
	}
	_, err := fmt.Fprintln(w, s.line())
	return err
}

func (s *seen) line() string {
	parts := []string{s.At.Format("15:04:05.000"), s.Source, s.Outcome}
	if s.Source == "" {
		parts[1] = "-"
	}
	switch {
	case s.Events > 0:
		parts = append(parts, s.Reason, fmt.Sprintf("%d events", s.Events))
	case s.Reason != "":
		parts = append(parts, s.Reason, s.MessageID)
	}
	if s.Partition != nil {
		parts = append(parts, fmt.Sprintf("%d/%d", *s.Partition, s.Offset))
	}
	if s.Event != nil {
		parts = append(parts, string(s.Event))
	}
	if s.Cut {
		parts = append(parts, "…")
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}
