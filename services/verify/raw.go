package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

// rawFile is a raw file being read: its lines correspond, in order, to the sorted
// offsets of its manifest.
type rawFile struct {
	file  *flush.File
	body  io.Closer
	lines *bufio.Reader
	next  func() (int64, bool) // the offset of the next line
	stop  func()
	at    int64 // of the next line; only while more

	differ  account.Ranges // lines that are not the record's bytes
	unknown account.Ranges // lines of records that Kafka should hold and does not
	old     int64          // lines of records that Kafka has removed
	err     error
}

// raw reads the partition's records once, and beside them the raw files that they
// must be in: as many files are open as there were open lake partitions.
func (c *rowCheck) raw(ctx context.Context, v *verifier, l *account.Ledger) error {
	p := l.Owner().Partition
	span, err := v.span(ctx, p)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(v.chainOf(ctx, l))
	defer stop()
	r := &rawPass{check: c, v: v, l: l, next: next, logStart: span.Start}
	defer r.closeAll()
	if err := r.advance(); err != nil {
		return err
	}
	end := min(max(l.State().Low, l.End(lake.EventLogsRawName)), span.End)
	err = v.scan(ctx, p, max(span.Start, l.First), end, func(rec *kgo.Record) error { return r.record(ctx, rec) })
	if err != nil {
		return err
	}
	return r.until(ctx, math.MaxInt64)
}

