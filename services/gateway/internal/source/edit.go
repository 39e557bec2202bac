package source

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// activeKeys is how many write keys a rotation leaves: the new one, and the one that
// clients still have.
const activeKeys = 2

// Edit is one change of the list of sources, as its text has it.
type Edit func(list *yaml.Node) error

// Secret is a new write key, and the salt that it is hashed with where the list has
// none yet. One salt serves all keys that are made here: it keeps guesses at short keys
// from being made for all at once, and these are too long to be guessed.
type Secret struct{ Key, Salt string }

// Add puts a new source at the end of the list.
func Add(id, name string, s Secret) Edit {
	return func(list *yaml.Node) error {
		if found, _ := find(list, id); found != nil {
			return fmt.Errorf("source %s is there already: weir sources rotate gives it a new write key", id)
		}
		fields := []*yaml.Node{text("id"), text(id)}
		if name != "" {
			fields = append(fields, text("name"), text(name))
		}
		keys := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{text(HashKey(saltOf(list, s.Salt), s.Key))}}
		fields = append(fields, text("enabled"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}, text("write_keys"), keys)
		if len(list.Content) == 0 {
			list.Style = 0 // "sources: []" was written on one line
		}
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.MappingNode, Content: fields})
		return nil
	}
}

// Rotate gives a source one more write key, and takes the oldest away where there are
// enough already.
func Rotate(id string, s Secret) Edit {
	return onKeys(id, func(list, keys *yaml.Node) {
		keys.Content = append(keys.Content, text(HashKey(saltOf(list, s.Salt), s.Key)))
		keys.Content = keys.Content[max(0, len(keys.Content)-activeKeys):]
	})
}

// Retire takes all write keys of a source away but the newest.
func Retire(id string) Edit {
	return onKeys(id, func(_, keys *yaml.Node) { keys.Content = keys.Content[max(0, len(keys.Content)-1):] })
}

// Enable switches a source on or off.
func Enable(id string, on bool) Edit {
	return func(list *yaml.Node) error {
		s, err := mustFind(list, id)
		if err != nil {
			return err
		}
		*fieldOf(s, "enabled") = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: fmt.Sprint(on)}
		return nil
	}
}

func onKeys(id string, change func(list, keys *yaml.Node)) Edit {
	return func(list *yaml.Node) error {
		s, err := mustFind(list, id)
		if err != nil {
			return err
		}
		keys := fieldOf(s, "write_keys")
		if keys.Kind == yaml.AliasNode {
			return fmt.Errorf("source %s has its write keys by an alias: edit them by hand", id)
		}
		if keys.Kind != yaml.SequenceNode {
			*keys = yaml.Node{Kind: yaml.SequenceNode}
		}
		change(list, keys)
		return nil
	}
}

// Apply edits the text of a list of sources. Comments stay, and so does the order. What
// was wrong before is not edited, and what would be wrong afterwards is not given back.
func Apply(path string, old []byte, edit Edit) ([]byte, error) {
	if _, err := Parse(path, old, nil); err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(old, &root); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if root.Kind == 0 {
		root = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	if isNull(root.Content[0]) {
		root.Content[0] = &yaml.Node{Kind: yaml.MappingNode}
	}
	list := resolve(fieldOf(resolve(root.Content[0]), "sources"))
	if list.Kind != yaml.SequenceNode {
		*list = yaml.Node{Kind: yaml.SequenceNode, HeadComment: list.HeadComment, LineComment: list.LineComment, FootComment: list.FootComment}
	}
	if err := edit(list); err != nil {
		return nil, err
	}
	next, err := encode(&root)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	_, err = Parse(path, next, nil)
	return next, err
}

// find gives a source's fields; isAlias where it is written as another one's.
func find(list *yaml.Node, id string) (s *yaml.Node, isAlias bool) {
	for _, n := range list.Content {
		fields := resolve(n)
		for i := 0; i+1 < len(fields.Content); i += 2 {
			if fields.Content[i].Value == "id" && resolve(fields.Content[i+1]).Value == id {
				return fields, n.Kind == yaml.AliasNode
			}
		}
	}
	return nil, false
}

func mustFind(list *yaml.Node, id string) (*yaml.Node, error) {
	s, isAlias := find(list, id)
	switch {
	case s == nil:
		return nil, fmt.Errorf("there is no source %s: weir sources list shows which there are", id)
	case isAlias:
		return nil, fmt.Errorf("source %s is written as an alias: edit it by hand", id)
	}
	return s, nil
}

// fieldOf gives the value of a mapping's field, which is made where it is not there.
func fieldOf(m *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i+1]
		}
	}
	value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	m.Content = append(m.Content, text(name), value)
	return value
}

func text(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s) // quoted where it would not be read as a text
	return n
}

// saltOf is the salt of the first key that has one, or fresh.
func saltOf(list *yaml.Node, fresh string) string {
	for _, s := range list.Content {
		keys := fieldsOf(resolve(s))["write_keys"]
		if keys == nil {
			continue
		}
		at := slices.IndexFunc(keys.Content, func(k *yaml.Node) bool { return strings.HasPrefix(resolve(k).Value, "sha256:") })
		if at >= 0 {
			return strings.Split(resolve(keys.Content[at]).Value, ":")[1]
		}
	}
	return fresh
}

func fieldsOf(m *yaml.Node) map[string]*yaml.Node {
	found := make(map[string]*yaml.Node, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		found[m.Content[i].Value] = resolve(m.Content[i+1])
	}
	return found
}
