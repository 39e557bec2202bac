package source

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"weir/pkg/lake"
	"weir/services/gateway/internal/intake"
)

// maxFile bounds sources.yaml: some 100,000 sources.
const maxFile = 64 << 20

// maxFaults bounds what is told of one file: who sees a hundred lines mends the
// file's making, not the lines.
const maxFaults = 100

// Faults is everything that is wrong with the content of a file.
type Faults []error

func (f Faults) Error() string { return errors.Join(f...).Error() }

// Unwrap gives each fault to errors.Is and errors.As.
func (f Faults) Unwrap() []error { return f }

// Check gives every fault of a file: what Open would fail with, one by one.
func Check(path string) []error {
	_, err := loadSome(path)
	var faults Faults
	if errors.As(err, &faults) {
		return faults
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// Load reads and parses a file, for whoever takes events.
func Load(path string) (*Index, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, text, FileSecrets(path))
}

// LoadList reads and parses a file, for whoever only looks at it: the keys of its HMACs
// need not be there.
func LoadList(path string) ([]*Source, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	x, err := Parse(path, text, nil)
	if err != nil {
		return nil, err
	}
	return x.sources, nil
}

func readFile(path string) ([]byte, error) {
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
	return text, nil
}

// Parse reads the text of sources.yaml. Every fault is reported, each by its line in
// the file that path names; nothing that could be a key is part of a fault.
func Parse(path string, text []byte, secrets Secrets) (*Index, error) {
	b := builder{
		path: path, secrets: secrets,
		index:  &Index{plain: make(map[digest]*Source)},
		ids:    make(map[string]int),
		owners: make(map[string]origin),
		salts:  make(map[string]int),
	}
	for i, f := range b.read(text) {
		b.add(i+1, f)
	}
	b.findHidden()
	if len(b.faults) > 0 {
		return nil, b.told()
	}
	for _, s := range b.index.sources {
		s.Rules = intake.NewRules(s.Policy)
	}
	return b.index, nil
}

type builder struct {
	path    string
	secrets Secrets
	index   *Index
	ids     map[string]int    // id → place
	owners  map[string]origin // write key as written → where it stands first
	salts   map[string]int    // salt → place in index.salted
	faults  []fault
}

type fault struct {
	line int
	text string
}

// origin is where a write key stands: the place of its source, and its line.
type origin struct{ place, line int }

func (b *builder) fault(line int, format string, args ...any) {
	b.faults = append(b.faults, fault{line: line, text: fmt.Sprintf(format, args...)})
}

func (b *builder) faultOf(line, place int, id, format string, args ...any) {
	b.fault(line, "source %d (id %q): %s", place, id, fmt.Sprintf(format, args...))
}

func (b *builder) add(place int, f form) {
	if f.unreadable || f.id.unreadable {
		return // it has its faults
	}
	if !lake.ValidSourceID([]byte(f.id.text)) {
		b.faultOf(f.id.line, place, f.id.text, "an id has 1 to 128 characters of A-Z a-z 0-9 . _ - and is neither . nor ..")
	}
	if first, ok := b.ids[f.id.text]; ok {
		b.faultOf(f.id.line, place, f.id.text, "source %d has the same id", first)
	}
	b.ids[f.id.text] = place
	s := &Source{
		ID: f.id.text, Key: []byte(f.id.text), Name: f.name.text, Enabled: !f.disabled, WriteKeys: len(f.keys),
		Limits: f.policy.limits, Origins: f.policy.origins, Policy: f.policy.event,
	}
	b.index.sources = append(b.index.sources, s)
	if s.Enabled && !f.hasKeys {
		b.faultOf(f.line, place, s.ID, "write_keys is empty: nobody could send for it")
	}
	for _, key := range f.keys {
		if !key.unreadable {
			b.addKey(place, s, key)
		}
	}
}

func (b *builder) addKey(place int, s *Source, key writeKey) {
	if key.text == "" {
		b.faultOf(key.line, place, s.ID, "write key %d is empty", key.nth)
		return
	}
	if len(key.text) > maxKey {
		b.faultOf(key.line, place, s.ID, "write key %d is longer than %d bytes", key.nth, maxKey)
		return
	}
	if first, ok := b.owners[key.text]; ok {
		b.faultOf(key.line, place, s.ID, "write key %d stands at source %d too", key.nth, first.place)
		return
	}
	b.owners[key.text] = origin{place: place, line: key.line}
	salt, sum, isSalted, fault := parseKey(key.text)
	switch {
	case fault != "":
		b.faultOf(key.line, place, s.ID, "write key %d: %s", key.nth, fault)
	case isSalted:
		b.addSalted(salt, sum, s)
	default:
		b.index.plain[sum] = s
	}
}

func (b *builder) addSalted(salt string, sum digest, s *Source) {
	at, ok := b.salts[salt]
	if !ok {
		at = len(b.index.salted)
		b.salts[salt] = at
		b.index.salted = append(b.index.salted, salted{salt: salt, sums: make(map[digest]*Source)})
	}
	b.index.salted[at].sums[sum] = s
}

// findHidden reports a key that stands plain at one source and salted at another.
func (b *builder) findHidden() {
	for key, at := range b.owners {
		s, isPlain := b.index.plain[digest(sha256.Sum256([]byte(key)))]
		if !isPlain {
			continue
		}
		if other := b.index.search([]byte(key)); other != nil && other != s {
			b.faultOf(at.line, at.place, s.ID, "one of its write keys stands, salted, at source %d too", b.ids[other.ID])
		}
	}
}

// told puts the faults into the file's order.
func (b *builder) told() Faults {
	slices.SortStableFunc(b.faults, func(x, y fault) int { return cmp.Or(cmp.Compare(x.line, y.line), cmp.Compare(x.text, y.text)) })
	var told Faults
	for i, f := range b.faults {
		if i == maxFaults {
			return append(told, fmt.Errorf("%s: and %d faults more", b.path, len(b.faults)-i))
		}
		told = append(told, fmt.Errorf("%s:%d: %s", b.path, f.line, f.text))
	}
	return told
}