// chainOf is chain, to be pulled.
func (v *verifier) chainOf(ctx context.Context, l *account.Ledger) iter.Seq2[*flush.Manifest, error] {
	return func(yield func(*flush.Manifest, error) bool) {
		enough := errors.New("enough")
		err := v.chain(ctx, l, func(m *flush.Manifest) error {
			if !yield(m, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(nil, err)
		}
	}
}

// rawPass goes through a partition and its raw files at the same time. A manifest is
// read when the records come near it, and forgotten with its last file.
type rawPass struct {
	check    *rowCheck
	v        *verifier
	l        *account.Ledger
	next     func() (*flush.Manifest, error, bool)
	ahead    *flush.Manifest // the next one whose files are not waiting yet, nil = there is none
	waiting  []*flush.File   // not yet open, by lowest offset
	open     rawHeap
	logStart int64
}

const progressEvery = 100_000 // records

// record compares one record with its line, or its lines: a record that stands in two
// files is in both.
func (r *rawPass) record(ctx context.Context, rec *kgo.Record) error {
	if r.v.report.Rows.Records++; r.v.report.Rows.Records%progressEvery == 0 {
		r.v.cfg.Progress(fmt.Sprintf("comparing the records of partition %d, at offset %d", rec.Partition, rec.Offset))
	}
	if err := r.until(ctx, rec.Offset); err != nil {
		return err
	}
	// In none: a dead letter, or lost: the account has said so.
	for len(r.open) > 0 && r.open[0].at == rec.Offset {
		f := r.open[0]
		line, ok := r.line(f)
		if ok && !bytes.Equal(line, oneLine(rec.Value)) {
			f.differ = f.differ.Add(rec.Offset)
		}
		r.forward()
	}
	return nil
}

// until opens the files that begin at offset or before, and passes over the lines
// below it: Kafka has no record for them.
func (r *rawPass) until(ctx context.Context, offset int64) error {
	for r.ahead != nil {
		begins := r.l.Floor(r.ahead)
		if begins > offset {
			break
		}
		if err := r.below(ctx, begins); err != nil {
			return err
		}
		r.waiting = append(r.waiting, published(r.l, r.ahead, lake.EventLogsRawName)...)
		slices.SortStableFunc(r.waiting, func(a, b *flush.File) int { return cmp.Compare(a.Offsets.Min(), b.Offsets.Min()) })
		if err := r.advance(); err != nil {
			return err
		}
	}
	if err := r.below(ctx, offset); err != nil {
		return err
	}
	return r.begin(ctx, offset)
}

// advance reads the next manifest.
func (r *rawPass) advance() error {
	m, err, ok := r.next()
	if err != nil {
		return err
	}
	if !ok {
		m = nil
	}
	r.ahead = m
	return nil
}

// below passes over all lines below offset.
func (r *rawPass) below(ctx context.Context, offset int64) error {
	if err := r.begin(ctx, offset-1); err != nil {
		return err
	}
	for len(r.open) > 0 && r.open[0].at < offset {
		f := r.open[0]
		if _, ok := r.line(f); ok && f.at < r.logStart {
			f.old++
		} else if ok {
			f.unknown = f.unknown.Add(f.at)
		}
		r.forward()
	}
	return nil
}

// begin opens the files that begin at offset or before.
func (r *rawPass) begin(ctx context.Context, offset int64) error {
	for len(r.waiting) > 0 && r.waiting[0].Offsets.Min() <= offset {
		f := r.waiting[0]
		r.waiting = r.waiting[1:]
		if err := r.start(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *rawPass) start(ctx context.Context, file *flush.File) error {
	body, err := r.check.open(ctx, r.v.store, file.Key)
	if errors.Is(err, s3.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return nil // already found missing
	}
	if err != nil {
		return err
	}
	r.v.report.Rows.Files++
	plain, err := decompress(file.Key, body)
	if err != nil {
		r.l.Found(account.Unread, account.Finding{Table: file.Table, Key: file.Key, Offsets: account.RangesOf(file.Offsets), Detail: err.Error()})
		return body.Close()
	}
	f := &rawFile{file: file, body: closers{plain, body}, lines: bufio.NewReaderSize(plain, 64<<10)}
	f.next, f.stop = iter.Pull(file.Offsets.All())
	var more bool
	if f.at, more = f.next(); !more {
		r.finish(f)
		return nil
	}
	heap.Push(&r.open, f)
	return nil
}

// line reads the line of f.at.
func (r *rawPass) line(f *rawFile) ([]byte, bool) {
	if f.err != nil {
		return nil, false
	}
	line, err := f.lines.ReadBytes('\n')
	if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
		f.err = fmt.Errorf("ends before the line of offset %d: %w", f.at, err)
		return nil, false
	}
	r.v.report.Rows.Lines++
	return bytes.TrimSuffix(line, []byte{'\n'}), true
}

// forward moves the foremost file to its next line, or closes it.
func (r *rawPass) forward() {
	f := r.open[0]
	var more bool
	if f.at, more = f.next(); more {
		heap.Fix(&r.open, 0)
		return
	}
	heap.Pop(&r.open)
	if _, err := f.lines.ReadByte(); f.err == nil && !errors.Is(err, io.EOF) {
		f.err = fmt.Errorf("has more than the %d lines of its manifest, or breaks off: %v", f.file.Offsets.Len(), err)
	}
	r.finish(f)
}

// finish reports on one file.
func (r *rawPass) finish(f *rawFile) {
	f.close()
	found := func(kind account.Kind, offsets account.Ranges, detail string) {
		r.l.Found(kind, account.Finding{Table: f.file.Table, Key: f.file.Key, Offsets: offsets, Detail: detail})
	}
	if f.err != nil {
		found(account.WrongRows, nil, f.err.Error())
	}
	if len(f.differ) > 0 {
		found(account.WrongRows, f.differ, "are lines with other bytes than Kafka's records")
	}
	if len(f.unknown) > 0 {
		found(account.WrongRows, f.unknown, "are lines for which Kafka holds no record")
	}
	r.v.report.Rows.Uncompared += f.old
	if f.err == nil && len(f.differ)+len(f.unknown) == 0 && f.old == 0 {
		r.v.forgive(f.file.Key)
	}
}

func (r *rawPass) closeAll() {
	for _, f := range r.open {
		f.close()
	}
}

func (f *rawFile) close() {
	f.stop()
	_ = f.body.Close() // read only
}

// decompress goes by the name, as every engine does.
func decompress(key string, r io.Reader) (io.ReadCloser, error) {
	if strings.HasSuffix(key, ".gz") {
		return gzip.NewReader(r)
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// oneLine is a record as it stands in a raw file: a line break, which JSON allows
// only outside of strings, is a space.
func oneLine(value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return value
	}
	line := bytes.ReplaceAll(value, []byte{'\n'}, []byte{' '})
	return bytes.ReplaceAll(line, []byte{'\r'}, []byte{' '}) // byte by byte: it may be no UTF-8
}

type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// rawHeap has the file with the lowest next offset in front.
type rawHeap []*rawFile

func (h rawHeap) Len() int           { return len(h) }
func (h rawHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h rawHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *rawHeap) Push(x any)        { *h = append(*h, x.(*rawFile)) }
func (h *rawHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
