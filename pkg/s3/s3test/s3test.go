// Package s3test is what weir asks of an object store, as a test suite: the
// embedded S3 passes it in every run, any other store by its address. Each part
// writes under keys of its own that nothing wrote before, so it may run against
// a bucket that is in use, and against the same one twice. It deletes nothing.
// It tests the store through pkg/s3; what pkg/s3 makes of a store that misbehaves
// is tested there.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/s3"
)

// partSize is the smallest that S3 takes for all parts but the last.
const partSize = 5 << 20

// Run runs the suite on a store whose bucket exists.
func Run(t *testing.T, store *s3.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s *s3.Store, at string)
	}{
		{"put, get, head", putGetHead},
		{"absent", absent},
		{"keys with signs", signs},
		{"put if absent has one winner", onePutWins},
		{"put if match", putIfMatch},
		{"put if match has one winner", oneReplacementWins},
		{"list", list},
		{"list over pages", listPages},
		{"upload", upload},
		{"upload of many parts, out of order", manyParts},
		{"complete twice", completeTwice},
		{"complete on an object", completeOnObject},
		{"two uploads of one key complete at once", completeRace},
		{"one upload completed by several at once", completeTogether},
		{"complete an aborted upload", completeAborted},
		{"a part again", partAgain},
		{"wrong part", wrongPart},
		{"reader", reader},
		{"a part of an object", span},
		{"probe", probe},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, store, "s3test/"+uuid.NewString()+"/")
		})
	}
}

// deadline bounds a step: what pkg/s3 tries again for ever must not hang a test.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func putGetHead(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	for _, body := range [][]byte{{}, []byte("a"), bytes.Repeat([]byte("weir "), 300_000)} {
		require.NoError(t, s.Put(ctx, at+"k", body))
		got, etag, err := s.Get(ctx, at+"k")
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, got))
		head, err := s.Head(ctx, at+"k")
		require.NoError(t, err)
		require.Equal(t, at+"k", head.Key)
		require.EqualValues(t, len(body), head.Bytes)
		require.Equal(t, etag, head.ETag)
		require.NotEmpty(t, etag)
		require.False(t, head.Modified.IsZero())
	}
}

func absent(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	_, _, err := s.Get(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound)
	require.ErrorContains(t, err, at+"k")
	_, err = s.Head(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound)
	_, err = s.Reader(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound)
	require.NoError(t, s.AbortUpload(ctx, at+"k", newUpload(t, s, at+"k")))
	_, err = s.UploadPart(ctx, at+"k", "no-such-upload", 1, []byte("a"))
	require.ErrorIs(t, err, s3.ErrNoSuchUpload)
}

func signs(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	for _, key := range []string{"sourceid=a%3Ab/dt=2026-11-23/x-0.parquet", "a b+c&d=e", "ünï/çødé", "%25"} {
		require.NoError(t, s.PutIfAbsent(ctx, at+key, []byte(key)))
		got, _, err := s.Get(ctx, at+key)
		require.NoError(t, err)
		require.Equal(t, key, string(got))
		require.Equal(t, []string{at + key}, keys(t, s, at+key, ""))
	}
}

// racers start together; each says who it is.
const racers = 8

