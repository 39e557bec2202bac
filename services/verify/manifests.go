package verify

import (
	"context"
	"errors"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

// requestsAtOnce bounds the requests to the store, and the manifests in memory.
const requestsAtOnce = 16

// blockOfSeqs is how many flushes' keys are listed at a time: about what one answer of
// S3 holds.
const blockOfSeqs = 1000

// manifest is one that was read. Both nil: it was removed since it was listed, as if
// it had never been.
type manifest struct {
	key  string
	seq  uint64
	read *flush.Manifest
	err  error // it is there and cannot be read
}

// keys lists the manifests of a partition from seq first on, ascending.
func (v *verifier) keys(ctx context.Context, o lake.Owner, first uint64) iter.Seq2[manifest, error] {
	return func(yield func(manifest, error) bool) {
		after := ""
		if first > 0 {
			after = o.ManifestKey(first, "") // before every key of that seq
		}
		for object, err := range v.store.List(ctx, o.ManifestDir(), after) {
			if err != nil {
				yield(manifest{}, err)
				return
			}
			_, seq, _, err := lake.ParseManifestKey(object.Key)
			if err == nil && !yield(manifest{key: object.Key, seq: seq}, nil) {
				return
			}
		}
	}
}

// walk feeds the chain to the account, from the last manifest to the first, block by
// block: only a manifest's successor says that it was decided.
func (v *verifier) walk(ctx context.Context, l *account.Ledger) error {
	for m, err := range v.keys(ctx, l.Owner(), l.State().Seq+1) {
		if err != nil {
			return err
		}
		if l.Whole || l.Lowest() <= m.seq {
			l.Attempt(m.key, m.seq)
		}
	}
	for {
		key, seq := l.Next()
		if key == "" {
			return nil
		}
		first := uint64(1)
		if seq > v.block {
			first = seq - v.block + 1
		}
		if err := v.walkBlock(ctx, l, first, seq); err != nil {
			return err
		}
	}
}

// walkBlock goes from seq last down to first.
func (v *verifier) walkBlock(ctx context.Context, l *account.Ledger, first, last uint64) error {
	var block []manifest
	for m, err := range v.keys(ctx, l.Owner(), first) {
		if err != nil {
			return err
		}
		if m.seq > last {
			break
		}
		block = append(block, m)
	}
	missing := func() bool {
		key, seq := l.Next()
		return key != "" && seq >= first && !slices.ContainsFunc(block, func(m manifest) bool { return m.key == key })
	}
	if missing() {
		l.Read(nil, nil)
	}
	slices.Reverse(block)
	return v.readInOrder(ctx, each(block), func(m manifest) error {
		next, _ := l.Next()
		switch {
		case m.key == next:
			l.Read(m.read, m.err)
			if m.read != nil && l.Decided(m.key, m.seq) {
				if err := v.sayDecided(l, m.read); err != nil {
					return err
				}
			}
			if missing() {
				l.Read(nil, nil)
			}
		case next != "" || m.seq >= l.Lowest():
			l.Attempt(m.key, m.seq)
			return v.say(attempted, m)
		}
		return nil
	})
}

// chain hands over the decided manifests once more, ascending, after walk.
func (v *verifier) chain(ctx context.Context, l *account.Ledger, each func(*flush.Manifest) error) error {
	if l.Lowest() > l.State().Seq {
		return nil
	}
	keys := func(yield func(manifest, error) bool) {
		for m, err := range v.keys(ctx, l.Owner(), l.Lowest()) {
			if err == nil && m.seq > l.State().Seq {
				return
			}
			if (err != nil || l.Decided(m.key, m.seq)) && !yield(m, err) {
				return
			}
		}
	}
	return v.readInOrder(ctx, keys, func(m manifest) error {
		if m.read == nil {
			return errors.Join(errors.New("manifest "+m.key+" was removed or changed while it was verified"), m.err)
		}
		return each(m.read)
	})
}

// unproven names the files of manifests below a break in the chain: nobody can tell
// whether these were decided, so their files are no orphans.
func (v *verifier) unproven(ctx context.Context, l *account.Ledger) error {
	keys := func(yield func(manifest, error) bool) {
		for m, err := range v.keys(ctx, l.Owner(), 0) {
			if err == nil && m.seq >= l.Lowest() || !yield(m, err) {
				return
			}
		}
	}
	return v.readInOrder(ctx, keys, func(m manifest) error { return v.say(believed, m) })
}

// say puts the files of a manifest into the spool.
func (v *verifier) say(what says, m manifest) error {
	if m.read == nil {
		return nil
	}
	for i := range m.read.Files {
		if err := v.spool.add(entry{says: what, key: m.read.Files[i].Key, manifest: m.key}); err != nil {
			return err
		}
	}
	return nil
}

// sayDecided puts the files of a flush into the spool that is published, or is being so.
func (v *verifier) sayDecided(l *account.Ledger, m *flush.Manifest) error {
	pending := l.Pending() == m.Key
	if pending {
		v.pending[m.Partition] = len(m.Files)
	}
	for i := range m.Files {
		f := &m.Files[i]
		if l.GaveUp(f.Key) {
			if err := v.spool.add(entry{says: gaveUp, key: f.Key, manifest: m.Key}); err != nil {
				return err
			}
			continue
		}
		e := entry{says: decided, key: f.Key, bytes: f.Bytes, partition: m.Partition, table: f.Table, manifest: m.Key, pending: pending}
		if err := v.spool.add(e); err != nil {
			return err
		}
	}
	return nil
}

// offsets are those of one file, for the text of a finding.
func (v *verifier) offsets(ctx context.Context, e entry) (account.Ranges, error) {
	m, err := v.readManifest(ctx, manifest{key: e.manifest})
	if err != nil || m.read == nil {
		return nil, err
	}
	for i := range m.read.Files {
		if f := &m.read.Files[i]; f.Key == e.key {
			return account.RangesOf(f.Offsets), nil
		}
	}
	return nil, nil
}

// readInOrder reads manifests some at once and hands them over one by one, in the
// caller's goroutine. It owns those that it starts, and returns when they have ended.
func (v *verifier) readInOrder(ctx context.Context, keys iter.Seq2[manifest, error], do func(manifest) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	window := make(chan chan manifest, requestsAtOnce)
	group.Go(func() error {
		defer close(window)
		for m, err := range keys {
			if err != nil {
				return err
			}
			answer := make(chan manifest, 1)
			select {
			case window <- answer:
			case <-ctx.Done():
				return ctx.Err()
			}
			group.Go(func() error {
				defer close(answer)
				m, err := v.readManifest(ctx, m)
				if err == nil {
					answer <- m
				}
				return err
			})
		}
		return nil
	})
	for answer := range window {
		m, ok := <-answer
		if !ok {
			break // whoever read it says why
		}
		if err := do(m); err != nil {
			cancel()
			_ = group.Wait() // it was told to stop
			return err
		}
	}
	return group.Wait()
}

func (v *verifier) readManifest(ctx context.Context, m manifest) (manifest, error) {
	body, _, err := v.store.Get(ctx, m.key)
	if errors.Is(err, s3.ErrNotFound) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.read, m.err = codec.DecodeManifest(m.key, body)
	if m.err != nil {
		m.read = nil
		return m, nil
	}
	for i := range m.read.Files {
		m.read.Files[i].Parts, m.read.Files[i].Columns = nil, nil // many, and of no use here
	}
	return m, nil
}

func each(list []manifest) iter.Seq2[manifest, error] {
	return func(yield func(manifest, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}
