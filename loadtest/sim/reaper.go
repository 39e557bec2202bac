package sim

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reaper does what a broker does and kfake leaves out. A member whose connection broke while it joined has no session
// timer there, so that it would own its partitions for ever: whoever was not heard of for twice the session is thrown out.
// And each JoinGroup begins the deadline of a rebalance anew, so that members which try again in turn never see its end:
// once it is due, they are told to come again until it is over.
type reaper struct {
	w *World

	mu       sync.Mutex
	heard    map[string]time.Time // by member id
	since    time.Time            // the group waits for its members, in a rebalance
	epoch    int32                // the generation before that
	refusing bool                 // whoever joins
}

func newReaper(w *World) *reaper { return &reaper{w: w, heard: map[string]time.Time{}} }

// listen hears what members send to the cluster.
func (r *reaper) listen(c *kfake.Cluster) {
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			switch req := req.(type) {
			case *kmsg.JoinGroupRequest:
				r.hear(req.MemberID)
				if req.Group == group && r.isRefusing() {
					c.KeepControl()
					resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
					resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
					return resp, nil, true
				}
			case *kmsg.SyncGroupRequest:
				r.hear(req.MemberID)
			case *kmsg.HeartbeatRequest:
				r.hear(req.MemberID)
			}
			return nil, nil, false
		})
	}
}

func (r *reaper) isRefusing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusing
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
		if r.w.down.Load() {
			continue
		}
		info := r.w.kafka.GroupInfo(group)
		if info == nil {
			continue
		}
		r.endRebalance(info)
		for _, m := range info.Members {
			if r.silent(m.MemberID) {
				r.expel(ctx, client, m.MemberID)
			}
		}
	}
}

// endRebalance has those wait outside who would put a rebalance off that is due: members have the session's time to join.
func (r *reaper) endRebalance(info *kfake.GroupInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if info.State != "PreparingRebalance" || info.Epoch != r.epoch || r.since.IsZero() {
		r.since, r.epoch, r.refusing = time.Now(), info.Epoch, false
	}
	if due := time.Since(r.since) > r.w.shape.Session+2*time.Second; due && !r.refusing {
		r.refusing = true
		r.w.trace.add("broker", "the rebalance after generation %d is due", info.Epoch)
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
