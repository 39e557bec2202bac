package follow

import (
	"context"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// lookAgain is how often the memory of what does not pass is read again: an operator's
// repair is noticed that late.
const lookAgain = 10 * time.Second

// stop remembers the newest flush of what does not pass. A repair has read what was
// committed at some moment, and this may be later than that.
func (g *gates) stop(gate *flush.Gate, n flush.Notification) {
	mark := gate.Marks[n.Partition]
	if mark.Group != "" && mark.Group != n.Group {
		return // why it stopped, perhaps
	}
	if at := partitionOf(n); n.Seq > max(mark.Seq, g.stopped[at].Seq) {
		g.stopped[at] = light(n)
	}
}

// standing lists the topics of which something does not pass.
func (g *gates) standing() []lake.TopicID {
	var ids []lake.TopicID
	for id, m := range g.memories {
		stands := m.err != nil
		for _, mark := range m.gate.Marks {
			stands = stands || mark.Alarm != ""
		}
		if stands {
			ids = append(ids, id)
		}
	}
	return ids
}

// look reads the memories of what does not pass again, when it is time to.
func (g *gates) look(ctx context.Context) {
	if time.Since(g.looked) < lookAgain {
		return
	}
	g.looked = time.Now()
	for _, id := range g.standing() {
		there, err := g.read(ctx, id)
		switch {
		case err != nil && ctx.Err() == nil:
			g.tell(Fault{Dependency: Objects, Err: err, Wait: lookAgain})
		case err == nil && there.etag != g.memories[id].etag:
			g.replace(id, there)
		}
	}
}

// patience is how long there is nothing to do but to wait for notifications.
func (g *gates) patience() time.Duration {
	wait := time.Hour
	if len(g.standing()) > 0 {
		wait = lookAgain - time.Since(g.looked)
	}
	for _, p := range g.gaps {
		wait = min(wait, time.Until(p.due))
	}
	return max(wait, 0)
}

// replace puts what somebody else wrote in place of a memory. Of what passes again, the
// newest flush that was read meanwhile is led to. It tells whether that is all that was
// changed: then it was a repair.
func (g *gates) replace(id lake.TopicID, there *memory) (repaired bool) {
	was := g.memories[id]
	g.memories[id] = there
	if there.err != nil {
		g.tell(Unjudged{TopicID: id, Err: there.err})
		return false
	}
	repaired = true
	if was.err != nil {
		g.tell(Cleared{TopicID: id, Partition: -1})
	}
	for number, mark := range there.gate.Marks {
		old := was.gate.Marks[number]
		if was.err == nil && old.Alarm == "" {
			repaired = repaired && old.Seq == mark.Seq && mark.Alarm == ""
			continue
		}
		if mark.Alarm == "" {
			g.clear(id, number, &there.gate, old.Alarm != "")
		}
	}
	return repaired
}

func (g *gates) clear(id lake.TopicID, number int32, gate *flush.Gate, alarmed bool) {
	mark, at := gate.Marks[number], partition{id, number}
	if alarmed {
		g.tell(Cleared{Topic: topicOf(mark), TopicID: id, Partition: number})
	}
	n := g.stopped[at]
	delete(g.stopped, at)
	if n.Seq > mark.Seq && (mark.Group == "" || mark.Group == n.Group) {
		g.open(gate, n, noHold)
	}
}
