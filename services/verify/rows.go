package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

// engine reads Parquet by other code than what wrote it.
type engine interface {
	// rows hands over where each row of a local file stood in Kafka.
	rows(ctx context.Context, path string, each func(topic string, partition int32, offset int64)) error
	close() error
}

// rowCheck reads files and compares them with their manifests and with Kafka. Of
// files that come by S3 one is on disk at a time.
type rowCheck struct {
	engine   engine
	location lake.Location
	local    string // see Config.LocalRoot
	temp     string // somebody else's, who removes it
}

// openRows is nil where rows are not asked for.
func openRows(cfg Config, location lake.Location, temp string) (*rowCheck, error) {
	if !cfg.Rows {
		return nil, nil
	}
	e, err := openEngine()
	if err != nil {
		return nil, err
	}
	return &rowCheck{engine: e, location: location, local: cfg.LocalRoot, temp: temp}, nil
}

func (c *rowCheck) close() {
	if c != nil {
		_ = c.engine.close() // nothing was written
	}
}

// check compares all files of a partition whose flushes are published.
func (c *rowCheck) check(ctx context.Context, v *verifier, l *account.Ledger) error {
	var done int
	err := v.chain(ctx, l, func(m *flush.Manifest) error {
		for _, f := range published(l, m, lake.EventLogsName) {
			done++
			v.cfg.Progress(fmt.Sprintf("reading the files of partition %d: %d of %d", l.Owner().Partition, done, l.Files(lake.EventLogsName)))
			if err := c.parquet(ctx, v, l, f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.raw(ctx, v, l)
}

func published(l *account.Ledger, m *flush.Manifest, table string) []*flush.File {
	if l.Pending() == m.Key {
		return nil
	}
	var files []*flush.File
	for i := range m.Files {
		if f := &m.Files[i]; f.Table == table && !l.GaveUp(f.Key) {
			files = append(files, f)
		}
	}
	return files
}

// parquet compares the rows of one file with the offsets of its manifest.
func (c *rowCheck) parquet(ctx context.Context, v *verifier, l *account.Ledger, f *flush.File) error {
	path, err := c.fetch(ctx, v.store, f.Key)
	if errors.Is(err, s3.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return nil // already found missing
	}
	if err != nil {
		return err
	}
	t := newTally(l.Owner())
	err = c.engine.rows(ctx, path, t.row)
	c.drop(path)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.report.Rows.Files++
	v.report.Rows.Rows += t.rows
	if err != nil {
		l.Found(account.Unread, account.Finding{Table: f.Table, Key: f.Key, Offsets: account.RangesOf(f.Offsets), Detail: err.Error()})
		return nil
	}
	if t.compare(l, f) {
		v.forgive(f.Key)
	}
	return nil
}

// tally counts the rows of one file.
type tally struct {
	owner lake.Owner
	rows  int64
	read  *flush.Offsets
	twice *flush.Offsets
	alien int64 // rows of another topic or partition
}

func newTally(o lake.Owner) *tally {
	return &tally{owner: o, read: new(flush.Offsets), twice: new(flush.Offsets)}
}

func (t *tally) row(topic string, partition int32, offset int64) {
	t.rows++
	switch {
	case topic != t.owner.Topic || partition != t.owner.Partition || offset < 0:
		t.alien++
	case t.read.Contains(offset):
		t.twice.Add(offset)
	default:
		t.read.Add(offset)
	}
}

func (t *tally) compare(l *account.Ledger, f *flush.File) bool {
	ok := true
	say := func(offsets account.Ranges, detail string) {
		ok = false
		l.Found(account.WrongRows, account.Finding{Table: f.Table, Key: f.Key, Offsets: offsets, Detail: detail})
	}
	want, got := account.RangesOf(f.Offsets), account.RangesOf(t.read)
	if lacking := want.Without(got); len(lacking) > 0 {
		say(lacking, "are in the manifest and not in the file")
	}
	if extra := got.Without(want); len(extra) > 0 {
		say(extra, "are in the file and not in the manifest")
	}
	if twice := account.RangesOf(t.twice); len(twice) > 0 {
		say(twice, "are in the file more than once")
	}
	if t.alien > 0 {
		say(nil, fmt.Sprintf("%d rows are of another topic or partition", t.alien))
	}
	return ok
}

// fetch gives a local path of the object.
func (c *rowCheck) fetch(ctx context.Context, store store, key string) (string, error) {
	if c.local != "" {
		path := c.localPath(key)
		_, err := os.Stat(path)
		return path, err
	}
	body, err := store.Reader(ctx, key)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	file, err := os.CreateTemp(c.temp, "*.parquet")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, body)
	return file.Name(), errors.Join(err, file.Close())
}

func (c *rowCheck) drop(path string) {
	if c.local == "" {
		_ = os.Remove(path) // the whole directory goes at the end
	}
}

func (c *rowCheck) localPath(key string) string {
	return filepath.Join(c.local, c.location.Bucket, filepath.FromSlash(c.location.Key(key)))
}

// open streams an object.
func (c *rowCheck) open(ctx context.Context, store store, key string) (io.ReadCloser, error) {
	if c.local != "" {
		return os.Open(c.localPath(key))
	}
	return store.Reader(ctx, key)
}
