package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/s3"
)

// Bounds of the pause between attempts.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 20 * time.Second
)

// Observer hears facts: the structs of facts.go and nothing else.
type Observer func(fact any)

// Retry is the one place where infrastructure that fails is tried again: for ever,
// because the sink has nothing better to do, with a growing pause, until the context
// ends. The observer hears of each failure and of the recovery; the flush protocol
// hears of neither.
type Retry struct{ Observe Observer }

// Do repeats do until it succeeds, until its error is one of final, which mean
// something to the caller, or until the context ends.
func (r Retry) Do(ctx context.Context, dependency, what string, do func() error, final ...error) error {
	for n := 0; ; n++ {
		err := do()
		if err == nil {
			if n > 0 {
				r.Observe(Recovered{Dependency: dependency})
			}
			return nil
		}
		for _, f := range final {
			if errors.Is(err, f) {
				return err
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(ctx.Err(), err))
		}
		r.Observe(Retried{Dependency: dependency, What: what, Attempt: n + 1, Err: err})
		if pause(ctx, n) != nil {
			return fmt.Errorf("%s: %w", what, errors.Join(ctx.Err(), err))
		}
	}
}

// backoff is between half and all of the n-th pause.
func backoff(n int) time.Duration {
	d := maxBackoff
	if n < 16 {
		d = min(d, minBackoff<<n)
	}
	return d/2 + rand.N(d/2+1)
}

func pause(ctx context.Context, n int) error {
	t := time.NewTimer(backoff(n))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dependencies as they are reported.
const (
	DependencyS3    = "s3"
	DependencyKafka = "kafka"
	DependencyGroup = "kafka group"
)

// RetryStore is a store whose methods fail only with what the flush protocol
// understands.
func RetryStore(s Store, r Retry) Store { return retryStore{s, r} }

type retryStore struct {
	store Store
	retry Retry
}

func (s retryStore) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return s.retry.Do(ctx, DependencyS3, "put "+key, func() error {
		return s.store.PutIfAbsent(ctx, key, body)
	}, s3.ErrExists)
}

func (s retryStore) PutFileIfAbsent(ctx context.Context, key, contentType string, body []byte) error {
	return s.retry.Do(ctx, DependencyS3, "put "+key, func() error {
		return s.store.PutFileIfAbsent(ctx, key, contentType, body)
	}, s3.ErrExists)
}

func (s retryStore) GetRange(ctx context.Context, key string, from, n int64) (body []byte, err error) {
	err = s.retry.Do(ctx, DependencyS3, "get "+key, func() (err error) {
		body, err = s.store.GetRange(ctx, key, from, n)
		return err
	}, s3.ErrNotFound)
	return body, err
}

func (s retryStore) Get(ctx context.Context, key string) (body []byte, etag string, err error) {
	err = s.retry.Do(ctx, DependencyS3, "get "+key, func() (err error) {
		body, etag, err = s.store.Get(ctx, key)
		return err
	}, s3.ErrNotFound)
	return body, etag, err
}

func (s retryStore) Head(ctx context.Context, key string) (o s3.Object, err error) {
	err = s.retry.Do(ctx, DependencyS3, "head "+key, func() (err error) {
		o, err = s.store.Head(ctx, key)
		return err
	}, s3.ErrNotFound)
	return o, err
}

func (s retryStore) CreateUpload(ctx context.Context, key, contentType string) (id string, err error) {
	err = s.retry.Do(ctx, DependencyS3, "create upload of "+key, func() (err error) {
		id, err = s.store.CreateUpload(ctx, key, contentType)
		return err
	})
	return id, err
}

func (s retryStore) UploadPart(ctx context.Context, key, id string, n int32, body []byte) (p flush.Part, err error) {
	err = s.retry.Do(ctx, DependencyS3, fmt.Sprintf("upload part %d of %s", n, key), func() (err error) {
		p, err = s.store.UploadPart(ctx, key, id, n, body)
		return err
	}, s3.ErrNoSuchUpload, s3.ErrNotFound)
	return p, err
}

func (s retryStore) CompleteUpload(ctx context.Context, key, id string, parts []flush.Part) error {
	return s.retry.Do(ctx, DependencyS3, "complete "+key, func() error {
		return s.store.CompleteUpload(ctx, key, id, parts)
	}, s3.ErrExists, s3.ErrNoSuchUpload, s3.ErrNotFound, s3.ErrConflict)
}

// AbortUpload is tried once: the bucket's rule for unfinished uploads does the rest.
func (s retryStore) AbortUpload(ctx context.Context, key, id string) error {
	return s.store.AbortUpload(ctx, key, id)
}

// RetryKafka is Kafka whose methods fail only with what the flush protocol
// understands. A commit is passed on as it is: sending it again is the protocol's.
func RetryKafka(k Kafka, r Retry) Kafka { return retryKafka{k, r} }

type retryKafka struct {
	kafka Kafka
	retry Retry
}

func (k retryKafka) Commit(ctx context.Context, s flush.State, id Identity) flush.Input {
	return k.kafka.Commit(ctx, s, id)
}

// ProduceDeadLetters goes on behind those that are acknowledged.
func (k retryKafka) ProduceDeadLetters(ctx context.Context, letters []event.Record) (acked int, err error) {
	err = k.retry.Do(ctx, DependencyKafka, "produce dead letters", func() error {
		n, err := k.kafka.ProduceDeadLetters(ctx, letters[acked:])
		acked += n
		return err
	}, ErrTooLarge)
	return acked, err
}

func (k retryKafka) Notify(ctx context.Context, n flush.Notification) error {
	return k.retry.Do(ctx, DependencyKafka, "notify of "+n.Manifest, func() error {
		return k.kafka.Notify(ctx, n)
	}, ErrTooLarge)
}

// Reread starts again from the first record after a failure.
func (k retryKafka) Reread(ctx context.Context, offsets *flush.Offsets, begin func() error, each func(*event.Record) error) error {
	return k.retry.Do(ctx, DependencyKafka, "read records again", func() error {
		return k.kafka.Reread(ctx, offsets, begin, each)
	}, ErrGone, errEncode)
}
