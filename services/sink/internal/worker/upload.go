package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"weir/pkg/flush"
	"weir/pkg/s3"
)

// Uploaders bounds how many requests that carry file contents run at once in the
// process, and with that the memory of parts under way.
type Uploaders struct {
	slots    chan struct{}
	partSize int // bytes from which on a part is sent; a file that has fewer is staged in the bundle
}

// NewUploaders allows n at once, of parts of partSize bytes.
func NewUploaders(n, partSize int) *Uploaders {
	return &Uploaders{slots: make(chan struct{}, n), partSize: partSize}
}

func (u *Uploaders) acquire(ctx context.Context) error {
	select {
	case u.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *Uploaders) release() { <-u.slots }

// upload is one file on its way: an io.Writer that sends a part of a multipart upload
// whenever one is full. What never fills a part needs no upload: see small.
// An upload that the store has lost (an expiry rule, an operator) goes on without
// error: its flush is decided like any other, and publishing repairs the file.
type upload struct {
	ctx         context.Context
	store       Uploads
	slots       *Uploaders
	contentType string
	name        func() string // gives the key, once, when the upload is created

	key  string
	id   string // "" until the first part is sent
	buf  []byte
	sent int32 // parts handed over
	size int64 // bytes written

	under   atomic.Int64 // bytes of parts under way
	senders sync.WaitGroup
	mu      sync.Mutex
	parts   []flush.Part
	err     error
	lost    bool
}

func (u *upload) Write(p []byte) (int, error) {
	if len(p) > cap(u.buf)-len(u.buf) {
		u.buf = slices.Grow(u.buf, max(len(p), len(u.buf))) // append alone grows large ones by a quarter, and copies them often
	}
	u.buf = append(u.buf, p...)
	u.size += int64(len(p))
	if len(u.buf) < u.slots.partSize {
		return len(p), nil
	}
	part := u.buf
	u.buf = nil
	return len(p), u.send(part)
}

// send hands a part to an uploader. It waits while all are busy: that is what slows
// the partition down to the speed of the store.
func (u *upload) send(body []byte) error {
	if err := u.failed(); err != nil {
		return err
	}
	if err := u.slots.acquire(u.ctx); err != nil {
		return err
	}
	if err := u.create(); err != nil {
		u.slots.release()
		return err
	}
	u.sent++
	number := u.sent
	u.under.Add(int64(len(body)))
	u.senders.Go(func() {
		defer u.slots.release()
		defer u.under.Add(-int64(len(body)))
		u.sendPart(number, body)
	})
	return nil
}

func (u *upload) create() error {
	if u.id != "" {
		return nil
	}
	if u.key == "" {
		u.key = u.name()
	}
	id, err := u.store.CreateUpload(u.ctx, u.key, u.contentType)
	u.id = id
	return err
}

func (u *upload) sendPart(number int32, body []byte) {
	u.mu.Lock()
	skip := u.lost || u.err != nil
	u.mu.Unlock()
	if skip {
		return
	}
	part, err := u.store.UploadPart(u.ctx, u.key, u.id, number, body)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err == nil:
		u.parts = append(u.parts, part)
	case errors.Is(err, s3.ErrNoSuchUpload), errors.Is(err, s3.ErrNotFound):
		u.lost = true
	default:
		u.err = errors.Join(u.err, err)
	}
}

func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// small is the whole file where no part of it was sent.
func (u *upload) small() []byte {
	if u.sent > 0 {
		return nil
	}
	return u.buf
}

// seal sends what is left, but of a small file, and waits until every part is there.
func (u *upload) seal() error {
	if u.sent > 0 && len(u.buf) > 0 {
		last := u.buf
		u.buf = nil
		if err := u.send(last); err != nil {
			return err
		}
	}
	u.senders.Wait()
	if err := u.failed(); err != nil {
		return err
	}
	slices.SortFunc(u.parts, func(a, b flush.Part) int { return int(a.Number - b.Number) })
	return nil
}

// held is the memory of the upload: what waits for a full part, and parts under way.
func (u *upload) held() int64 { return int64(cap(u.buf)) + u.under.Load() }

// abort drops an upload that no manifest names.
func (u *upload) abort(ctx context.Context) error {
	u.senders.Wait()
	if u.id == "" {
		return nil
	}
	return u.store.AbortUpload(ctx, u.key, u.id)
}
