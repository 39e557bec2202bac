package sim

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reaper does what a broker does and kfake leaves out: a member whose connection broke while it joined has no session
// timer there, so that it would own its partitions for ever. It throws out who was not heard of for twice the session.
type reaper struct {
	w *World

	mu    sync.Mutex
	heard map[string]time.Time // by member id
}

func newReaper(w *World) *reaper {
	r := &reaper{w: w, heard: map[string]time.Time{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		w.kafka.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			switch req := req.(type) {
			case *kmsg.JoinGroupRequest:
				r.hear(req.MemberID)
			case *kmsg.SyncGroupRequest:
				r.hear(req.MemberID)
			case *kmsg.HeartbeatRequest:
				r.hear(req.MemberID)
			}
			return nil, nil, false
		})
	}
	return r
}

func (r *reaper) hear(member string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard[member] = time.Now()
}

// run looks until ctx ends.
func (r *reaper) run(ctx context.Context) {
	client, err := r.w.client()
	if err != nil {
		r.w.violation("make a client: %v", err)
		return
	}
	defer client.Close()
	for sleep(ctx, time.Second) == nil {
		info := r.w.kafka.GroupInfo(group)
		if info == nil {
			continue
		}
		for _, m := range info.Members {
			if r.silent(m.MemberID) {
				r.expel(ctx, client, m.MemberID)
			}
		}
	}
}

// silent: a member of which nothing was ever heard is new.
func (r *reaper) silent(member string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard[member].IsZero() {
		r.heard[member] = time.Now()
	}
	return time.Since(r.heard[member]) > 2*r.w.shape.Session+time.Second
}

func (r *reaper) expel(ctx context.Context, client *kgo.Client, member string) {
	r.w.trace.add("broker", "the session of %s is over", member)
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = member
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID, req.Members = group, member, append(req.Members, m)
	if _, err := req.RequestWith(ctx, client); err != nil && ctx.Err() == nil {
		r.w.trace.add("broker", "it cannot be ended: %v", err)
	}
}
