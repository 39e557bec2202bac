package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"go.yaml.in/yaml/v3"

	"weir/pkg/lake"
)

// maxFile bounds sources.yaml: some 100,000 sources.
const maxFile = 64 << 20

type fileForm struct {
	Sources []sourceForm `yaml:"sources"`
}

type sourceForm struct {
	ID        string   `yaml:"id"`
	Name      string   `yaml:"name"`
	Enabled   *bool    `yaml:"enabled"` // left out = true
	WriteKeys []string `yaml:"write_keys"`
}

// Parse reads the text of sources.yaml. Every fault is reported, each by the place
// of its source; a key is never part of a fault.
func Parse(text []byte) (*Index, error) {
	var form fileForm
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&form); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(quoted().ReplaceAllString(err.Error(), "a value"))
	}
	b := builder{
		index:  &Index{plain: make(map[digest]*Source)},
		ids:    make(map[string]int),
		owners: make(map[string]int),
	}
	for i, s := range form.Sources {
		b.add(i+1, s)
	}
	b.findHidden()
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	return b.index, nil
}

// Load reads and parses a file.
func Load(path string) (*Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	x, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

// quoted finds the values that a YAML error repeats: one may be a write key.
func quoted() *regexp.Regexp { return regexp.MustCompile("`[^`]*`") }

type builder struct {
	index  *Index
	ids    map[string]int // id → place
	owners map[string]int // write key as written → place
	faults []error
}

func (b *builder) fault(place int, id, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	b.faults = append(b.faults, fmt.Errorf("source %d (id %q): %s", place, id, what))
}

func (b *builder) add(place int, f sourceForm) {
	if !lake.ValidSourceID([]byte(f.ID)) {
		b.fault(place, f.ID, "an id has 1 to 128 characters of A-Z a-z 0-9 . _ - and is neither . nor ..")
	}
	if first, ok := b.ids[f.ID]; ok {
		b.fault(place, f.ID, "source %d has the same id", first)
	}
	b.ids[f.ID] = place
	s := &Source{ID: f.ID, Key: []byte(f.ID), Name: f.Name, Enabled: f.Enabled == nil || *f.Enabled}
	b.index.sources = append(b.index.sources, s)
	if s.Enabled && len(f.WriteKeys) == 0 {
		b.fault(place, f.ID, "write_keys is empty: nobody could send for it")
	}
	for i, key := range f.WriteKeys {
		b.addKey(place, i+1, s, key)
	}
}

func (b *builder) addKey(place, nth int, s *Source, key string) {
	if key == "" {
		b.fault(place, s.ID, "write key %d is empty", nth)
		return
	}
	if first, ok := b.owners[key]; ok {
		b.fault(place, s.ID, "write key %d stands at source %d too", nth, first)
		return
	}
	b.owners[key] = place
	salt, sum, isSalted, fault := parseKey(key)
	switch {
	case fault != "":
		b.fault(place, s.ID, "write key %d: %s", nth, fault)
	case isSalted:
		b.index.salted = append(b.index.salted, salted{salt: salt, sum: sum, source: s})
	default:
		b.index.plain[sum] = s
	}
}

// findHidden reports a key that stands plain at one source and salted at another.
func (b *builder) findHidden() {
	for key, place := range b.owners {
		s, isPlain := b.index.plain[digest(sha256.Sum256([]byte(key)))]
		if !isPlain {
			continue
		}
		if other := b.index.search([]byte(key)); other != nil && other != s {
			b.fault(place, s.ID, "one of its write keys stands, salted, at source %d too", b.ids[other.ID])
		}
	}
}
