package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/sink/internal/worker"
)

// owners is the content of owners/<topic id>: whose the topic is in this lake, and how
// many partitions it had when that began.
type owners struct {
	Format     int    `json:"format"`
	Group      string `json:"group"`
	Topic      string `json:"topic"`
	Lake       string `json:"lake"`
	Partitions int32  `json:"partitions"`
}

// claim makes the topic this group's in this lake, or refuses where it is another's:
// two groups would write every record twice.
func (g *Group) claim(ctx context.Context, t kafka.Topic) (owners, error) {
	mine := owners{Format: 1, Group: g.c.Group, Topic: t.Name, Lake: g.c.Lake.URL(""), Partitions: t.Partitions}
	body, err := json.Marshal(mine)
	if err != nil {
		return owners{}, fmt.Errorf("encode %s: %w", lake.OwnersKey(t.ID), err)
	}
	store, key := worker.RetryStore(g.c.Store, g.retry), lake.OwnersKey(t.ID)
	err = store.PutIfAbsent(ctx, key, append(body, '\n'))
	if err == nil {
		return mine, nil
	}
	if !errors.Is(err, s3.ErrExists) {
		return owners{}, err
	}
	standing, _, err := store.Get(ctx, key)
	if err != nil {
		return owners{}, err
	}
	var theirs owners
	if err := json.Unmarshal(standing, &theirs); err != nil {
		return owners{}, fmt.Errorf("%w: %s cannot be read: %w", errRefused, g.c.Lake.URL(key), err)
	}
	if theirs.Format != 1 {
		return owners{}, fmt.Errorf("%w: %s has format %d, and this weir reads format 1", errRefused, g.c.Lake.URL(key), theirs.Format)
	}
	if theirs.Group != mine.Group {
		return owners{}, fmt.Errorf("%w: topic %s is written into %s by group %s, and group %s would write every record a second time; use another lake, or that group",
			errRefused, t.Name, g.c.Lake.URL(""), theirs.Group, mine.Group)
	}
	return theirs, nil
}
