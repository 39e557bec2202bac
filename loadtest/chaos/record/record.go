// Package record is what a chaos run leaves on disk for the auditor: a ledger per producer, what was done to the
// processes and when, and when each object was first seen. It keeps one rule: a line is written before the thing it
// tells of can have an effect elsewhere, so that an event without an answer in the ledger is indeterminate and never
// unknown. It judges nothing (weiraudit does), and it imports nothing of weir, so that the auditor shares no code with
// what it audits.
package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Names inside the folder of a run.
const (
	runFile    = "run.json"
	ledgerDir  = "ledger"
	seenFile   = "seen.jsonl"
	actionFile = "actions.jsonl"
)

// Run is where a run stood: what the auditor needs to find everything.
type Run struct {
	ID              string   `json:"id"`
	Scenario        string   `json:"scenario"`
	Brokers         []string `json:"brokers"`
	Topic           string   `json:"topic"`
	DeadLetterTopic string   `json:"dead_letter_topic"`
	Lake            string   `json:"lake"`     // the folder in which the lake's objects stand as plain files
	LakeURL         string   `json:"lake_url"` // s3://bucket/prefix of the same lake
	GlueURL         string   `json:"glue_url"`
	Database        string   `json:"database"`
}

// Outcome is what a producer was told.
type Outcome string

// The outcomes. Sent alone, with nothing after it, is indeterminate.
const (
	Sent          Outcome = "sent"
	Acked         Outcome = "acked"
	Indeterminate Outcome = "indeterminate"
	Rejected      Outcome = "rejected" // refused, or never left this machine
)

// Letter marks what is no event and must become a dead letter.
const Letter = "letter"

// Entry is one line of a ledger: N consecutive seqs with one fate.
type Entry struct {
	Seq     int64   `json:"seq"`
	N       int64   `json:"n"`
	Kind    string  `json:"kind,omitempty"` // "" an event, or Letter; on sent lines
	Outcome Outcome `json:"is"`
	Sched   int64   `json:"sched,omitempty"` // when it should have been sent, Unix ms; on sent lines
	At      int64   `json:"at"`              // when it was sent or answered, Unix ms
	Answer  string  `json:"answer,omitempty"`
}

// Action is something that was done to the system.
type Action struct {
	At     int64  `json:"at"`              // Unix ms
	Until  int64  `json:"until,omitempty"` // when it was undone, Unix ms; 0 = at once, or never
	Do     string `json:"do"`
	Target string `json:"target,omitempty"`
	Detail string `json:"detail,omitempty"`
	Crash  bool   `json:"crash,omitempty"` // what was in memory is gone, or stands still: the table has to recover
}

// Seen is when an object was first listed, or found gone.
type Seen struct {
	Key  string `json:"key"`
	At   int64  `json:"at"` // Unix ms
	Gone bool   `json:"gone,omitempty"`
}

// Writer appends JSON lines to one file. It is safe for use by several goroutines.
type Writer[T any] struct {
	mu   sync.Mutex
	file *os.File
	err  error // the first one
}

// NewLedger opens the ledger of one producer.
func NewLedger(dir, producer string) (*Writer[Entry], error) {
	return newWriter[Entry](filepath.Join(dir, ledgerDir, producer+".jsonl"))
}

// NewActions opens the list of what is done.
func NewActions(dir string) (*Writer[Action], error) {
	return newWriter[Action](filepath.Join(dir, actionFile))
}

// NewSeen opens the list of what is seen.
func NewSeen(dir string) (*Writer[Seen], error) {
	return newWriter[Seen](filepath.Join(dir, seenFile))
}

func newWriter[T any](path string) (*Writer[T], error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", path, err)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("open a record: %w", err)
	}
	return &Writer[T]{file: file}, nil
}

// Add writes one line to the kernel: this process may die after it, the machine may not.
func (w *Writer[T]) Add(v T) {
	line, err := json.Marshal(v)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		_, err = w.file.Write(append(line, '\n'))
	}
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("write %s: %w", w.file.Name(), err)
	}
}

// Close returns the first error of all that were written.
func (w *Writer[T]) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.file.Close())
}

// WriteRun keeps where the run stood.
func WriteRun(dir string, r Run) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the run: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, runFile), text, 0o644)
}

// ReadRun reads it back.
func ReadRun(dir string) (Run, error) {
	var r Run
	text, err := os.ReadFile(filepath.Join(dir, runFile))
	if err != nil {
		return r, fmt.Errorf("read where the run stood: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("decode %s: %w", runFile, err)
	}
	return r, nil
}

// ReadActions reads what was done, in order.
func ReadActions(dir string) ([]Action, error) {
	return readLines[Action](filepath.Join(dir, actionFile))
}

// ReadSeen reads what was seen, in order.
func ReadSeen(dir string) ([]Seen, error) { return readLines[Seen](filepath.Join(dir, seenFile)) }

// ReadLedgers reads the lines of every producer.
func ReadLedgers(dir string) (map[string][]Entry, error) {
	files, err := filepath.Glob(filepath.Join(dir, ledgerDir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	all := map[string][]Entry{}
	for _, path := range files {
		entries, err := readLines[Entry](path)
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(filepath.Base(path), ".jsonl")] = entries
	}
	return all, nil
}

// readLines reads a file of one JSON value a line; a file that is not there has none.
func readLines[T any](path string) ([]T, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a record: %w", err)
	}
	defer file.Close()
	var all []T
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("decode line %d of %s: %w", len(all)+1, path, err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}
