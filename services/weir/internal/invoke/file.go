package invoke

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// file is a settings file: flat, one setting a line.
type file struct {
	path    string
	entries map[string]entry
}

type entry struct {
	text string
	line int
}

// readFile reads the file that --config or WEIR_CONFIG names. One file may serve
// all commands, so a setting of any of them is known; any other key is a fault.
func (p *parser) readFile(ctx *kong.Context) {
	path := ""
	for _, f := range ctx.Flags() {
		if f.Name == configFlag {
			path, _ = ctx.FlagValue(f).(string)
		}
	}
	if path == "" {
		path, _ = p.in.Env(envName(configFlag))
	}
	if path == "" {
		return
	}
	p.file = file{path: path, entries: make(map[string]entry)}
	text, err := p.in.ReadFile(path)
	if err != nil {
		p.inFile.AddErr(configFlag, err)
		return
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		p.inFile.AddErr(configFlag, fmt.Errorf("%s: %w", path, err))
		return
	}
	if root.Kind == 0 || root.Content[0].Tag == "!!null" {
		return // empty
	}
	if root.Content[0].Kind != yaml.MappingNode {
		p.inFile.AddErr(configFlag, fmt.Errorf("%s: want lines such as file-age: 60s", path))
		return
	}
	pairs := root.Content[0].Content
	for i := 0; i < len(pairs); i += 2 {
		if err := p.addEntry(pairs[i], pairs[i+1]); err != nil {
			p.inFile = append(p.inFile, fmt.Errorf("%s:%d: %w", path, pairs[i].Line, err))
		}
	}
}

func (p *parser) addEntry(key, value *yaml.Node) error {
	known := p.known()
	if !slices.Contains(known, key.Value) {
		return fmt.Errorf("%s is no setting%s", key.Value, suggest(key.Value, known))
	}
	if first, ok := p.file.entries[key.Value]; ok {
		return fmt.Errorf("%s is set twice, first in line %d", key.Value, first.line)
	}
	text, err := scalar(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key.Value, err)
	}
	p.file.entries[key.Value] = entry{text: text, line: key.Line}
	return nil
}

// known lists the settings of all commands.
func (p *parser) known() []string {
	var names []string
	each(p.kong.Model.Node, func(n *kong.Node) {
		for _, f := range n.Flags {
			if isSetting(f) && f.Name != configFlag {
				names = append(names, f.Name)
			}
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// scalar is a value as a flag would have it; a list is its elements.
func scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return scalar(n.Alias)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return "", fmt.Errorf("it has no value")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, e := range n.Content {
			text, err := item(e)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return kong.JoinEscaped(parts, ','), nil
	}
	return "", fmt.Errorf("want a value or a list: the file is flat")
}

// item is an element of a list: a value, or a pair such as properties.revenue: double.
func item(n *yaml.Node) (string, error) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return scalar(n)
	}
	value, err := scalar(n.Content[1])
	return n.Content[0].Value + ": " + value, err
}

// suggest names the setting that was perhaps meant.
func suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ReplaceAll(name, "_", "-"), k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// distance is how many letters must be put in, taken out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
