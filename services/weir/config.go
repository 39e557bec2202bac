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

func (c *configPrint) run(_ context.Context, std stdio) error {
	found := rows.New("setting", "value", "origin", "commands")
	var lines []printed
	all := commands(c.Command)
	for _, name := range all {
		inv, err := look(name, c.Args, std.file)
		if inv == nil {
			return err
		}
		for _, s := range inv.Settings {
			lines = merge(lines, s, name)
		}
	}
	slices.SortStableFunc(lines, func(a, b printed) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range lines {
		found.Add(l.Name, l.Value, l.Origin, strings.Join(l.commands, " "))
	}
	return found.Write(std.out, c.Output)
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

func (c *configCheck) run(_ context.Context, std stdio) error {
	var faults []error
	for _, name := range commands(c.Command) {
		if _, err := look(name, c.Args, std.file); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(faults) == 0 {
		fmt.Fprintln(std.out, "The settings are right.")
	}
	return errors.Join(faults...)
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
