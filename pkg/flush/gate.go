package flush

import (
	"fmt"
	"hash/fnv"
	"maps"
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
	Alarm    string   // why the partition is stopped, "" while it is not; only Clear takes it away
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
	Gap                       // flushes between are missing: a Chain closes it
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

// Accept records that n is published. Only after Judge said Accept.
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

// Raise stops n's partition at the gate, until it is cleared.
func (g *Gate) Raise(n Notification, reason string) {
	if g.Marks == nil {
		g.Marks = map[int32]Mark{}
	}
	mark := g.Marks[n.Partition]
	mark.Alarm = reason
	g.Marks[n.Partition] = mark
}

// Clear lets a partition that was stopped pass again from what was accepted. Only an operator's repair does it, when the
// chain from there to what is committed is whole.
func (g *Gate) Clear(partition int32) {
	mark, ok := g.Marks[partition]
	if mark.Alarm = ""; ok {
		g.Marks[partition] = mark
	}
}

// Clone returns a gate that shares nothing that either changes.
func (g *Gate) Clone() Gate { return Gate{Marks: maps.Clone(g.Marks)} }

func hashKey(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}
