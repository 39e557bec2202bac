package source

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// form is one source as the file has it. What is left out, or null, is zero.
type form struct {
	line       int
	id, name   scalar
	disabled   bool
	hasKeys    bool // something stands under write_keys
	keys       []writeKey
	policy     policy
	unreadable bool // it is no source at all
}

type scalar struct {
	text       string
	line       int
	unreadable bool
}

type writeKey struct {
	scalar
	nth int // in its list, from 1
}

// read gives the sources of the file. It goes on behind a fault wherever the text is
// YAML; where it is not, the rest cannot be read.
func (b *builder) read(text []byte) []form {
	var root, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&root); err != nil && err != io.EOF {
		b.syntax(err)
		return nil
	}
	switch err := documents.Decode(&more); err {
	case nil:
		b.fault(more.Line, "another YAML document begins here: want one, with all sources")
	case io.EOF:
	default:
		b.syntax(err)
	}
	if root.Kind == 0 || isNull(root.Content[0]) {
		return nil
	}
	list := b.fields(root.Content[0], "sources")["sources"]
	if list == nil || isNull(list) {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		b.fault(list.Line, "sources: want a list")
		return nil
	}
	forms := make([]form, len(list.Content))
	for i, n := range list.Content {
		forms[i] = b.source(i+1, n)
	}
	return forms
}

func (b *builder) source(place int, n *yaml.Node) form {
	line := n.Line
	n = resolve(n)
	f := form{line: line, unreadable: n.Kind != yaml.MappingNode}
	fields := b.fields(n, "id", "name", "enabled", "write_keys",
		"limits", "allowed_origins", "ip", "drop", "hmac", "blocked_events", "suppressed_users")
	f.id = b.scalar(place, line, "id", fields["id"])
	f.name = b.scalar(place, line, "name", fields["name"])
	if enabled := fields["enabled"]; enabled != nil && !isNull(enabled) {
		var yes bool
		if enabled.Decode(&yes) != nil {
			b.fault(enabled.Line, "source %d: enabled: want true or false", place)
		}
		f.disabled = !yes
	}
	f.policy = b.policy(place, fields)
	keys := fields["write_keys"]
	if keys == nil || isNull(keys) {
		return f
	}
	if keys.Kind != yaml.SequenceNode {
		b.fault(keys.Line, "source %d: write_keys: want a list", place)
		f.hasKeys = true
		return f
	}
	f.hasKeys = len(keys.Content) > 0
	for i, key := range keys.Content {
		text := b.scalar(place, key.Line, "write key "+strconv.Itoa(i+1), key)
		f.keys = append(f.keys, writeKey{text, i + 1})
	}
	return f
}

// scalar is the text of a field; missing says the line where it is missed.
func (b *builder) scalar(place, missing int, name string, n *yaml.Node) scalar {
	if n == nil || isNull(resolve(n)) {
		return scalar{line: missing}
	}
	if resolve(n).Kind != yaml.ScalarNode {
		b.fault(n.Line, "source %d: %s: want a text", place, name)
		return scalar{line: n.Line, unreadable: true}
	}
	return scalar{text: resolve(n).Value, line: n.Line}
}

// fields are a mapping's known fields. The name of another one is not told: where the
// indentation is wrong, it may be a key.
func (b *builder) fields(n *yaml.Node, known ...string) map[string]*yaml.Node {
	want := "want " + strings.Join(known, ", ")
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		b.fault(n.Line, "%s", want)
		return nil
	}
	found := make(map[string]*yaml.Node)
	for i := 0; i < len(n.Content); i += 2 {
		name, line := n.Content[i].Value, n.Content[i].Line
		switch {
		case !slices.Contains(known, name):
			b.fault(line, "unknown field: %s", want)
		case found[name] != nil:
			b.fault(line, "%s is set twice", name)
		default:
			found[name] = resolve(n.Content[i+1])
		}
	}
	return found
}

// resolve gives what an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// syntax is a fault of the YAML itself. What it quotes may be a key.
func (b *builder) syntax(err error) {
	text := regexp.MustCompile("anchor '[^']*'|`[^`]*`").ReplaceAllString(err.Error(), "anchor")
	line := 1
	if m := regexp.MustCompile(`^yaml: line (\d+): (.*)$`).FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	b.fault(line, "%s", text)
}
