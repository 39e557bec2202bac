package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"weir/pkg/kafka"
	"weir/pkg/settings"
	"weir/services/gateway"
	"weir/services/query/rows"
	"weir/services/redrive"
	"weir/services/weir/internal/invoke"
)

// maxValue bounds a value that is read from a file or the standard input.
const maxValue = 64 << 20

type deadLetterCommands struct {
	List    asideList[deadLetterTopic] `cmd:"" help:"What stands there, and what became of it; never what is in it."`
	Show    asideShow[deadLetterTopic] `cmd:"" help:"One record: its value on the standard output, everything else beside it."`
	Redrive deadLetterRedrive          `cmd:"" help:"Bring records back to the events topic, each once; exit 1 where one does not come back."`
}

type rejectedCommands struct {
	List    asideList[rejectedTopic] `cmd:"" help:"What stands there, and what became of it; never what is in it."`
	Show    asideShow[rejectedTopic] `cmd:"" help:"One event: its bytes on the standard output, everything else beside it."`
	Redrive rejectedRedrive          `cmd:"" help:"Bring events back by the gateway's rules, each once; exit 1 where one does not come back."`
}

// asideTopic is the setting that names a topic of records that were put aside.
type asideTopic interface{ aside() redrive.Aside }

type deadLetterTopic struct {
	Name string `name:"dead-letter-topic" default:"weir.deadletters" help:"Topic of records that are no events."`
}

func (t deadLetterTopic) aside() redrive.Aside {
	return redrive.Aside{Kind: redrive.DeadLetters, Topic: t.Name}
}

type rejectedTopic struct {
	Name string `name:"rejected-topic" default:"weir.rejected" help:"Topic of events that the gateway refused."`
}

func (t rejectedTopic) aside() redrive.Aside {
	return redrive.Aside{Kind: redrive.Rejected, Topic: t.Name}
}

// brokers turns a command to the Kafka of a running weir dev, where its folder is named.
func (d devDir) brokers(c *kafka.Config) error {
	addresses, err := d.point()
	if err == nil && addresses != nil {
		c.Brokers = []string{addresses.Kafka}
	}
	return err
}

type asideList[T asideTopic] struct {
	redrive.ListConfig `embed:""`

	From   T `embed:""`
	devDir `embed:""`
	output `embed:""`
}

func (c *asideList[T]) Validate() []error {
	c.Aside = c.From.aside()
	return c.ListConfig.Validate()
}

func (c *asideList[T]) run(ctx context.Context, std stdio) error {
	if err := c.brokers(&c.Kafka); err != nil {
		return err
	}
	show := watch(std)
	c.Progress = func(text string) { show.Progress("%s", text) }
	list, more, err := redrive.List(ctx, c.ListConfig)
	show.Done()
	if err != nil {
		return err
	}
	if err := c.table(list).Write(std.out, c.Output); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(std.err, "There are more than %d: choose by --reason, --source, --since, --state, or raise --max.\n", c.Max)
	}
	return nil
}

// table has a column for where a dead letter stood before it was put aside; a rejected
// event stood nowhere.
func (c *asideList[T]) table(list []redrive.Listed) *rows.Rows {
	columns := []string{"partition", "offset", "reason", "source", "at", "age", "bytes", "attempts", "state"}
	if c.Aside.Kind == redrive.DeadLetters {
		columns = append(columns, "was")
	}
	found, now := rows.New(columns...), time.Now()
	for i := range list {
		l := &list[i]
		row := []any{
			int64(l.Partition), l.Offset, orNull(l.Reason), orNull(l.Source), l.At.UTC().Format(time.RFC3339), age(now.Sub(l.At)),
			int64(l.Bytes), int64(l.Attempts), string(l.State), was(&l.Letter),
		}
		found.Add(row[:len(columns)]...)
	}
	return found
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// was is the record that became the dead letter.
func was(l *redrive.Letter) any {
	if l.Err != nil {
		return nil
	}
	return fmt.Sprintf("%s/%d/%d", l.Topic, l.Origin.Partition, l.Origin.Offset)
}

// age is a duration in one unit: days from two days on.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(d, 0)/time.Second)
}

type asideShow[T asideTopic] struct {
	Partition int32 `arg:"" help:"The partition in which it stands, as list has it."`
	Offset    int64 `arg:"" help:"The offset at which it stands, as list has it."`

	Kafka         kafka.Config `embed:""`
	RedrivenTopic string       `name:"redriven-topic" default:"weir.redriven" help:"Topic that remembers for ever what came back: the ledger of redrives."`

	From   T `embed:""`
	devDir `embed:""`
}

func (c *asideShow[T]) look() redrive.Look {
	return redrive.Look{
		Kafka: c.Kafka, RedrivenTopic: c.RedrivenTopic, MaxAttempts: 1, Aside: c.From.aside(),
		Partition: []int32{c.Partition}, Offset: []int64{c.Offset},
	}
}

func (c *asideShow[T]) Validate() []error { return c.look().Validate() }

func (c *asideShow[T]) run(ctx context.Context, std stdio) error {
	if err := c.brokers(&c.Kafka); err != nil {
		return err
	}
	l, err := redrive.Show(ctx, c.look())
	if err != nil {
		return err
	}
	describe(std.err, c.From.aside().Kind, l)
	return body(std, l.Record.Value)
}

