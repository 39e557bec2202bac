package flush

import (
	"fmt"

	"weir/pkg/lake"
)

// chainKeys bounds the keys that a Chain remembers of one walk.
const chainKeys = 1000

// Link is one flush of a partition's chain: each manifest names the one before it.
type Link struct {
	Seq      uint64
	Manifest string // its key; "" for seq 0
}

// Chain leads from a flush back to what a gate has accepted, over the hole between. Who closes it reads manifests, one at a time:
// backwards first, until they have led from the flush to what was accepted, and only then forwards, each giving a
// notification for the gate to judge, the flush's own at the end. It remembers keys and no manifests, and of a long
// gap only the nearest chainKeys and where further walks begin, so that every manifest of it is read at most three times.
// It is as far as it has come whenever the reading fails: it goes on from there.
type Chain struct {
	owner lake.Owner
	from  uint64 // first seq of the hole
	end   Link   // the flush after the hole
	mark  Link   // accepted, or given to be
	tops  []Link // where walks begin; the one at hand last
	at    Link   // of the walk at hand: read next
	keys  []string
	low   uint64 // lowest seq that was read

	forward bool
}

// NewChain leads from n back to mark, the last that was accepted. An error is the reason for an alarm.
func NewChain(mark Mark, n Notification) (*Chain, error) {
	c := &Chain{
		owner: lake.Owner{Group: n.Group, Topic: n.Topic, TopicID: n.TopicID, Partition: n.Partition},
		from:  mark.Seq + 1, low: n.Seq,
		end:  Link{n.Seq, n.Manifest},
		mark: Link{mark.Seq, mark.Manifest},
	}
	if n.Seq <= mark.Seq {
		return nil, fmt.Errorf("flush %d of partition %d is not after flush %d", n.Seq, n.Partition, mark.Seq)
	}
	if before := (Link{n.Seq - 1, n.Predecessor}); before.Seq > mark.Seq {
		c.tops = []Link{before}
		c.at = before
		return c, nil
	} else if before != c.mark {
		return nil, c.elsewhere(n.Seq, before)
	}
	c.forward = true
	return c, nil
}

// Next is the manifest to be read. forward: what is read of it becomes a notification. Seq 0: the chain has been passed.
func (c *Chain) Next() (l Link, forward bool) {
	switch {
	case !c.forward:
		return c.at, false
	case len(c.keys) > 0:
		return Link{c.mark.Seq + 1, c.keys[len(c.keys)-1]}, true
	case c.mark != c.end:
		return c.end, true
	}
	return Link{}, true
}

// Read takes the manifest that Next named. It gives the notification that follows what was accepted, nil on the way
// back. An error is the reason for an alarm: the chain does not lead to what the gate accepted.
func (c *Chain) Read(m *Manifest) (*Notification, error) {
	l, forward := c.Next()
	switch {
	case m.Key != l.Manifest || m.Seq != l.Seq:
		return nil, fmt.Errorf("flush %d of partition %d should be %s, and that is flush %d, %s", l.Seq, c.owner.Partition, l.Manifest, m.Seq, m.Key)
	case m.Owner() != c.owner:
		return nil, fmt.Errorf("flush %d of partition %d should be %s, and that is of group %s, topic %s, partition %d",
			l.Seq, c.owner.Partition, l.Manifest, m.Group, m.Topic, m.Partition)
	case !forward:
		return nil, c.back(m)
	case m.Predecessor != c.mark.Manifest:
		return nil, c.elsewhere(m.Seq, Link{m.Seq - 1, m.Predecessor})
	}
	c.mark = l
	if len(c.keys) > 0 {
		c.keys = c.keys[:len(c.keys)-1]
		c.passed()
	}
	n := m.Notification(m.CreatedAt)
	return &n, nil
}

// passed begins the next walk once the one at hand has been gone back and forth.
func (c *Chain) passed() {
	if len(c.keys) > 0 {
		return
	}
	c.tops = c.tops[:len(c.tops)-1]
	if len(c.tops) > 0 {
		c.at, c.forward = c.tops[len(c.tops)-1], false
	}
}

// back goes one flush further back, or turns round where the walk has led to what was accepted.
func (c *Chain) back(m *Manifest) error {
	c.low = min(c.low, m.Seq)
	if len(c.keys) == chainKeys {
		c.keys = c.keys[:0]
		c.tops = append(c.tops, c.at)
	}
	c.keys = append(c.keys, m.Key)
	before := Link{m.Seq - 1, m.Predecessor}
	switch {
	case before == c.mark:
		c.forward = true
	case before.Seq == c.mark.Seq:
		return c.elsewhere(m.Seq, before)
	case before.Manifest == "":
		return fmt.Errorf("flush %d of partition %d names no predecessor", m.Seq, c.owner.Partition)
	default:
		c.at = before
	}
	return nil
}

func (c *Chain) elsewhere(seq uint64, before Link) error {
	return fmt.Errorf("flush %d of partition %d follows %q, accepted was flush %d, %q", seq, c.owner.Partition, before.Manifest, c.mark.Seq, c.mark.Manifest)
}

// Progress says how far a Chain has come.
type Progress struct {
	From, To uint64 // first seq after what was accepted, and that of the flush that it leads from
	Back     uint64 // the chain is known down to here
	Passed   uint64 // given to be accepted up to here
}

// Progress of the chain.
func (c *Chain) Progress() Progress {
	return Progress{From: c.from, To: c.end.Seq, Back: c.low, Passed: c.mark.Seq}
}
