package verify

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// buckets is among how many files a spool is divided. Of the lake's keys that part is
// in memory at a time: of ten million objects some 30 MB.
const buckets = 64

// entry is what somebody says of a key.
type entry struct {
	says      says
	key       string
	bytes     int64  // visible, decided
	partition int32  // decided
	table     string // decided
	manifest  string // all but visible: who says it
	pending   bool   // decided; see account.File
}

type says uint8

// What is said of a key.
const (
	visible   says = iota // it is listed under a table's folder
	decided               // a decided flush has it
	believed              // a flush has it of which the decision is not known here
	attempted             // a flush has it that was given up
	gaveUp                // an operator has given it up: it was never there
)

// spool keeps entries on disk, those of one key together: there are more objects in a
// lake than memory for their keys.
type spool struct {
	files   [buckets]*os.File
	writers [buckets]*bufio.Writer
	scratch []byte
}

// openSpool makes its files in dir, which somebody else removes.
func openSpool(dir string) (*spool, error) {
	s := new(spool)
	for i := range s.files {
		f, err := os.Create(filepath.Join(dir, "keys-"+strconv.Itoa(i)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("keep the lake's keys on disk (TMPDIR says where): %w", err), s.close())
		}
		s.files[i], s.writers[i] = f, bufio.NewWriterSize(f, 8<<10)
	}
	return s, nil
}

func (s *spool) close() error {
	var errs []error
	for _, f := range s.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *spool) add(e entry) error {
	b := append(s.scratch[:0], byte(e.says), 0)
	if e.pending {
		b[1] = 1
	}
	b = binary.AppendVarint(b, e.bytes)
	b = binary.AppendVarint(b, int64(e.partition))
	for _, text := range []string{e.key, e.table, e.manifest} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	s.scratch = b
	h := fnv.New32a()
	_, _ = io.WriteString(h, e.key) // a hash takes everything
	if _, err := s.writers[h.Sum32()%buckets].Write(b); err != nil {
		return fmt.Errorf("keep the lake's keys on disk (TMPDIR says where): %w", err)
	}
	return nil
}

// read hands over a bucket's entries in the order of their adding.
func (s *spool) read(bucket int, each func(entry) error) error {
	if err := s.writers[bucket].Flush(); err != nil {
		return fmt.Errorf("keep the lake's keys on disk (TMPDIR says where): %w", err)
	}
	r := bufio.NewReader(io.NewSectionReader(s.files[bucket], 0, 1<<62))
	for {
		e, err := readEntry(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the lake's keys from disk: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// readEntry answers io.EOF only between two entries.
func readEntry(r *bufio.Reader) (entry, error) {
	first, err := r.ReadByte()
	if err != nil {
		return entry{}, err
	}
	e := entry{says: says(first)}
	var partition int64
	flag, err := r.ReadByte()
	if err == nil {
		e.bytes, err = binary.ReadVarint(r)
	}
	if err == nil {
		partition, err = binary.ReadVarint(r)
	}
	for _, text := range []*string{&e.key, &e.table, &e.manifest} {
		if err == nil {
			*text, err = readText(r)
		}
	}
	if err != nil {
		return entry{}, fmt.Errorf("an entry breaks off: %w", noEOF(err))
	}
	e.pending, e.partition = flag == 1, int32(partition)
	return e, nil
}

func readText(r *bufio.Reader) (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