// describe prints everything but the value.
func describe(w io.Writer, kind redrive.Kind, l *redrive.Shown) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s "+format+"\n", append([]any{name}, args...)...)
	}
	line("at", "%s", l.At.UTC().Format(time.RFC3339Nano))
	if l.Err != nil {
		line("unreadable", "%s", l.Err)
	} else {
		line("reason", "%q", l.Reason)
		line("source", "%q", l.Source)
		line("attempts", "%d", l.Attempts)
	}
	if kind == redrive.DeadLetters && l.Err == nil {
		line("was", "%s of topic id %s", was(&l.Letter), l.Origin.TopicID)
	}
	if l.Whole > 0 {
		line("cut short", "it had %d bytes", l.Whole)
	}
	if l.Back != nil {
		line("redriven", "to %s/%d offset %d at %s", l.Back.Topic, l.Back.Partition, l.Back.Offset, l.Back.At.Format(time.RFC3339))
	}
	line("key", "%q", l.Record.Key)
	for _, h := range l.Record.Headers {
		line("header", "%s: %q", h.Key, h.Value)
	}
}

// body prints a value byte for byte; on a terminal so that it cannot steer it.
func body(std stdio, value []byte) error {
	if !std.terminal {
		_, err := std.out.Write(value)
		return err
	}
	var b strings.Builder
	for _, r := range string(value) {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
	}
	_, err := fmt.Fprintln(std.out, b.String())
	return err
}

// asideRedrive is what both redrives have.
type asideRedrive struct {
	redrive.Config `embed:""`

	ValueFile string `name:"value" help:"File whose bytes stand for the value of the one record that partition and offset name; - is the standard input. Empty: its own value."`
	devDir    `embed:""`
	output    `embed:""`
}

func (c *asideRedrive) validate(from asideTopic) []error {
	c.Aside = from.aside()
	f := settings.Faults(c.Config.Validate())
	f.Check(c.ValueFile == "" || len(c.Offset) == 1, "value", "is the value of one record: name it with partition and offset")
	return f
}

func (c *asideRedrive) run(ctx context.Context, std stdio) (err error) {
	if c.Dir != "" {
		c.TopicReplication = 1
	}
	if err := c.brokers(&c.Kafka); err != nil {
		return err
	}
	if c.Value, err = c.readValue(std.in); err != nil {
		return err
	}
	show := watch(std)
	c.Progress = func(text string) { show.Progress("%s", text) }
	report, err := redrive.Run(ctx, c.Config)
	show.Done()
	if report == nil {
		return err
	}
	return errors.Join(c.print(report, std), err)
}

func (c *asideRedrive) readValue(in io.Reader) ([]byte, error) {
	if c.ValueFile == "" {
		return nil, nil
	}
	if c.ValueFile != "-" {
		f, err := os.Open(c.ValueFile)
		if err != nil {
			return nil, fmt.Errorf("%w: value: %w", invoke.ErrUsage, err)
		}
		defer func() { _ = f.Close() }() // it was read only
		in = f
	}
	value, err := io.ReadAll(io.LimitReader(in, maxValue+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the value: %w", err)
	case len(value) == 0:
		return nil, fmt.Errorf("%w: value: %s is empty", invoke.ErrUsage, c.ValueFile)
	case len(value) > maxValue:
		return nil, fmt.Errorf("%w: value: %s is larger than any record", invoke.ErrUsage, c.ValueFile)
	}
	return value, nil
}

func (c *asideRedrive) print(report *redrive.Report, std stdio) error {
	found := rows.New("result", "reason", "source", "target", "becomes", "records", "bytes")
	for _, g := range report.Sorted() {
		sum := report.Groups[g]
		found.Add(string(g.Result), orNull(g.Reason), orNull(g.Source), orNull(g.Target), orNull(g.Becomes), sum.Records, sum.Bytes)
	}
	if err := found.Write(std.out, c.Output); err != nil {
		return err
	}
	if c.DryRun {
		fmt.Fprintf(std.err, "%d records would come back to %s; nothing was changed\n", report.Count(redrive.WouldBack), c.Topic)
		return nil
	}
	fmt.Fprintf(std.err, "%d records are back in %s\n", report.Count(redrive.Back), c.Topic)
	return nil
}

type deadLetterRedrive struct {
	asideRedrive `embed:""`
	From         deadLetterTopic `embed:""`
}

func (c *deadLetterRedrive) Validate() []error { return c.validate(c.From) }

type rejectedRedrive struct {
	asideRedrive `embed:""`
	From         rejectedTopic  `embed:""`
	MaxEvent     settings.Bytes `name:"max-event" default:"36KiB" help:"Largest event that is accepted."`
}

func (c *rejectedRedrive) Validate() []error {
	c.Admit = gateway.NewReadmitter(c.MaxEvent).Admit
	f := settings.Faults(c.validate(c.From))
	f.Check(c.MaxEvent >= settings.KiB && c.MaxEvent <= 64*settings.MiB, "max-event", "%s is not between 1KiB and 64MiB", c.MaxEvent)
	return f
}
