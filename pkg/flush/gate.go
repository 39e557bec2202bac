package flush

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

// Gate is what the catalog lets pass, of one topic id: every flush of every partition once, in order of seq, each one
// naming the one before it (I8). The zero value knows nothing.
type Gate struct {
	Marks map[int32]Mark // by partition
}

// Mark is the last flush of a partition that the gate accepted.
type Mark struct {
	Group    string
	Seq      uint64
	Manifest string   // its key
	Low      int64    // its NextLow: visible through here
	Recent   []uint64 // hashes of the manifests accepted before it, newest first, at most maxRecent
	Alarm    string   // why the partition is stopped, "" while it is not; only an operator clears it
}

// maxRecent bounds how far back another manifest under an accepted seq is noticed at once. Further back it is noticed
// when the seqs catch up, because then the predecessor does not fit.
const maxRecent = 16

// Verdict is what becomes of a notification.
type Verdict uint8

// The verdicts.
const (
	Accept Verdict = iota + 1 // the next flush: publish it, then Gate.Accept
	Repeat                    // accepted before: ignore it
	Gap                       // flushes between are missing: read their manifests, then CloseGap
	Alarm                     // impossible if everyone kept the protocol: Gate.Raise, and stop the partition
)

var verdictNames = [...]string{"invalid", "Accept", "Repeat", "Gap", "Alarm"}

func (v Verdict) String() string { return verdictNames[v] }

// Judge says what becomes of n, and why where it alarms.
func (g *Gate) Judge(n Notification) (Verdict, string) {
	mark := g.Marks[n.Partition]
	switch {
	case mark.Alarm != "":
		return Alarm, mark.Alarm
	case !g.sameGroup(n.Group):
		return Alarm, fmt.Sprintf("flush %d was written by group %s, the topic's other flushes by another group", n.Seq, n.Group)
	case n.Seq == 0 || n.Manifest == "" || (n.Seq == 1) != (n.Predecessor == ""):
		return Alarm, fmt.Sprintf("flush %d names manifest %q and predecessor %q", n.Seq, n.Manifest, n.Predecessor)
	case n.Seq <= mark.Seq:
		return mark.repeat(n)
	case n.Seq > mark.Seq+1:
		return Gap, ""
	case n.Predecessor != mark.Manifest:
		return Alarm, fmt.Sprintf("flush %d follows %s, accepted was %s", n.Seq, n.Predecessor, mark.Manifest)
	}
	return Accept, ""
}

// sameGroup: one topic is written into one lake by one group.
func (g *Gate) sameGroup(group string) bool {
	for _, mark := range g.Marks {
		if mark.Group != "" && mark.Group != group {
			return false
		}
	}
	return true
}

// repeat compares the manifest: the same seq alone proves nothing.
func (k Mark) repeat(n Notification) (Verdict, string) {
	back := k.Seq - n.Seq
	switch {
	case back == 0 && n.Manifest == k.Manifest:
		return Repeat, ""
	case back == 0:
		return Alarm, fmt.Sprintf("flush %d is %s, accepted was %s", n.Seq, n.Manifest, k.Manifest)
	case back <= uint64(len(k.Recent)) && k.Recent[back-1] != hashKey(n.Manifest):
		return Alarm, fmt.Sprintf("flush %d is %s, accepted was another manifest", n.Seq, n.Manifest)
	}
	return Repeat, ""
}

// Accept records that n is published. Only after Judge said Accept, or in the order that CloseGap gave.
func (g *Gate) Accept(n Notification) {
	if g.Marks == nil {
		g.Marks = map[int32]Mark{}
	}
	old := g.Marks[n.Partition]
	recent := old.Recent
	if old.Seq > 0 {
		recent = append([]uint64{hashKey(old.Manifest)}, recent[:min(len(recent), maxRecent-1)]...)
	}
	g.Marks[n.Partition] = Mark{Group: n.Group, Seq: n.Seq, Manifest: n.Manifest, Low: n.NextLow, Recent: recent}
}

// Raise stops n's partition at the gate, for good.
func (g *Gate) Raise(n Notification, reason string) {
	if g.Marks == nil {
		g.Marks = map[int32]Mark{}
	}
	mark := g.Marks[n.Partition]
	mark.Alarm = reason
	g.Marks[n.Partition] = mark
}

// CloseGap takes the manifests from the one that n names as its predecessor down to the one after the gate's mark, each
// named by the one before it. It returns the flushes to publish and accept, oldest first, n last. An error is the reason
// for an alarm: the chain does not end at what the gate accepted.
func (g *Gate) CloseGap(n Notification, chain []*Manifest) ([]Notification, error) {
	mark := g.Marks[n.Partition]
	out := []Notification{n}
	seq, key := n.Seq, n.Predecessor
	for _, m := range chain {
		seq--
		switch {
		case m.Key != key || m.Seq != seq:
			return nil, fmt.Errorf("flush %d of partition %d follows %s, and that is flush %d, %s", seq+1, n.Partition, key, m.Seq, m.Key)
		case m.Partition != n.Partition || m.TopicID != n.TopicID || m.Group != n.Group:
			return nil, fmt.Errorf("flush %d of partition %d follows %s, which is another partition's", seq+1, n.Partition, key)
		}
		key = m.Predecessor
		out = append(out, m.Notification(n.CommittedAt))
	}
	if seq != mark.Seq+1 || key != mark.Manifest {
		return nil, fmt.Errorf("flush %d of partition %d follows %q, accepted was flush %d, %q", seq, n.Partition, key, mark.Seq, mark.Manifest)
	}
	slices.Reverse(out)
	return out, nil
}

// Clone returns a gate that shares nothing that either changes.
func (g *Gate) Clone() Gate { return Gate{Marks: maps.Clone(g.Marks)} }

func hashKey(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}
