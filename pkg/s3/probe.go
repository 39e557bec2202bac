package s3

import (
	"context"
	"errors"
	"fmt"

	"weir/pkg/flush"
)

// probeKey is the one key that probes write, again and again.
const probeKey = "_weir/probe/conditions"

// Probe refuses a store on which the flush protocol does not hold: one that
// overwrites an object in spite of If-None-Match, on put or on complete, or in
// spite of an If-Match that does not. Several services may probe at once.
func (s *Store) Probe(ctx context.Context) error {
	for _, check := range []func(context.Context) error{
		s.probePutIfAbsent, s.probePutIfMatch, s.probeComplete,
	} {
		if err := check(ctx); err != nil {
			return fmt.Errorf("probe s3://%s: %w", s.loc.Bucket, err)
		}
	}
	return nil
}

func (s *Store) probePutIfAbsent(ctx context.Context) error {
	err := s.PutIfAbsent(ctx, probeKey, []byte("weir probe\n"))
	if err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return mustRefuse(s.PutIfAbsent(ctx, probeKey, []byte("weir probe, again\n")), ErrExists, "If-None-Match on put")
}

func (s *Store) probePutIfMatch(ctx context.Context) error {
	const never = `"00000000000000000000000000000000"`
	_, err := s.PutIfMatch(ctx, probeKey, []byte("weir probe, over another object\n"), never)
	if err := mustRefuse(err, ErrChanged, "If-Match on put"); err != nil {
		return err
	}
	// The right ETag must pass; another probe may come between the two lines.
	for n := 1; ; n++ {
		_, etag, err := s.Get(ctx, probeKey)
		if err != nil {
			return err
		}
		_, err = s.PutIfMatch(ctx, probeKey, []byte(fmt.Sprintf("weir probe, replaced %d\n", n)), etag)
		if !errors.Is(err, ErrChanged) || n == 10 {
			return err
		}
		if err := s.pause(ctx, n); err != nil {
			return err
		}
	}
}

func (s *Store) probeComplete(ctx context.Context) error {
	id, err := s.CreateUpload(ctx, probeKey, "")
	if err != nil {
		return err
	}
	part, err := s.UploadPart(ctx, probeKey, id, 1, []byte("weir probe, by upload\n"))
	if err != nil {
		return err
	}
	refused := mustRefuse(s.CompleteUpload(ctx, probeKey, id, []flush.Part{part}), ErrExists, "If-None-Match on complete")
	// The upload is the probe's own; no manifest ever names its key.
	return errors.Join(refused, s.AbortUpload(ctx, probeKey, id))
}

// mustRefuse judges the answer to a request whose condition does not hold.
func mustRefuse(err, want error, condition string) error {
	switch {
	case err == nil:
		return fmt.Errorf("%w: it ignores %s", ErrUnfit, condition)
	case errors.Is(err, want):
		return nil
	}
	return fmt.Errorf("%s: %w", condition, err)
}
