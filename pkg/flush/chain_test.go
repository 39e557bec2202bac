package flush_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// chainOf makes the flushes 1 to n of one partition.
func chainOf(n int) map[string]*flush.Manifest {
	owner := lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: 3}
	all := make(map[string]*flush.Manifest, n)
	before := ""
	for seq := range uint64(n) {
		m := &flush.Manifest{
			Key: owner.ManifestKey(seq+1, "f"), Group: "g", Topic: "t", TopicID: owner.TopicID, Partition: 3,
			Seq: seq + 1, Predecessor: before, NextLow: int64(seq) + 1,
		}
		all[m.Key], before = m, m.Key
	}
	return all
}

func keyOf(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: 3}.ManifestKey(seq, "f")
}

// Whatever the lengths: the gate accepts every flush once and in order, nothing before the chain has led to its mark,
// what is remembered stays small, and what is read stays in proportion.
func TestChainClosesAGap(t *testing.T) {
	all, few := chainOf(3000), rapid.Uint64Range(0, 12)
	rapid.Check(t, func(t *rapid.T) {
		mark := rapid.Uint64Range(0, 200).Draw(t, "mark")
		end := mark + 1 + rapid.OneOf(few, few, few, few, rapid.SampledFrom([]uint64{999, 1000, 1001, 2000, 2001})).Draw(t, "missing")
		gate := &flush.Gate{}
		if mark > 0 {
			gate.Marks = map[int32]flush.Mark{3: {Group: "g", Seq: mark, Manifest: keyOf(mark)}}
		}
		chain, err := flush.NewChain(gate.Marks[3], all[keyOf(end)].Notification(time.Time{}))
		require.NoError(t, err)
		reads, proved := 0, end == mark+1
		for {
			l, forward := chain.Next()
			again, _ := chain.Next() // the reading failed: it goes on from there
			require.Equal(t, l, again)
			if l.Seq == 0 {
				break
			}
			reads++
			n, err := chain.Read(all[l.Manifest])
			require.NoError(t, err)
			require.Equal(t, forward, n != nil)
			require.LessOrEqual(t, chain.Remembers(), 1000+3)
			proved = proved || !forward && l.Seq == mark+1
			if n == nil {
				continue
			}
			require.True(t, proved, "flush %d is given before the chain has led to the mark", n.Seq)
			verdict, reason := gate.Judge(*n)
			require.Equal(t, flush.Accept, verdict, reason)
			gate.Accept(*n)
			require.Equal(t, n.Seq, chain.Progress().Passed)
		}
		require.Equal(t, end, gate.Marks[3].Seq)
		require.LessOrEqual(t, reads, 3*int(end-mark))
		require.Equal(t, flush.Progress{From: mark + 1, To: end, Back: min(mark+1, end), Passed: end}, chain.Progress())
	})
}

// A chain that leads elsewhere is an alarm, and nothing of it was given before that was known.
func TestChainThatLeadsElsewhere(t *testing.T) {
	for name, c := range map[string]struct {
		change func(all map[string]*flush.Manifest)
		note   func(n *flush.Notification)
		want   string
	}{
		"another mark":         {func(all map[string]*flush.Manifest) { all[keyOf(3)].Predecessor = keyOf(2) + "x" }, nil, "flush 3 of partition 3 follows"},
		"no predecessor":       {func(all map[string]*flush.Manifest) { all[keyOf(5)].Predecessor = "" }, nil, "flush 5 of partition 3 names no predecessor"},
		"a seq is left out":    {func(all map[string]*flush.Manifest) { all[keyOf(6)].Predecessor = keyOf(4) }, nil, "and that is flush 4"},
		"another partition's":  {func(all map[string]*flush.Manifest) { all[keyOf(4)].Partition = 2 }, nil, "partition 2"},
		"another group's":      {func(all map[string]*flush.Manifest) { all[keyOf(4)].Group = "h" }, nil, "group h"},
		"the end names none":   {nil, func(n *flush.Notification) { n.Predecessor = keyOf(2) }, "and that is flush 2"},
		"changes on the way":   {nil, nil, "flush 6 of partition 3 follows"},
		"right after the mark": {nil, func(n *flush.Notification) { n.Seq, n.Predecessor = 3, keyOf(1) }, "flush 3 of partition 3 follows"},
		"not after the mark":   {nil, func(n *flush.Notification) { n.Seq = 2 }, "flush 2 of partition 3 is not after flush 2"},
	} {
		t.Run(name, func(t *testing.T) {
			all := chainOf(8)
			n := all[keyOf(8)].Notification(time.Time{})
			if c.change != nil {
				c.change(all)
			}
			if c.note != nil {
				c.note(&n)
			}
			chain, err := flush.NewChain(flush.Mark{Group: "g", Seq: 2, Manifest: keyOf(2)}, n)
			given := 0
			for err == nil {
				l, _ := chain.Next()
				require.NotZero(t, l.Seq, "closed")
				if name == "changes on the way" && chain.Progress().Passed == 5 {
					all[keyOf(6)].Predecessor += "x"
				}
				var got *flush.Notification
				if got, err = chain.Read(all[l.Manifest]); got != nil {
					given++
				}
			}
			require.ErrorContains(t, err, c.want)
			if name != "changes on the way" {
				require.Zero(t, given)
			}
		})
	}
}

func ExampleChain() {
	all := chainOf(4)
	chain, _ := flush.NewChain(flush.Mark{Seq: 1, Manifest: keyOf(1)}, all[keyOf(4)].Notification(time.Time{}))
	for {
		l, _ := chain.Next()
		if l.Seq == 0 {
			break
		}
		n, err := chain.Read(all[l.Manifest])
		switch {
		case err != nil:
			fmt.Println("alarm:", err)
		case n != nil:
			fmt.Println("accept", n.Seq)
		default:
			fmt.Println("read", l.Seq)
		}
	}
	// Output:
	// read 3
	// read 2
	// accept 2
	// accept 3
	// accept 4
}
