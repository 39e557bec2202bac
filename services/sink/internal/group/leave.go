package group

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"weir/services/sink/internal/replicas"
	"weir/services/sink/internal/worker"
)

// What a static member does when it ends. One that stays keeps its partitions until the session timeout: they wait for
// it, which is what a restart wants and a smaller fleet does not.
const (
	LeaveAuto   = "auto" // leaves if its StatefulSet wants fewer replicas than its ordinal needs
	LeaveAlways = "always"
	LeaveNever  = "never"
)

// Leaves are the values of Config.Leave.
var Leaves = []string{LeaveAuto, LeaveAlways, LeaveNever}

// askTimeout bounds the question whether this pod comes back.
const askTimeout = 3 * time.Second

// leaves tells whether this member leaves for good. When in doubt it stays: its partitions wait, and nothing is lost.
func (g *Group) leaves(ctx context.Context) bool {
	if g.c.InstanceID == "" || g.c.Leave == LeaveNever {
		return false // a dynamic member leaves by closing its client
	}
	if g.c.Leave == LeaveAlways {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	gone, err := replicas.Gone(ctx, g.c.InstanceID)
	if err != nil {
		g.c.Observe(worker.Retried{Dependency: worker.DependencyGroup, What: "ask whether this pod comes back; it keeps its partitions", Attempt: 1, Err: err})
	}
	return err == nil && gone
}

// leaveForGood takes the member out by its instance id, as closing the client does not for a static one.
func (s *session) leaveForGood(ctx context.Context) {
	c := s.g.c
	answer, err := kadm.NewClient(s.control).LeaveGroup(ctx, kadm.LeaveGroup(c.Group).Reason("scaled in").InstanceIDs(c.InstanceID))
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		err = fmt.Errorf("leave group %s as %s: its partitions wait for %s: %w", c.Group, c.InstanceID, c.SessionTimeout, err)
		c.Observe(worker.Retried{Dependency: worker.DependencyGroup, What: "leave the group", Attempt: 1, Err: err})
	}
}
