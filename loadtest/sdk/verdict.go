// Package sdk sends events with Segment's own libraries, unmodified and as their package registries give them, through
// weir's processes. It compares what a library says became of each event with what stands in Kafka, while the gateway
// gives every answer that it has, and looks for each event in the table.
package sdk

import (
	"fmt"
	"maps"
	"slices"
)

// What a library says of an event.
const (
	delivered = "delivered"
	failed    = "failed"
)

// promise is what must hold for the events of a library, beside what always must.
type promise struct {
	refused map[int]bool // events that belong in the topic of the rejected ones
	nothing bool         // the library may not deliver anything
	some    bool         // the library may give events up
	doubles bool         // a request whose outcome the library could not know may have come twice
	resent  bool         // and one has
}

// tally is one library's run: what it said of the events that it sent, and the messageIds under which each stands in
// Kafka.
type tally struct {
	sent     []int
	told     map[int][]string
	events   map[int][]string
	rejected map[int][]string
}

// faults says all that is wrong. Whatever is promised: each event was told of once; one that is told to be delivered
// stands in its topic, once; one that failed stands there at most once; nothing stands there that was not sent; and an
// event that is there twice has one messageId.
func (y tally) faults(p promise) (faults []string) {
	for _, n := range y.sent {
		for _, fault := range y.ofEvent(n, p) {
			faults = append(faults, fmt.Sprintf("event %d %s", n, fault))
		}
	}
	if p.resent && y.doubled() == 0 {
		faults = append(faults, "no event stands there twice: nothing was sent again")
	}
	for where, topic := range map[string]map[int][]string{"events": y.events, "rejected": y.rejected} {
		for _, n := range slices.Sorted(maps.Keys(topic)) {
			if !slices.Contains(y.sent, n) {
				faults = append(faults, fmt.Sprintf("event %d was not sent and stands among the %s", n, where))
			}
		}
	}
	return faults
}

func (y tally) ofEvent(n int, p promise) (faults []string) {
	ids, others := y.events[n], y.rejected[n]
	if p.refused[n] {
		ids, others = others, ids
	}
	if len(others) > 0 {
		faults = append(faults, "stands in the wrong topic")
	}
	if len(slices.Compact(slices.Sorted(slices.Values(ids)))) > 1 {
		faults = append(faults, fmt.Sprintf("has several messageIds: %q", ids))
	}
	if len(ids) > 1 && !p.doubles {
		faults = append(faults, fmt.Sprintf("stands in Kafka %d times", len(ids)))
	}
	switch told := y.told[n]; {
	case len(told) != 1:
		faults = append(faults, fmt.Sprintf("was told of %d times: %q", len(told), told))
	case told[0] == delivered && p.nothing:
		faults = append(faults, "is told to be delivered, and nothing may be")
	case told[0] == delivered && len(ids) == 0:
		faults = append(faults, "is told to be delivered and stands nowhere")
	case told[0] == failed && !p.some && !p.nothing:
		faults = append(faults, "was given up")
	case told[0] != delivered && told[0] != failed:
		faults = append(faults, fmt.Sprintf("is told to be %q", told[0]))
	}
	return faults
}

// doubled counts the records that stand there for a second time.
func (y tally) doubled() (doubles int) {
	for _, ids := range y.events {
		doubles += len(ids) - 1
	}
	return doubles
}
