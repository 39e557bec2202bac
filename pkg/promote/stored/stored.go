// Package stored keeps the registry of promoted columns in the lake: in one object that every change replaces with
// If-Match, and in a copy of each version that nothing replaces. Its invariant: no file is written with a version
// that has no copy yet, so that two objects hold each that files need, and one that is deleted, or put back to an older
// version, comes back from the other. It decides nothing: promote.Found does. Floor 3, SHELL; sinks write by it, the
// catalog and weir verify read.
package stored

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
)

// Reader is the part of the object store that reading needs.
type Reader interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
}

// Writer is the part of the object store that changes need.
type Writer interface {
	Reader
	PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error)
}

// ErrUnusable is a registry that is there and cannot be used, or one that is lost. Trying again is of no use.
var ErrUnusable = errors.New("the registry of columns cannot be used")

var (
	key     = lake.ColumnsKey(lake.EventLogsName)
	copyDir = lake.ColumnsCopyDir(lake.EventLogsName)
)

func copyKey(version int64) string { return lake.ColumnsCopyKey(lake.EventLogsName, version) }

// Read gives the registry that counts, known included, and the ETag of the object to replace; "" where there is none.
func Read(ctx context.Context, store Reader, known promote.Registry) (promote.Settled, string, error) {
	current, etag, err := get(ctx, store, key)
	if err != nil {
		return promote.Settled{}, "", err
	}
	after := ""
	if current != nil { // copies of versions before it say nothing that it does not
		after = copyKey(current.Version - 1)
	}
	newest, err := newestCopy(ctx, store, after)
	if err != nil {
		return promote.Settled{}, "", err
	}
	settled, err := promote.Found{Current: current, Copy: newest}.Settle(known)
	if err != nil {
		return promote.Settled{}, "", fmt.Errorf("%w: %w: delete of %s and its copies in %s those that are not as the files are; the next start of a sink puts back what it can from the rest", ErrUnusable, err, key, copyDir)
	}
	return settled, etag, nil
}

// get is nil where there is no such object.
func get(ctx context.Context, store Reader, key string) (*promote.Registry, string, error) {
	body, etag, err := store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	r, err := promote.Decode(body)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w; if it is damaged, delete it: it comes back from what is left of it in %s", ErrUnusable, key, err, copyDir)
	}
	return &r, etag, nil
}

// newestCopy is the last one after a key.
func newestCopy(ctx context.Context, store Reader, after string) (*promote.Registry, error) {
	newest := ""
	for o, err := range store.List(ctx, copyDir, after) {
		if err != nil {
			return nil, err
		}
		newest = o.Key
	}
	if newest == "" {
		return nil, nil
	}
	r, _, err := get(ctx, store, newest)
	return r, err
}

// Restore puts a registry that was made anew in the place of what is lost. s3.ErrChanged: somebody writes it meanwhile.
func Restore(ctx context.Context, store Writer, r promote.Registry) error {
	found, etag, err := Read(ctx, store, r)
	if err != nil {
		return err
	}
	_, err = put(ctx, store, found.Registry, found, etag)
	return err
}

// put stores a registry that was made of what Read gave: over the object with the ETag, then as a copy. s3.ErrChanged:
// somebody else was faster, or has put an older version back meanwhile; read again. Nobody may use r before this has
// returned without an error.
func put(ctx context.Context, store Writer, r promote.Registry, found promote.Settled, etag string) (string, error) {
	if r.Version != found.Version {
		if err := requireNew(ctx, store, r); err != nil {
			return "", err
		}
	}
	if r.Version != found.Version || found.Behind {
		var err error
		if etag, err = store.PutIfMatch(ctx, key, r.Encode(), etag); err != nil {
			return "", err
		}
	}
	_, err := store.PutIfMatch(ctx, copyKey(r.Version), r.Encode(), "")
	if !errors.Is(err, s3.ErrChanged) {
		return etag, err
	}
	there, _, err := get(ctx, store, copyKey(r.Version))
	if err != nil || there != nil && there.Equal(r) {
		return etag, err
	}
	return "", putBack(ctx, store, etag)
}

// requireNew is s3.ErrChanged where another registry has the version's copy: somebody has put the one before it back, byte
// for byte, so that its ETag tells nothing.
func requireNew(ctx context.Context, store Writer, r promote.Registry) error {
	there, _, err := get(ctx, store, copyKey(r.Version))
	if err != nil || there == nil || there.Equal(r) {
		return err
	}
	return fmt.Errorf("put %s: there is another version %d: %w", key, r.Version, s3.ErrChanged)
}

// putBack replaces a version that nobody uses: its copy is another's. It was made of an older one that somebody had put
// back, or was on its way for so long that what stood in its place was deleted meanwhile. It answers s3.ErrChanged, so that the
// change is made anew.
func putBack(ctx context.Context, store Writer, etag string) error {
	newest, err := newestCopy(ctx, store, "")
	if err != nil || newest == nil {
		return errors.Join(err, s3.ErrChanged)
	}
	if _, err := store.PutIfMatch(ctx, key, newest.Encode(), etag); err != nil {
		return err
	}
	return fmt.Errorf("put %s: an older version was put back over version %d: %w", key, newest.Version, s3.ErrChanged)
}
