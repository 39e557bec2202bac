package invoke

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// collector is a value's mapper that notes a fault and lets the parse go on.
type collector struct {
	inner  kong.Mapper
	parser *parser
	enum   string
}

// Decode leaves the default in place of a value that cannot be read.
func (c *collector) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	p := c.parser
	if text, ok := ctx.Scan.Peek().Value.(string); ok && isNegative(text) && !c.IsBool() {
		ctx.Scan.Pop() // kong takes it for a flag
		ctx.Scan.PushTyped(text, kong.FlagValueToken)
	}
	err := c.inner.Decode(ctx, target)
	if err == nil {
		err = c.checkEnum(target)
	}
	if p.source == "default" {
		return err
	}
	if err == nil {
		p.origins[ctx.Value] = p.source
		return nil
	}
	reason := strings.TrimPrefix(err.Error(), "--"+ctx.Value.Name+": ")
	if p.source != "flag" {
		reason += " (" + p.source + ")"
	}
	noted := &p.faults
	if p.file.path != "" && strings.HasPrefix(p.source, p.file.path+":") {
		noted = &p.inFile
	}
	noted.Addf(ctx.Value.Name, "%s", reason)
	if !ctx.Value.HasDefault {
		target.Set(reflect.Zero(target.Type()))
		return nil
	}
	ctx.Scan = kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: ctx.Value.Default})
	return c.inner.Decode(ctx, target)
}

// isNegative tells a value that begins as a negative number does from a flag.
func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && arg[1]-'0' <= 9
}

// IsBool: such a flag stands without a value.
func (c *collector) IsBool() bool {
	b, ok := c.inner.(kong.BoolMapper)
	return ok && b.IsBool()
}

func (c *collector) checkEnum(target reflect.Value) error {
	if c.enum == "" {
		return nil
	}
	allowed := strings.Split(c.enum, ",")
	if text := textOf(target); !slices.Contains(allowed, text) {
		return fmt.Errorf("%q does not exist: want %s", text, strings.Join(allowed, ", "))
	}
	return nil
}

// Validate and Resolve make the parser kong's resolver: the environment, then
// the file.
func (p *parser) Validate(*kong.Application) error { return nil }

// Resolve says what a flag that was not given is set to; nil leaves the default.
// A variable that is set to nothing counts as not set.
func (p *parser) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	for _, name := range p.envs[f.Value] {
		if text, _ := p.in.Env(name); text != "" {
			p.source = name
			return text, nil
		}
	}
	if e, ok := p.file.entries[f.Name]; ok {
		p.source = fmt.Sprintf("%s:%d", p.file.path, e.line)
		return e.text, nil
	}
	return nil, nil
}
