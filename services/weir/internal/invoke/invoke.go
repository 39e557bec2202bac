// Package invoke turns one command line, the environment and a settings file
// into a command that is ready to run, or into the list of everything that is
// wrong with them. A setting has one name in three spellings (--file-age 60s,
// WEIR_FILE_AGE=60s, file-age: 60s); a flag wins over the environment, that over
// the file, that over the default. What a value means is checked by the command's
// own Validate, and what is done with it is the command's. Owned by whoever owns
// the binary.
package invoke

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"weir/pkg/settings"
)

// envPrefix begins every variable that is a setting.
const envPrefix = "WEIR_"

// configFlag names the settings file. It is no setting of the file itself.
const configFlag = "config"

// Input is everything that an invocation depends on.
type Input struct {
	Args     []string // without the program's name
	Env      func(name string) (value string, set bool)
	ReadFile func(path string) ([]byte, error)
	Stdout   io.Writer // help goes there
	Vars     kong.Vars // for the grammar's ${…}
}

// Invocation is a command with all its settings.
type Invocation struct {
	Command  string // "catalog tables"; "" when only help was asked for
	Target   any    // pointer to the command's struct
	Settings []Setting
	File     string // the settings file; "" = none
}

// Setting is one effective setting.
type Setting struct {
	Name   string
	Value  string // masked where it is a secret
	Origin string // "flag", "WEIR_FILE_AGE", "weir.yaml:3", "default"
	Help   string
}

// Validator is a command that can say what is wrong with its settings.
type Validator interface{ Validate() []error }

// Inspector is a command that looks at other commands' settings. What is wrong in
// the file is not reported for it: it is what the command is to say.
type Inspector interface{ Inspects() }

// ErrUsage is what every Faults is.
var ErrUsage = errors.New("wrong usage")

// Faults is everything that is wrong with one invocation, each fault once.
type Faults []error

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = "\n  " + fault.Error()
	}
	return ErrUsage.Error() + ":" + strings.Join(lines, "")
}

func (f Faults) Unwrap() error { return ErrUsage }

// Parse fills grammar, a pointer to a struct with kong's tags. The error of
// wrong usage is a Faults.
func Parse(grammar any, description string, in Input) (*Invocation, error) {
	p := &parser{in: in, envs: make(map[*kong.Value][]string), origins: make(map[*kong.Value]string)}
	k, err := kong.New(grammar, kong.Name("weir"), kong.Description(description), in.Vars,
		kong.Writers(in.Stdout, in.Stdout), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.ValueFormatter(p.withEnv))
	if err != nil {
		return nil, fmt.Errorf("the command grammar: %w", err)
	}
	p.kong = k
	p.prepare()
	return p.parse()
}

// parser is one pass over the sources of settings.
type parser struct {
	in      Input
	kong    *kong.Kong
	file    file
	faults  settings.Faults
	inFile  settings.Faults          // those of the settings file
	envs    map[*kong.Value][]string // variables that set it, the first that is set counts
	origins map[*kong.Value]string   // of what was set
	source  string                   // where the value that is read now comes from
}

// prepare makes every value collect its fault instead of ending the parse, and
// takes the environment out of kong's hands, which has no room for a file below
// it.
func (p *parser) prepare() {
	each(p.kong.Model.Node, func(n *kong.Node) {
		for _, f := range n.Flags {
			if !isSetting(f) {
				continue
			}
			p.envs[f.Value] = append([]string{envName(f.Name)}, f.Tag.Envs...)
			f.Tag.Envs, f.Envs = nil, nil
			f.Mapper = &collector{inner: f.Mapper, parser: p, enum: f.Enum}
			f.Enum, f.Tag.Enum = "", ""
		}
	})
}

func (p *parser) parse() (*Invocation, error) {
	ctx := p.trace()
	if helped, err := p.help(ctx); helped {
		return &Invocation{}, err
	}
	p.readFile(ctx)
	ctx.AddResolver(p)
	p.source = "default"
	p.note("", ctx.Reset())
	p.note("", ctx.Resolve())
	if _, err := ctx.Apply(); err != nil {
		p.note("", err)
	}
	node := ctx.Selected()
	if len(p.faults) == 0 || node != nil {
		p.note("", ctx.Validate())
	}
	if node == nil {
		return nil, p.fail(nil)
	}
	inv := &Invocation{Command: strings.TrimSuffix(node.Path(), " run"), Target: node.Target.Addr().Interface(), Settings: p.effective(ctx), File: p.file.path}
	p.validate(inv.Target)
	return inv, p.fail(inv.Target)
}

// trace reads the command line. Arguments that mean nothing are noted and left
// out, so that the rest is looked at too.
func (p *parser) trace() *kong.Context {
	args := slices.Clone(p.in.Args)
	var unknown settings.Faults
	for {
		p.faults, p.source = nil, "flag"
		clear(p.origins)
		ctx, err := kong.Trace(p.kong, args)
		if ctx != nil {
			err = cmp.Or(err, ctx.Error)
		}
		if err == nil {
			p.faults = append(unknown, p.faults...)
			return ctx
		}
		unknown = append(unknown, err)
		at, n := culprit(ctx, args)
		if n == 0 {
			p.faults = append(unknown, p.faults...)
			return ctx
		}
		args = slices.Delete(args, at, at+n)
	}
}