func race(do func(n int) error) []error {
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n := range racers {
		wg.Go(func() {
			<-start
			errs[n] = do(n)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// winner is the one racer without an error; all others failed with want.
func winner(t *testing.T, errs []error, want ...error) int {
	t.Helper()
	won := -1
	for n, err := range errs {
		if err == nil {
			require.Equal(t, -1, won, "two won")
			won = n
			continue
		}
		require.True(t, isAny(err, want), "%v", err)
	}
	require.NotEqual(t, -1, won, "none won")
	return won
}

func isAny(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func onePutWins(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	won := winner(t, race(func(n int) error {
		return s.PutIfAbsent(ctx, at+"k", fmt.Appendf(nil, "racer %d", n))
	}), s3.ErrExists)
	require.ErrorIs(t, s.PutIfAbsent(ctx, at+"k", []byte("late")), s3.ErrExists)
	got, _, err := s.Get(ctx, at+"k")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("racer %d", won), string(got))
}

func putIfMatch(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	first, err := s.PutIfMatch(ctx, at+"k", []byte("1"), "")
	require.NoError(t, err)
	_, err = s.PutIfMatch(ctx, at+"k", []byte("x"), "")
	require.ErrorIs(t, err, s3.ErrChanged)
	second, err := s.PutIfMatch(ctx, at+"k", []byte("2"), first)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	_, err = s.PutIfMatch(ctx, at+"k", []byte("x"), first)
	require.ErrorIs(t, err, s3.ErrChanged)
	got, etag, err := s.Get(ctx, at+"k")
	require.NoError(t, err)
	require.Equal(t, "2", string(got))
	require.Equal(t, second, etag)
	_, err = s.PutIfMatch(ctx, at+"never", []byte("x"), first)
	require.ErrorIs(t, err, s3.ErrChanged)
	_, err = s.Head(ctx, at+"never")
	require.ErrorIs(t, err, s3.ErrNotFound)
}

func oneReplacementWins(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	etag, err := s.PutIfMatch(ctx, at+"k", []byte("0"), "")
	require.NoError(t, err)
	won := winner(t, race(func(n int) error {
		_, err := s.PutIfMatch(ctx, at+"k", fmt.Appendf(nil, "racer %d", n), etag)
		return err
	}), s3.ErrChanged)
	got, _, err := s.Get(ctx, at+"k")
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("racer %d", won), string(got))
}

func keys(t *testing.T, s *s3.Store, prefix, after string) []string {
	t.Helper()
	var found []string
	for o, err := range s.List(deadline(t), prefix, after) {
		require.NoError(t, err)
		found = append(found, o.Key)
	}
	return found
}

func list(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	require.Empty(t, keys(t, s, at, ""))
	// The order is that of the bytes, not that of a tree walk: '.' < '/' < '0'.
	want := []string{at + "a.b", at + "a/1", at + "a/2/x", at + "a0", at + "b"}
	for _, i := range []int{4, 2, 0, 3, 1} {
		require.NoError(t, s.Put(ctx, want[i], []byte("body")))
	}
	_ = newUpload(t, s, at+"a/unfinished")
	require.Equal(t, want, keys(t, s, at, ""))
	require.Equal(t, want[1:3], keys(t, s, at+"a/", ""))
	require.Equal(t, want[:4], keys(t, s, at+"a", ""))
	require.Equal(t, want[3:], keys(t, s, at, at+"a/2/x"))
	require.Equal(t, want[2:], keys(t, s, at, at+"a/1~"))
	for o, err := range s.List(ctx, at+"b", "") {
		require.NoError(t, err)
		head, err := s.Head(ctx, at+"b")
		require.NoError(t, err)
		require.Equal(t, head.ETag, o.ETag)
		require.Equal(t, head.Bytes, o.Bytes)
	}
}

// listPages goes past the thousand keys of one answer.
func listPages(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	const n = 1050
	work := make(chan int)
	var wg sync.WaitGroup
	errs := make([]error, n)
	for range racers {
		wg.Go(func() {
			for i := range work {
				errs[i] = s.Put(ctx, fmt.Sprintf("%s%04d", at, i), nil)
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	found := keys(t, s, at, "")
	require.Len(t, found, n)
	for i, k := range found {
		require.Equal(t, fmt.Sprintf("%s%04d", at, i), k)
	}
	for range s.List(ctx, at, "") { // a reader that stops early
		break
	}
}

func newUpload(t *testing.T, s *s3.Store, key string) string {
	t.Helper()
	id, err := s.CreateUpload(deadline(t), key, "application/octet-stream")
	require.NoError(t, err)
	require.NotEmpty(t, id)
	return id
}

func newPart(t *testing.T, s *s3.Store, key, id string, n int32, body []byte) flush.Part {
	t.Helper()
	p, err := s.UploadPart(deadline(t), key, id, n, body)
	require.NoError(t, err)
	require.Equal(t, n, p.Number)
	require.EqualValues(t, len(body), p.Bytes)
	require.NotEmpty(t, p.ETag)
	return p
}

func requireBody(t *testing.T, s *s3.Store, key string, want []byte) {
	t.Helper()
	got, _, err := s.Get(deadline(t), key)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%d bytes, want %d", len(got), len(want))
}

func upload(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	id := newUpload(t, s, at+"k")
	part := newPart(t, s, at+"k", id, 1, []byte("small"))
	_, err := s.Head(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound, "it is visible before it is complete")
	require.Empty(t, keys(t, s, at, ""))
	require.NoError(t, s.CompleteUpload(ctx, at+"k", id, []flush.Part{part}))
	requireBody(t, s, at+"k", []byte("small"))
	require.Equal(t, []string{at + "k"}, keys(t, s, at, ""))
}

func manyParts(t *testing.T, s *s3.Store, at string) {
	id := newUpload(t, s, at+"k")
	bodies := [][]byte{bytes.Repeat([]byte("1"), partSize), bytes.Repeat([]byte("2"), partSize+1), []byte("3")}
	parts := make([]flush.Part, 3)
	for _, n := range []int{2, 0, 1} {
		parts[n] = newPart(t, s, at+"k", id, int32(n+1), bodies[n])
	}
	require.NoError(t, s.CompleteUpload(deadline(t), at+"k", id, parts))
	requireBody(t, s, at+"k", bytes.Join(bodies, nil))
	head, err := s.Head(deadline(t), at+"k")
	require.NoError(t, err)
	require.EqualValues(t, 2*partSize+2, head.Bytes)
}

// completeTwice is what a publisher does that comes after another one, or whose
// answer was lost.
func completeTwice(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	id := newUpload(t, s, at+"k")
	parts := []flush.Part{newPart(t, s, at+"k", id, 1, []byte("once"))}
	require.NoError(t, s.CompleteUpload(ctx, at+"k", id, parts))
	err := s.CompleteUpload(ctx, at+"k", id, parts)
	if err != nil { // a store may also answer the second as the first
		require.True(t, isAny(err, []error{s3.ErrExists, s3.ErrNoSuchUpload}), "%v", err)
	}
	requireBody(t, s, at+"k", []byte("once"))
}

func completeOnObject(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	id := newUpload(t, s, at+"k")
	parts := []flush.Part{newPart(t, s, at+"k", id, 1, []byte("late"))}
	require.NoError(t, s.Put(ctx, at+"k", []byte("first")))
	require.ErrorIs(t, s.CompleteUpload(ctx, at+"k", id, parts), s3.ErrExists)
	requireBody(t, s, at+"k", []byte("first"))
}

func completeRace(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	ids := make([]string, racers)
	parts := make([]flush.Part, racers)
	for n := range racers {
		ids[n] = newUpload(t, s, at+"k")
		parts[n] = newPart(t, s, at+"k", ids[n], 1, fmt.Appendf(nil, "racer %d", n))
	}
	won := winner(t, race(func(n int) error {
		return s.CompleteUpload(ctx, at+"k", ids[n], []flush.Part{parts[n]})
	}), s3.ErrExists, s3.ErrConflict)
	requireBody(t, s, at+"k", fmt.Appendf(nil, "racer %d", won))
}

// completeTogether: a publisher that was replaced and its successor. Whoever is
// told that it is done goes on and tells the catalog: then it must be there.
func completeTogether(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	for n := range 2 {
		key := fmt.Sprintf("%sk%d", at, n)
		id := newUpload(t, s, key)
		body := bytes.Repeat([]byte("together"), partSize/8+1)
		parts := []flush.Part{newPart(t, s, key, id, 1, body), newPart(t, s, key, id, 2, []byte("end"))}
		for _, err := range race(func(int) error {
			err := s.CompleteUpload(ctx, key, id, parts)
			if err != nil && !isAny(err, []error{s3.ErrExists, s3.ErrConflict, s3.ErrNoSuchUpload}) {
				return err
			}
			if err != nil && !errors.Is(err, s3.ErrExists) {
				return nil // says nothing about the object
			}
			_, err = s.Head(ctx, key)
			return err
		}) {
			require.NoError(t, err)
		}
		requireBody(t, s, key, append(body, "end"...))
	}
}

func completeAborted(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	id := newUpload(t, s, at+"k")
	parts := []flush.Part{newPart(t, s, at+"k", id, 1, []byte("dropped"))}
	require.NoError(t, s.AbortUpload(ctx, at+"k", id))
	require.NoError(t, s.AbortUpload(ctx, at+"k", id))
	require.ErrorIs(t, s.CompleteUpload(ctx, at+"k", id, parts), s3.ErrNoSuchUpload)
	_, err := s.Head(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound)
}

func partAgain(t *testing.T, s *s3.Store, at string) {
	id := newUpload(t, s, at+"k")
	newPart(t, s, at+"k", id, 1, []byte("before"))
	part := newPart(t, s, at+"k", id, 1, []byte("after"))
	require.NoError(t, s.CompleteUpload(deadline(t), at+"k", id, []flush.Part{part}))
	requireBody(t, s, at+"k", []byte("after"))
}

func wrongPart(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	id := newUpload(t, s, at+"k")
	part := newPart(t, s, at+"k", id, 1, []byte("body"))
	wrong := part
	wrong.ETag = `"00000000000000000000000000000000"`
	require.Error(t, s.CompleteUpload(ctx, at+"k", id, []flush.Part{wrong}))
	_, err := s.Head(ctx, at+"k")
	require.ErrorIs(t, err, s3.ErrNotFound)
	require.NoError(t, s.CompleteUpload(ctx, at+"k", id, []flush.Part{part}), "the refusal spent the upload")
}

// span: what lies in the middle of an object; an object that does not hold all of it is none.
func span(t *testing.T, s *s3.Store, at string) {
	ctx := deadline(t)
	require.NoError(t, s.PutFileIfAbsent(ctx, at+"k", "text/plain", []byte("0123456789")))
	require.ErrorIs(t, s.PutFileIfAbsent(ctx, at+"k", "text/plain", []byte("other")), s3.ErrExists)
	for _, c := range []struct {
		from, n int64
		want    string
	}{{0, 10, "0123456789"}, {0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}} {
		got, err := s.GetRange(ctx, at+"k", c.from, c.n)
		require.NoError(t, err)
		require.Equal(t, c.want, string(got))
	}
	for _, c := range [][2]int64{{9, 2}, {10, 1}, {100, 5}} {
		_, err := s.GetRange(ctx, at+"k", c[0], c[1])
		require.ErrorIs(t, err, s3.ErrNotFound, "%v", c)
	}
	_, err := s.GetRange(ctx, at+"absent", 0, 1)
	require.ErrorIs(t, err, s3.ErrNotFound)
}

func reader(t *testing.T, s *s3.Store, at string) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	require.NoError(t, s.Put(deadline(t), at+"k", body))
	r, err := s.Reader(deadline(t), at+"k")
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(body, got))
	require.NoError(t, r.Close())

	ctx, cancel := context.WithCancel(deadline(t))
	r, err = s.Reader(ctx, at+"k")
	require.NoError(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, r.Close())
}

func probe(t *testing.T, s *s3.Store, _ string) {
	for _, err := range race(func(int) error { return s.Probe(deadline(t)) }) {
		require.NoError(t, err)
	}
}
