package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/loadtest/chaos/record"
)

// How often a watcher looks. What it says is late by no more than that.
const (
	lookAtObjects = 200 * time.Millisecond
	lookAtGroup   = 100 * time.Millisecond
)

// formsWithin is how long the sinks have to share the topic out, before the load.
const formsWithin = time.Minute

// watchObjects notes when each object of the tables is first there, until ctx ends, and when one is gone. It looks at
// the store's folder: no request of its own stands between a fault and what it sees.
func watchObjects(ctx context.Context, lake string, seen *record.Writer[record.Seen]) {
	known := map[string]bool{}
	tick := time.NewTicker(lookAtObjects)
	defer tick.Stop()
	for {
		lookOnce(lake, known, seen)
		select {
		case <-ctx.Done():
			lookOnce(lake, known, seen)
			return
		case <-tick.C:
		}
	}
}

func lookOnce(lake string, known map[string]bool, seen *record.Writer[record.Seen]) {
	at := time.Now().UnixMilli()
	there := make(map[string]bool, len(known))
	for _, table := range []string{"eventlogs", "raw"} {
		_ = filepath.WalkDir(filepath.Join(lake, table), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".parquet") && !strings.HasSuffix(path, ".zst") {
				return nil //nolint:nilerr // a folder that is being made is looked at the next time
			}
			key, err := filepath.Rel(lake, path)
			if err == nil {
				there[key] = true
			}
			return nil
		})
	}
	for key := range there {
		if !known[key] {
			known[key] = true
			seen.Add(record.Seen{Key: key, At: at})
		}
	}
	for key := range known {
		if !there[key] {
			delete(known, key)
			seen.Add(record.Seen{Key: key, At: at, Gone: true})
		}
	}
}

// owners watches who holds which partition of the events topic.
type owners struct {
	mu      sync.Mutex
	last    map[int32]string    // who held it last
	free    map[int32]time.Time // since when nobody does
	moves   []move
	longest gap
}

// move is a partition that changed hands. A member is known by its instance id, where it has one.
type move struct {
	at        time.Time
	partition int32
	from, to  string
}

// gap is how long a partition had no owner.
type gap struct {
	at        time.Time
	partition int32
	took      time.Duration
}

func newOwners() *owners {
	return &owners{last: map[int32]string{}, free: map[int32]time.Time{}}
}

// watch looks until ctx ends. An answer that cannot be had says nothing: the broker may be what was killed.
func (o *owners) watch(ctx context.Context, admin *kadm.Client) {
	tick := time.NewTicker(lookAtGroup)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, cancel := context.WithTimeout(ctx, 2*time.Second)
		held, ok := holders(asked, admin)
		cancel()
		if ok {
			o.note(time.Now(), held)
		}
	}
}

// holders asks who holds which partition of the group, whichever protocol it has. A classic group that rebalances says
// nothing; in one of KIP-848 each member says at any time what it has.
func holders(ctx context.Context, admin *kadm.Client) (held map[int32]string, ok bool) {
	held = map[int32]string{}
	add := func(member string, instance *string, partitions []int32) {
		if instance != nil {
			member = *instance
		}
		for _, p := range partitions {
			held[p] = member
		}
	}
	if groups, err := admin.DescribeGroups(ctx, group); err == nil && groups[group].Err == nil && groups[group].State == "Stable" {
		for _, m := range groups[group].Members {
			if assigned, is := m.Assigned.AsConsumer(); is {
				for _, t := range assigned.Topics {
					add(m.MemberID, m.InstanceID, t.Partitions)
				}
			}
		}
		return held, true
	}
	groups, err := admin.DescribeConsumerGroups(ctx, group)
	if g := groups[group]; err != nil || g.Err != nil || len(g.Members) == 0 {
		return nil, false
	}
	for _, m := range groups[group].Members {
		add(m.MemberID, m.InstanceID, slices.Collect(maps.Keys(m.Assignment[topic])))
	}
	return held, true
}

// awaitShared waits until the sinks have shared the topic out: while a group forms, partitions change hands.
func awaitShared(ctx context.Context, admin *kadm.Client, c Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, formsWithin)
	defer cancel()
	for {
		if held, ok := holders(ctx, admin); ok && shared(held, c) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %d sinks have shared out %d partitions of topic %s: %w", c.Sinks, c.Partitions, topic, ctx.Err())
		case <-time.After(lookAtGroup):
		}
	}
}

// shared tells whether every partition has an owner, and every sink that can have one a partition.
func shared(held map[int32]string, c Cluster) bool {
	members := map[string]bool{}
	for _, who := range held {
		members[who] = true
	}
	return len(held) == c.Partitions && len(members) == min(c.Sinks, c.Partitions)
}

// note compares with what was seen before. A group that rebalances is not looked at, so a gap counts from the last
// assignment in which the partition had an owner to the first in which it has one again.
func (o *owners) note(now time.Time, held map[int32]string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for p, last := range o.last {
		who, has := held[p]
		switch since, free := o.free[p]; {
		case !has && !free:
			o.free[p] = now
		case has && free:
			if took := now.Sub(since); took > o.longest.took {
				o.longest = gap{at: since, partition: p, took: took}
			}
			delete(o.free, p)
		}
		if has && who != last {
			o.moves = append(o.moves, move{at: now, partition: p, from: last, to: who})
		}
	}
	for p, who := range held {
		o.last[p] = who
	}
}

// found is what was seen up to now.
func (o *owners) found() (moves []move, longest gap) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.moves, o.longest
}
