package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
)

// look reads the registry of columns again where a flush was made with a newer one, or it was not read for long. One that
// cannot be read holds nothing up: rows become visible, their new columns do not.
func (f *Follower) look(ctx context.Context, notes []flush.Notification) error {
	newer := time.Since(f.columns) >= tableTTL
	for _, n := range notes {
		newer = newer || n.Columns > f.settings.Lake.Promoted.Version
	}
	if !newer {
		return nil
	}
	var promoted promote.Registry
	err := Retry(ctx, f.tell, Objects, func() (err error) {
		promoted, err = ReadColumns(ctx, f.gates.store)
		if errors.Is(err, ErrColumns) {
			f.tell(Unlisted{Err: err})
			promoted, err = f.settings.Lake.Promoted, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	f.columns = time.Now()
	if promoted.Version != f.settings.Lake.Promoted.Version {
		f.settings.Lake.Promoted = promoted
		delete(f.register.fresh, lake.EventLogsName)
	}
	return nil
}

// Getter is the part of the object store that the registry is read from.
type Getter interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
}

// ErrColumns is a registry of columns that is there and cannot be read. Trying again is of no use.
var ErrColumns = errors.New("the registry of columns cannot be read")

// ReadColumns reads the registry of promoted columns, which sinks write.
func ReadColumns(ctx context.Context, store Getter) (promote.Registry, error) {
	key := lake.ColumnsKey(lake.EventLogsName)
	body, _, err := store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return promote.Registry{}, nil
	}
	if err != nil {
		return promote.Registry{}, err
	}
	r, err := promote.Decode(body)
	if err != nil {
		return promote.Registry{}, fmt.Errorf("%w: %s: %w", ErrColumns, key, err)
	}
	return r, nil
}
