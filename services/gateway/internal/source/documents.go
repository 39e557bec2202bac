package source

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Documents are the sources as a topic holds them: by its id, what the list says of each.
type Documents map[string][]byte

// Set takes a record in: the last of a source counts, and one without a value ends it.
func (d Documents) Set(id string, text []byte) {
	if text == nil {
		delete(d, id)
		return
	}
	d[id] = text
}

// List is the text of a list of them all, in the order of their ids.
func (d Documents) List() ([]byte, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, id := range slices.Sorted(maps.Keys(d)) {
		var root yaml.Node
		if err := yaml.Unmarshal(d[id], &root); err != nil || root.Kind == 0 || root.Content[0].Kind != yaml.MappingNode {
			return nil, fmt.Errorf("the record of source %q is no source", id) // what is wrong may quote a key
		}
		if named := fieldsOf(root.Content[0])["id"]; named == nil || named.Value != id {
			return nil, fmt.Errorf("the record of source %q has another id in its value", id)
		}
		list.Content = append(list.Content, root.Content[0])
	}
	return encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("sources"), list}})
}

// Sources are what the list says, for whoever only looks at it.
func (d Documents) Sources(name string) ([]*Source, error) {
	text, err := d.List()
	if err != nil {
		return nil, err
	}
	x, err := Parse(name, text, nil)
	if err != nil {
		return nil, err
	}
	return x.sources, nil
}

// Split is the other way: what a list that is right says of each of its sources.
func Split(list []byte) (Documents, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(list, &root); err != nil {
		return nil, fmt.Errorf("split the list of sources: %w", err)
	}
	d := make(Documents)
	if root.Kind == 0 {
		return d, nil
	}
	sources := fieldsOf(resolve(root.Content[0]))["sources"]
	if sources == nil {
		return d, nil
	}
	for _, s := range sources.Content {
		one, err := encode(resolve(s))
		if err != nil {
			return nil, fmt.Errorf("split the list of sources: %w", err)
		}
		d[fieldsOf(resolve(s))["id"].Value] = one
	}
	return d, nil
}

// Edit gives the records that an edit of the list makes, and changes nothing itself.
func (d Documents) Edit(name string, edit Edit) (Documents, error) {
	list, err := d.List()
	if err != nil {
		return nil, err
	}
	before, err := Split(list) // as it is written here, whoever wrote the records
	if err != nil {
		return nil, err
	}
	next, err := Apply(name, list, edit)
	if err != nil {
		return nil, err
	}
	after, err := Split(next)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(after, func(id string, text []byte) bool { return bytes.Equal(text, before[id]) })
	return after, nil
}

func encode(n *yaml.Node) ([]byte, error) {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	err := e.Encode(n)
	return text.Bytes(), err
}
