package keep

import (
	"context"
	"errors"
	"fmt"

	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/views"
)

// Reader is the part of the object store that reads.
type Reader interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
}

// Store is the part of the object store that is needed.
type Store interface {
	Reader
	PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error)
}

// Read reads what is known of a database's events; the zero State, and no etag, where nothing is.
func Read(ctx context.Context, store Reader, database string) (s *views.State, etag string, err error) {
	key := lake.ViewsKey(database)
	body, etag, err := store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return new(views.State), "", nil
	}
	if err != nil {
		return nil, "", err
	}
	if s, err = views.Decode(body); err != nil {
		return nil, "", fmt.Errorf("%s: %w; if it is damaged, delete it: names and types come back from Glue, and counts begin anew", key, err)
	}
	return s, etag, nil
}

// Write replaces the state that was read with etag, or fails with s3.ErrChanged or s3.ErrExists where somebody else has.
func Write(ctx context.Context, store Store, database string, s *views.State, etag string) (string, error) {
	body, err := s.Encode()
	if err != nil {
		return "", err
	}
	return store.PutIfMatch(ctx, lake.ViewsKey(database), body, etag)
}
