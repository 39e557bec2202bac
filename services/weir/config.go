package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"weir/services/query/rows"
	"weir/services/weir/internal/invoke"
)

// configCommands look at the settings of a command without starting it.
type configCommands struct {
	Print configPrint `cmd:"" help:"Every setting with its value and where it comes from."`
	Check configCheck `cmd:"" help:"Say what is wrong, or that nothing is."`
}

// services are the commands whose settings are looked at when none is named.
func services() []string { return []string{"gateway", "sink", "catalog", "query", "verify"} }

type configPrint struct {
	Command string   `arg:"" optional:"" help:"The command; without it all services."`
	Args    []string `arg:"" optional:"" passthrough:"" help:"Flags of that command."`
	output  `embed:""`
}

// Inspects makes a wrong file its subject, not a reason to stop.
func (*configPrint) Inspects() {}

// run prints what can be read, and then everything that is wrong.
func (c *configPrint) run(_ context.Context, std stdio) error {
	found := rows.New("setting", "value", "origin", "commands")
	var lines []printed
	var wrong faults
	for _, name := range commands(c.Command) {
		inv, err := look(name, c.Args, std.file)
		wrong.add(name, err)
		if inv == nil {
			return wrong.err(c.Command == "")
		}
		for _, s := range inv.Settings {
			lines = merge(lines, s, name)
		}
	}
	slices.SortStableFunc(lines, func(a, b printed) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range lines {
		found.Add(l.Name, l.Value, l.Origin, strings.Join(l.commands, " "))
	}
	if err := found.Write(std.out, c.Output); err != nil {
		return err
	}
	return wrong.err(c.Command == "")
}

// printed is a setting and the commands for which it is the same.
type printed struct {
	invoke.Setting
	commands []string
}

func merge(lines []printed, s invoke.Setting, command string) []printed {
	for i, l := range lines {
		if l.Name == s.Name && l.Value == s.Value && l.Origin == s.Origin {
			lines[i].commands = append(l.commands, command)
			return lines
		}
	}
	return append(lines, printed{Setting: s, commands: []string{command}})
}

type configCheck struct {
	Command string   `arg:"" optional:"" help:"The command; without it all services."`
	Args    []string `arg:"" optional:"" passthrough:"" help:"Flags of that command."`
}

// Inspects makes a wrong file its subject, not a reason to stop.
func (*configCheck) Inspects() {}

// run looks at all services where none is named: a host that runs one of them sees
// what the others lack too, and which are right.
func (c *configCheck) run(_ context.Context, std stdio) error {
	var wrong faults
	all := commands(c.Command)
	for _, name := range all {
		_, err := look(name, c.Args, std.file)
		wrong.add(name, err)
	}
	if len(wrong) == 0 {
		fmt.Fprintln(std.out, "The settings are right.")
	} else if c.Command == "" {
		for _, name := range all {
			fmt.Fprintf(std.out, "%-8s %s\n", name, wrong.state(name))
		}
		fmt.Fprintln(std.out, "To look at one of them alone: weir config check sink")
	}
	return wrong.err(c.Command == "")
}

// faults are what is wrong for several commands, each once.
type faults []wrongSetting

type wrongSetting struct {
	fault    error
	commands []string
}

func (f *faults) add(command string, err error) {
	if err == nil {
		return
	}
	each := invoke.Faults{err}
	_ = errors.As(err, &each) // another error is one fault
	for _, fault := range each {
		at := slices.IndexFunc(*f, func(w wrongSetting) bool { return w.fault.Error() == fault.Error() })
		if at < 0 {
			at = len(*f)
			*f = append(*f, wrongSetting{fault: fault})
		}
		(*f)[at].commands = append((*f)[at].commands, command)
	}
}

func (f faults) state(command string) string {
	n := 0
	for _, w := range f {
		if slices.Contains(w.commands, command) {
			n++
		}
	}
	if n == 0 {
		return "right"
	}
	return fmt.Sprintf("%d wrong", n)
}

// err is one list; named says for which commands each fault is one.
func (f faults) err(named bool) error {
	var all invoke.Faults
	for _, w := range f {
		if named {
			w.fault = fmt.Errorf("%w (%s)", w.fault, strings.Join(w.commands, ", "))
		}
		all = append(all, w.fault)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func commands(named string) []string {
	if named == "" {
		return services()
	}
	return []string{named}
}

// look reads the settings of a command as starting it would.
func look(name string, args []string, file string) (*invoke.Invocation, error) {
	line := []string{name}
	if file != "" && !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config") }) {
		line = append(line, "--config", file)
	}
	return invoke.Parse(&grammar{}, description, input(append(line, args...), io.Discard))
}
