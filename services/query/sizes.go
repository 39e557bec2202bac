package query

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/parquet-go/parquet-go"
	"golang.org/x/sync/errgroup"

	"weir/pkg/s3"
)

// Sizes says how many bytes some columns of one lake partition take. Where it does not
// know, it says more, never less.
type Sizes interface {
	Of(ctx context.Context, t *table, p *partition) (Size, error)
}

// Size is what one lake partition holds.
type Size struct {
	Objects int
	Bytes   int64 // of whole objects

	Looked   int   // objects whose columns are known
	Recorded int   // objects of which the catalog's ledger tells
	Whole    int64 // bytes of those
	Columns  int64 // of those what the columns that are read take, and the footer
}

// listing knows objects from the partition's listing: how large they are, nothing of
// what is in them.
type listing struct{ lake *Lake }

func (s listing) Of(ctx context.Context, _ *table, p *partition) (Size, error) {
	var size Size
	if err := s.lake.listed(ctx, p); err != nil {
		return size, err
	}
	for _, o := range p.objects {
		size.Objects++
		size.Bytes += o.Bytes
	}
	return size, nil
}

// mostFooters bounds how many footers are read for an estimate. Where there are more
// objects, those looked at are spread evenly.
const mostFooters = 256

// footers knows columns from the footers of Parquet files.
type footers struct {
	listing
	chosen map[string]bool // by bucket and key
}

func (s footers) Of(ctx context.Context, t *table, p *partition) (Size, error) {
	size, err := s.listing.Of(ctx, t, p)
	if err != nil || t.format != parquetFiles {
		return size, err
	}
	var mu sync.Mutex
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for _, o := range p.objects {
		if !s.chosen[o.bucket+"/"+o.Key] {
			continue
		}
		group.Go(func() error {
			columns, err := s.lake.columnBytes(reading, o, t.reads)
			if err != nil {
				return fmt.Errorf("read the footer of s3://%s/%s: %w", o.bucket, o.Key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			size.Looked++
			size.Whole += o.Bytes
			size.Columns += columns
			return nil
		})
	}
	return size, group.Wait()
}

// choose spreads the footers to be read over all objects.
func choose(tables []table) map[string]bool {
	var all []string
	for _, t := range tables {
		if t.format != parquetFiles || !t.named {
			continue
		}
		for _, p := range t.partitions {
			for _, o := range p.objects {
				all = append(all, o.bucket+"/"+o.Key)
			}
		}
	}
	chosen := make(map[string]bool)
	n := min(len(all), mostFooters)
	for i := range n {
		chosen[all[i*len(all)/n]] = true
	}
	return chosen
}

// columnBytes is what columns take in a file as they are stored, and its footer. Of a
// map or another nested column all leaves count, as engines read them.
func (l *Lake) columnBytes(ctx context.Context, o object, read map[string]bool) (int64, error) {
	source, closing, err := l.at(ctx, o)
	if err != nil {
		return 0, err
	}
	defer closing()
	file, err := parquet.OpenFile(source, o.Bytes, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.SkipMagicBytes(true))
	if err != nil {
		return 0, err
	}
	var tail [8]byte // the footer's length, and a mark
	if _, err := source.ReadAt(tail[:], o.Bytes-int64(len(tail))); err != nil {
		return 0, err
	}
	total := int64(len(tail)) + int64(binary.LittleEndian.Uint32(tail[:4]))
	for _, group := range file.Metadata().RowGroups {
		for _, chunk := range group.Columns {
			if path := chunk.MetaData.PathInSchema; read == nil || len(path) > 0 && read[path[0]] {
				total += chunk.MetaData.TotalCompressedSize
			}
		}
	}
	return total, nil
}

// at opens an object for reading at any place.
func (l *Lake) at(ctx context.Context, o object) (io.ReaderAt, func(), error) {
	if l.cfg.LocalRoot == "" {
		return &remote{ctx: ctx, store: o.store, object: o.Object}, func() {}, nil
	}
	file, err := os.Open(filepath.Join(l.cfg.LocalRoot, o.bucket, filepath.FromSlash(o.Key)))
	if err != nil {
		return nil, nil, err
	}
	return file, func() { _ = file.Close() }, nil
}

// remote reads an object piece by piece. Its end, where a footer is, is asked for once.
type remote struct {
	ctx    context.Context
	store  *s3.Store
	object s3.Object
	end    []byte
}

// endBytes of a file hold the footer of nearly every one.
const endBytes = 64 << 10

func (r *remote) ReadAt(p []byte, from int64) (int, error) {
	n := min(int64(len(p)), r.object.Bytes-from)
	if n <= 0 {
		return 0, io.EOF
	}
	if r.end == nil {
		var err error
		size := min(endBytes, r.object.Bytes)
		if r.end, err = r.store.GetRange(r.ctx, r.object.Key, r.object.Bytes-size, size); err != nil {
			return 0, err
		}
	}
	if begin := r.object.Bytes - int64(len(r.end)); from >= begin {
		copy(p, r.end[from-begin:][:n])
	} else {
		piece, err := r.store.GetRange(r.ctx, r.object.Key, from, n)
		if err != nil {
			return 0, err
		}
		copy(p, piece)
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
