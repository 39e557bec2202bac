package gluedb

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// journal is the file that outlives the process: one line for each call that
// changed something, `<crc32c, 8 hex> <JSON array of changes>`. It is appended
// and synced, and rewritten (new file, sync, rename) when most of it is history.
type journal struct {
	path    string
	file    *os.File
	changes int   // in the file
	broken  error // a write failed: what the file holds is not known any more
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal reads the file into s. A last line that is not whole is one that
// was never answered, and is cut off; any other damage is an error.
func openJournal(path string, s *state) (*journal, error) {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, file: f}
	if err := j.load(s); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if j.bloated(s) {
		if err := j.rewrite(s); err != nil {
			return nil, errors.Join(err, j.close())
		}
	}
	return j, syncDir(filepath.Dir(path))
}

func (j *journal) load(s *state) error {
	r := bufio.NewReaderSize(j.file, 1<<20)
	var good int64
	for {
		line, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) == 0 || errors.Is(err, io.EOF) {
			break // a line without its end was never answered
		}
		changes, err := decodeLine(line)
		if err != nil {
			if _, more := r.Peek(1); more == nil {
				return fmt.Errorf("at byte %d: %w", good, err)
			}
			break
		}
		for _, c := range changes {
			s.apply(c)
		}
		j.changes += len(changes)
		good += int64(len(line))
	}
	if err := j.file.Truncate(good); err != nil {
		return err
	}
	_, err := j.file.Seek(good, io.SeekStart)
	return err
}

func decodeLine(line []byte) ([]change, error) {
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || string(sum) != checksum(body) {
		return nil, errors.New("checksum does not match")
	}
	var changes []change
	if err := json.Unmarshal(body, &changes); err != nil {
		return nil, err
	}
	return changes, nil
}

func encodeLine(changes []change) ([]byte, error) {
	body, err := json.Marshal(changes)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %s\n", checksum(body), body), nil
}

func checksum(body []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) }

// append returns when the changes are on disk.
func (j *journal) append(changes []change) error {
	if j.broken != nil {
		return j.broken
	}
	line, err := encodeLine(changes)
	if err != nil {
		return err
	}
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		j.broken = fmt.Errorf("the journal is broken until the next start: %w", err)
		return j.broken
	}
	j.changes += len(changes)
	return nil
}

// bloated: more than half of a file of some size is history.
func (j *journal) bloated(s *state) bool { return j.changes > 2*s.entities+1000 }

// rewrite puts the state in the place of its history.
func (j *journal) rewrite(s *state) error {
	f, err := os.OpenFile(j.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	n, err := writeState(f, s)
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_ = j.file.Close()
	j.file, j.changes = f, n
	return syncDir(filepath.Dir(j.path))
}

func writeState(f *os.File, s *state) (n int, err error) {
	w := bufio.NewWriterSize(f, 1<<20)
	for c := range s.changes {
		line, err := encodeLine([]change{c})
		if err != nil {
			return 0, err
		}
		if _, err := w.Write(line); err != nil {
			return 0, err
		}
		n++
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	return n, f.Sync()
}

func (j *journal) close() error { return j.file.Close() }

// syncDir makes a new name in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