// culprit finds the argument that a trace failed on: a flag that nothing on the
// way knows, with its value, or a word that fits nowhere.
func culprit(ctx *kong.Context, args []string) (at, n int) {
	known := make(map[string]bool)
	flags := ctx.Flags()
	if node := ctx.Selected(); node != nil && node.DefaultCmd != nil {
		flags = slices.Concat(flags, node.DefaultCmd.Flags)
	}
	for _, f := range flags {
		known["--"+f.Name] = true
		known["--no-"+f.Name] = f.Tag.Negatable != ""
		known["-"+string(f.Short)] = f.Short != 0
	}
	for i, a := range args {
		if a == "--" {
			break
		}
		name, _, hasValue := strings.Cut(a, "=")
		if !strings.HasPrefix(a, "-") || isNegative(a) || known[name] {
			continue
		}
		if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") && !isCommand(ctx, args[i+1]) {
			return i, 2
		}
		return i, 1
	}
	for i, a := range args {
		if ctx.Error != nil && ctx.Error.Error() == "unexpected argument "+a {
			return i, 1
		}
	}
	return 0, 0
}

func isCommand(ctx *kong.Context, word string) bool {
	node := ctx.Selected()
	if node == nil {
		node = ctx.Model.Node
	}
	return slices.ContainsFunc(node.Children, func(n *kong.Node) bool { return n.Name == word })
}

// help prints what was asked for. A command that runs when no subcommand is named
// shows its settings too.
func (p *parser) help(ctx *kong.Context) (bool, error) {
	asked := slices.ContainsFunc(ctx.Path, func(el *kong.Path) bool { return el.Flag != nil && el.Flag.Name == "help" })
	if !asked {
		return false, nil
	}
	err := ctx.PrintUsage(false)
	if node := ctx.Selected(); err == nil && node != nil && node.DefaultCmd != nil {
		inner, traceErr := kong.Trace(p.kong, append(strings.Fields(ctx.Command()), node.DefaultCmd.Name))
		if traceErr != nil {
			return true, traceErr
		}
		fmt.Fprintln(p.in.Stdout)
		err = inner.PrintUsage(false)
	}
	return true, err
}

func (p *parser) validate(target any) {
	v, ok := target.(Validator)
	if !ok {
		return
	}
	bad := make(map[string]bool) // what could not be read has its default now, which is no news
	for _, f := range slices.Concat(p.faults, p.inFile) {
		var fault settings.Fault
		if errors.As(f, &fault) {
			bad[fault.Setting] = true
		}
	}
	for _, err := range v.Validate() {
		var fault settings.Fault
		if !errors.As(err, &fault) || !bad[fault.Setting] {
			p.faults = append(p.faults, err)
		}
	}
}

func (p *parser) note(setting string, err error) {
	switch {
	case err == nil:
	case setting == "":
		p.faults = append(p.faults, err)
	default:
		p.faults.AddErr(setting, err)
	}
}

// fail lists what was noted, the file's faults unless the command looks for them.
func (p *parser) fail(target any) error {
	all := slices.Concat(p.inFile, p.faults)
	if _, looks := target.(Inspector); looks {
		all = p.faults
	}
	var each Faults
	for _, f := range all {
		if !slices.ContainsFunc(each, func(e error) bool { return e.Error() == f.Error() }) {
			each = append(each, f)
		}
	}
	if len(each) == 0 {
		return nil
	}
	return each
}

// isSetting: help is none.
func isSetting(f *kong.Flag) bool { return f.Name != "help" }

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// withEnv is a flag's help with its spelling as a variable.
func (p *parser) withEnv(v *kong.Value) string {
	names := p.envs[v]
	if len(names) == 0 {
		return v.Help
	}
	return strings.TrimSpace(v.Help + " ($" + strings.Join(names, ", $") + ")")
}

func each(n *kong.Node, do func(*kong.Node)) {
	do(n)
	for _, child := range n.Children {
		each(child, do)
	}
}

// effective lists what the command runs with, by name.
func (p *parser) effective(ctx *kong.Context) []Setting {
	var all []Setting
	for _, f := range ctx.Flags() {
		if !isSetting(f) || f.Name == configFlag {
			continue
		}
		all = append(all, Setting{
			Name:   f.Name,
			Value:  shown(f),
			Origin: cmp.Or(p.origins[f.Value], "default"),
			Help:   f.Help,
		})
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// shown is a value as it may be written back, or a mask where it is a secret.
func shown(f *kong.Flag) string {
	text := textOf(f.Target)
	secret := f.Tag.Has("secret") || strings.HasSuffix(f.Name, "-password") || strings.HasSuffix(f.Name, "-secret")
	if secret && text != "" {
		return "********"
	}
	return text
}

func textOf(v reflect.Value) string {
	if d, ok := v.Interface().(time.Duration); ok {
		return shortDuration(d)
	}
	if m, ok := v.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	if v.Kind() == reflect.Slice {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = textOf(v.Index(i))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v.Interface())
}

// shortDuration leaves out the zeros at the end: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
