package follow

import (
	"context"
	"errors"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
)

// unusableFor is how long a registry that cannot be used is left alone: every flush may name a version that it lacks.
const unusableFor = time.Minute

// look reads the registry of columns again where a flush was made with a newer one, or it was not read for long. One that
// cannot be used, or is lost, holds nothing up: rows become visible, their new columns do not.
func (f *Follower) look(ctx context.Context, notes []flush.Notification) error {
	newer := time.Since(f.columns) >= tableTTL
	for _, n := range notes {
		newer = newer || n.Columns > f.settings.Lake.Promoted.Version
	}
	if !newer || time.Since(f.unusable) < unusableFor {
		return nil
	}
	var now promote.Settled
	err := Retry(ctx, f.tell, Objects, func() (err error) {
		now, _, err = stored.Read(ctx, f.gates.store, f.settings.Lake.Promoted)
		if err == nil {
			err = lost(now.Registry, notes)
		}
		if errors.Is(err, stored.ErrUnusable) {
			f.tell(Unlisted{Err: err})
			f.unusable = time.Now()
			now.Registry, err = f.settings.Lake.Promoted, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	f.columns = time.Now()
	if now.Version != f.settings.Lake.Promoted.Version {
		f.settings.Lake.Promoted = now.Registry
		delete(f.register.fresh, lake.EventLogsName)
	}
	return nil
}

// lost names a registry that is gone, or older than what files were written with.
func lost(known promote.Registry, notes []flush.Notification) error {
	var used stored.Used
	for _, n := range notes {
		if n.Columns > used.Version {
			used = stored.Used{Version: n.Columns, Manifest: n.Manifest}
		}
	}
	return used.Lost(known)
}
