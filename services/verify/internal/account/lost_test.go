package account

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
)

// recovery is the flush of an operator who gives something up.
func (w *world) recovery(low, next int64, gives flush.Manifest) {
	w.flush(low, next)
	m := w.m[len(w.m)-1]
	m.Format, m.Trigger = flush.RecoveryFormat, flush.TriggerRecovery
	m.Lost, m.Again, m.Dropped, m.Ahead = gives.Lost, gives.Again, gives.Dropped, gives.Ahead
}

func TestWhatOperatorsGiveUp(t *testing.T) {
	key := func(seq uint64) string { return owner.ManifestKey(seq, fmt.Sprintf("id%d", seq)) }
	for _, c := range []struct {
		name  string
		bend  func(*world)
		found []string
		noted []string
	}{
		{
			name: "records read again by an operator",
			bend: func(w *world) {
				w.m = w.m[:2]
				w.recovery(20, 15, flush.Manifest{Again: set(15, 19, 25, 25)})
				w.flush(15, 30, both("a", 4, set(15, 24, 26, 29))...)
				w.m[3].DeadLetters = []flush.DeadLetter{{Offset: 25}}
				w.put()
			},
			found: []string{
				"doubled|eventlogs|15-19|eventlogs/a/4|are also in eventlogs/a/2: as expected, an operator had them read again",
				"doubled|raw|15-19|raw/a/4|are also in raw/a/2: as expected, an operator had them read again",
				"doubled|25|are dead letters, and rows of every table too",
			},
			noted: []string{"read-again|15-19,25|" + key(3) + "|read again by an operator, from offset 15 on: what of them was flushed stands twice"},
		},
		{
			name: "records that the sink will read again",
			bend: func(w *world) {
				w.recovery(30, 28, flush.Manifest{Again: set(28, 29)})
				w.put()
			},
			noted: []string{"read-again|28-29|" + key(4) + "|read again by an operator, from offset 28 on: what of them was flushed stands twice"},
		},
		{
			name: "an operator began below the first flush",
			bend: func(w *world) {
				w.m = nil
				w.recovery(10, 4, flush.Manifest{})
				w.flush(4, 12, both("a", 2, set(4, 6, 8, 11))...)
				w.put()
				w.held, w.p.LogStart = Span(7, 8), 2
			},
			found: []string{"lost|eventlogs|7|1 records are in no file of the table", "lost|raw|7|1 records are in no file of the table"},
			noted: []string{"before-start|2-3|the group began at offset 4"},
		},
		{
			name: "a dead letter produced again is known by its place",
			bend: func(w *world) {
				w.recovery(30, 12, flush.Manifest{Again: set(12, 29)})
				w.flush(12, 13)
				w.m[4].DeadLetters = []flush.DeadLetter{{Offset: 12}}
				w.put()
			},
			noted: []string{"read-again|12-29|" + key(4) + "|read again by an operator, from offset 12 on: what of them was flushed stands twice"},
		},
		{
			name: "more twice than an operator had read again",
			bend: func(w *world) {
				w.m = w.m[:2]
				w.recovery(20, 18, flush.Manifest{Again: set(18, 19, 25, 25)})
				w.flush(18, 30, both("a", 4, set(17, 24, 26, 29))...)
				w.m[3].Files = append(w.m[3].Files[:1], file("raw", "a", 4, set(20, 24, 26, 29)))
				w.put()
			},
			found: []string{
				"doubled|eventlogs|18-19|eventlogs/a/4|are also in eventlogs/a/2: as expected, an operator had them read again",
				"doubled|eventlogs|17|eventlogs/a/4|are also in eventlogs/a/2",
			},
			noted: []string{"read-again|18-19,25|" + key(3) + "|read again by an operator, from offset 18 on: what of them was flushed stands twice"},
		},
		{
			name: "files that were never there are flushed again, as far as Kafka holds their rows",
			bend: func(w *world) {
				w.recovery(30, 24, flush.Manifest{
					Lost: set(20, 23), Dropped: []string{"raw/a/3"},
					Ahead: map[string]*flush.Offsets{"eventlogs": set(24, 29), "raw": set(25, 25)},
				})
				w.flush(24, 30, file("raw", "a", 5, set(24, 24, 26, 29)))
				w.put()
			},
			noted: []string{
				"accepted|" + key(4) + "|gives up 1 files of flush 3 that were never there: what Kafka still held of their rows is in later ones",
				"accepted|20-23|4 records are lost, accepted by an operator",
			},
		},
		{
			name: "and not all of them were",
			bend: func(w *world) {
				w.recovery(30, 24, flush.Manifest{
					Lost: set(20, 23), Dropped: []string{"raw/a/3"},
					Ahead: map[string]*flush.Offsets{"eventlogs": set(24, 29), "raw": set(25, 25)},
				})
				w.flush(24, 30, file("raw", "a", 5, set(24, 24, 26, 28)))
				w.put()
			},
			found: []string{"lost|raw|29|1 records are in no file of the table"},
			noted: []string{
				"accepted|" + key(4) + "|gives up 1 files of flush 3 that were never there: what Kafka still held of their rows is in later ones",
				"accepted|20-23|4 records are lost, accepted by an operator",
			},
		},
		{
			name: "dead letters that were not produced: one is lost, one is read again",
			bend: func(w *world) {
				w.m[2].Files = both("a", 3, set(22, 24, 26, 29))
				w.m[2].DeadLetters = []flush.DeadLetter{{Offset: 20}, {Offset: 21}}
				w.recovery(30, 21, flush.Manifest{
					Lost:  set(20, 20),
					Ahead: map[string]*flush.Offsets{"eventlogs": set(22, 29), "raw": set(22, 29)},
				})
				w.flush(21, 30)
				w.m[4].DeadLetters = []flush.DeadLetter{{Offset: 21}}
				w.put()
			},
			noted: []string{"accepted|20|1 records are lost, accepted by an operator"},
		},
		{
			name: "a dead letter that was read again, and is a row now",
			bend: func(w *world) {
				w.m[2].Files = both("a", 3, set(20, 24, 26, 28))
				w.m[2].DeadLetters = []flush.DeadLetter{{Offset: 29}}
				w.recovery(30, 29, flush.Manifest{Again: set(29, 29)})
				w.flush(29, 30, both("a", 5, set(29, 29))...)
				w.put()
			},
			found: []string{"doubled|29|are dead letters, and rows of every table too"},
			noted: []string{"read-again|29|" + key(4) + "|read again by an operator, from offset 29 on: what of them was flushed stands twice"},
		},
		{
			name: "a dead letter of an earlier flush is one, whatever is given up later",
			bend: func(w *world) {
				w.recovery(30, 30, flush.Manifest{Lost: set(12, 12)})
				w.put()
			},
		},
		{
			name: "a file that was given up holds nothing twice",
			bend: func(w *world) {
				w.recovery(30, 24, flush.Manifest{
					Lost: set(20, 23), Dropped: []string{"raw/a/3"},
					Ahead: map[string]*flush.Offsets{"eventlogs": set(24, 29), "raw": set(25, 25)},
				})
				w.flush(24, 30, file("raw", "a", 5, set(24, 24, 26, 29)))
				w.flush(30, 31, file("raw", "b", 6, set(29, 30)), file("eventlogs", "b", 6, set(30, 30)))
				w.put()
			},
			found: []string{"doubled|raw|29|raw/b/6|are also in raw/a/5"},
			noted: []string{
				"accepted|" + key(4) + "|gives up 1 files of flush 3 that were never there: what Kafka still held of their rows is in later ones",
				"accepted|20-23|4 records are lost, accepted by an operator",
			},
		},
		{
			name: "dead letters that were produced stay so",
			bend: func(w *world) {
				w.m[2].Files = both("a", 3, set(20, 24, 26, 28))
				w.m[2].DeadLetters = []flush.DeadLetter{{Offset: 29}}
				w.recovery(30, 28, flush.Manifest{
					Dropped: nil, Ahead: map[string]*flush.Offsets{"eventlogs": set(28, 29), "raw": set(28, 29)},
				})
				w.flush(28, 30)
				w.m[4].DeadLetters = []flush.DeadLetter{{Offset: 29}}
				w.put()
			},
			found: []string{"doubled|29|" + key(3) + "|is a dead letter twice"},
		},
		{
			name: "lost, accepted by an operator",
			bend: func(w *world) {
				w.recovery(30, 40, flush.Manifest{Lost: set(30, 39)})
				w.put()
				w.held = Span(30, 40)
			},
			noted: []string{"accepted|30-39|10 records are lost, accepted by an operator"},
		},
		{
			name: "accepted as lost, and flushed into some tables or all",
			bend: func(w *world) {
				w.m[2].Files = append(w.m[2].Files, both("b", 3, set(33, 34))...)
				w.m[2].Files[2] = file("eventlogs", "b", 3, set(32, 34))
				w.m[2].Ahead = map[string]*flush.Offsets{"eventlogs": set(32, 34), "raw": set(33, 34)}
				w.recovery(30, 40, flush.Manifest{Lost: set(30, 37, 39, 39)})
				w.put()
				w.held = Span(38, 39)
			},
			found: []string{"lost|eventlogs|38|1 records are in no file of the table", "lost|raw|38|1 records are in no file of the table"},
			noted: []string{"accepted|30-32,35-37,39|7 records are lost, accepted by an operator"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, noted, _ := newWorld().run(c.bend)
			require.ElementsMatch(t, c.found, found)
			require.ElementsMatch(t, c.noted, noted)
		})
	}
}

// A reader of the raw files must know how far back the flushes after a manifest go.
func TestFloor(t *testing.T) {
	w := newWorld()
	w.recovery(30, 15, flush.Manifest{Again: set(15, 29)})
	w.flush(15, 40, both("a", 5, set(15, 24, 26, 39))...)
	w.flush(40, 50, both("a", 6, set(40, 49))...)
	w.recovery(50, 45, flush.Manifest{Again: set(45, 49)})
	w.put()
	_, _, l := w.run(func(w *world) { w.put() })
	var floors []int64
	for _, m := range w.m {
		floors = append(floors, l.Floor(m))
	}
	require.Equal(t, []int64{0, 10, 15, 15, 15, 40, 45}, floors)
}
