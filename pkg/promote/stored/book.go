package stored

import (
	"context"
	"errors"
	"time"

	"weir/pkg/promote"
	"weir/pkg/s3"
)

// Try does something with the lake until it works, or until its error is one of the final ones, or ctx ends.
type Try func(ctx context.Context, what string, do func() error, final ...error) error

// Restored is a registry that was missing in the lake, or there in an older version, and was put back.
type Restored struct {
	Key     string
	Version int64
}

// Book is the registry as one sink knows it. What the sink knows never becomes less, whatever happens to the lake. It
// belongs to one goroutine at a time.
type Book struct {
	store Writer
	try   Try
	tell  func(Restored)

	found promote.Settled // what is known, and what the lake lacks of it
	etag  string          // of the object to replace; "" = there is none
	read  time.Time       // when the lake was looked at last
}

// lookAgain is how long a sink that runs goes without a look at the lake: what is deleted comes back that late.
const lookAgain = 5 * time.Minute

// NewBook makes one that knows nothing yet. tell hears of what was put back; a sink that ended between two writes leaves
// the same as somebody who puts an older version back.
func NewBook(store Writer, try Try, tell func(Restored)) *Book {
	return &Book{store: store, try: try, tell: tell}
}

// Known is the registry as it was when somebody last looked.
func (b *Book) Known() promote.Registry { return b.found.Registry }

// A contradiction may be one that somebody just puts right, see putBack: it stands once it is met so often, so far apart.
const (
	looks = 3
	apart = 2 * time.Second
)

// Read looks at the lake.
func (b *Book) Read(ctx context.Context) error {
	for look := 1; ; look++ {
		err := b.look(ctx)
		if look == looks || !errors.Is(err, promote.ErrContradiction) {
			return err
		}
		select {
		case <-time.After(apart):
		case <-ctx.Done():
			return err
		}
	}
}

func (b *Book) look(ctx context.Context) error {
	return b.try(ctx, "read the registry of columns", func() error {
		found, etag, err := Read(ctx, b.store, b.found.Registry)
		if err == nil {
			b.found, b.etag, b.read = found, etag, time.Now()
		}
		return err
	}, ErrUnusable)
}

// Open reads the registry, puts back what is missing of it, and adds the columns of the wanted paths. Where files were
// written with a version that is gone it is ErrUnusable: what is added now could mean something else than in them. That
// is looked at where something is added, and where there is no registry at all.
func (b *Book) Open(ctx context.Context, wanted []promote.Wanted) (kept []promote.Kept, err error) {
	if err := b.Read(ctx); err != nil {
		return nil, err
	}
	next, _, err := b.Known().Extend(wanted)
	if err != nil {
		return nil, err
	}
	if b.Known().Version == 0 || next.Version != b.Known().Version {
		if err := b.Complete(ctx); err != nil {
			return nil, err
		}
	}
	err = b.change(ctx, func(r promote.Registry) (next promote.Registry, err error) {
		next, kept, err = r.Extend(wanted)
		return next, err
	})
	return kept, err
}

// Complete looks whether what was read knows what files were written with; ErrUnusable where it does not.
func (b *Book) Complete(ctx context.Context) error {
	var used Used
	err := b.try(ctx, "look at what files were written with", func() (err error) {
		used, err = UsedBy(ctx, b.store)
		return err
	})
	if err != nil || used.Version <= b.Known().Version {
		return err
	}
	if err := b.Read(ctx); err != nil { // somebody may have moved it on before
		return err
	}
	return used.Lost(b.Known())
}

// Beside adds columns that stand beside promoted ones in a file. It is asked for each file: now and then it looks whether
// the registry is still in the lake.
func (b *Book) Beside(ctx context.Context, names []string) error {
	if time.Since(b.read) >= lookAgain {
		if err := b.Read(ctx); err != nil {
			return err
		}
	}
	return b.change(ctx, func(r promote.Registry) (promote.Registry, error) { return r.Beside(names), nil })
}

// change stores what do makes of the registry, if that is another or the lake lacks it. Where somebody else was first,
// theirs is changed. What has no copy gets one before it grows: so every version has one that others came of, and a
// first version that arrives late meets it.
func (b *Book) change(ctx context.Context, do func(promote.Registry) (promote.Registry, error)) error {
	for {
		next, err := do(b.Known())
		if err != nil || next.Version == b.found.Version && !b.found.Behind && !b.found.Uncopied {
			return err
		}
		if b.found.Uncopied {
			next = b.Known()
		}
		err = b.try(ctx, "store the registry of columns", func() error {
			etag, err := put(ctx, b.store, next, b.found, b.etag)
			if err == nil {
				b.etag = etag
			}
			return err
		}, s3.ErrChanged, ErrUnusable)
		if err == nil {
			if b.found.Behind && b.found.Version > 0 {
				b.tell(Restored{Key: key, Version: b.found.Version})
			}
			b.found = promote.Settled{Registry: next}
			continue
		}
		if !errors.Is(err, s3.ErrChanged) {
			return err
		}
		if err := b.Read(ctx); err != nil {
			return err
		}
	}
}
