package cut

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	start  = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	limits = Limits{FileSize: 1000, FileAge: time.Minute, OpenFiles: 5, Behind: 100, DeadLetters: 10, DeadLetterBytes: 500}
)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func TestDue(t *testing.T) {
	for _, c := range []struct {
		name  string
		now   int
		files []File
		dead  DeadLetters
		want  Trigger
	}{
		{name: "nothing is open", now: 1000},
		{name: "young and small", now: 59, files: []File{{Size: 999, Opened: start}}},
		{name: "full to the byte", now: 1, files: []File{{Size: 1, Opened: start}, {Size: 1000, Opened: start}}, want: Size},
		{name: "as old as allowed", now: 60, files: []File{{Size: 1, Opened: start}}, want: Age},
		{name: "the oldest counts", now: 60, files: []File{{Opened: at(50)}, {Opened: start}, {Opened: at(20)}}, want: Age},
		{name: "size is told before age", now: 600, files: []File{{Size: 5000, Opened: start}}, want: Size},
		{name: "memory held is not size", now: 1, files: []File{{Held: 1 << 40, Opened: start}}},
		{name: "many files", now: 1, files: make([]File, 5), want: Files},
		{name: "a young dead letter waits", now: 59, dead: DeadLetters{Count: 1, Bytes: 1, Opened: start}},
		{name: "a dead letter alone ages", now: 60, dead: DeadLetters{Count: 1, Bytes: 1, Opened: start}, want: Age},
		{name: "many dead letters", now: 1, dead: DeadLetters{Count: 10, Opened: start}, want: Size},
		{name: "large dead letters", now: 1, dead: DeadLetters{Count: 1, Bytes: 500, Opened: start}, want: Size},
		{name: "the clock went back", now: -100, files: []File{{Size: 1, Opened: start}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, due := Due(at(c.now), c.files, c.dead, limits)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want != "", due)
		})
	}
}

func TestDeadline(t *testing.T) {
	_, ok := Deadline(nil, DeadLetters{}, limits)
	require.False(t, ok)
	got, ok := Deadline([]File{{Opened: at(7)}}, DeadLetters{Count: 1, Opened: at(3)}, limits)
	require.True(t, ok)
	require.Equal(t, at(63), got)
	got, _ = Deadline([]File{{Opened: at(2)}}, DeadLetters{Count: 1, Opened: at(3)}, limits)
	require.Equal(t, at(62), got)
}

func TestWorth(t *testing.T) {
	for _, c := range []struct {
		name  string
		now   int
		files []File
		dead  DeadLetters
		want  bool
	}{
		{name: "nothing is open", now: 1000},
		{name: "little and young", now: 29, files: []File{{Size: 249, Opened: start}}},
		{name: "a quarter of the size", now: 1, files: []File{{Size: 250, Opened: start}}, want: true},
		{name: "a quarter in all", now: 1, files: []File{{Size: 125, Opened: start}, {Size: 125, Opened: start}}, want: true},
		{name: "half of the age", now: 30, files: []File{{Size: 1, Opened: start}}, want: true},
		{name: "old dead letters", now: 30, dead: DeadLetters{Count: 1, Opened: start}, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Worth(at(c.now), c.files, c.dead, limits))
		})
	}
}

func TestTake(t *testing.T) {
	for _, c := range []struct {
		name     string
		now      int
		position int64
		files    []File
		want     []int
	}{
		{name: "nothing is open", now: 60},
		{name: "only what is full", now: 1, files: []File{{Size: 10, Opened: start}, {Size: 1000, Opened: start}, {Size: 749, Opened: start}}, want: []int{1}},
		{name: "what is three quarters full goes along", now: 1, files: []File{{Size: 750, Opened: start}, {Size: 1000, Opened: start}}, want: []int{0, 1}},
		{name: "only what is old", now: 60, files: []File{{Opened: start}, {Opened: at(7)}}, want: []int{0}},
		{name: "what is due within a tenth goes along", now: 60, files: []File{{Opened: start}, {Opened: at(6)}, {Opened: at(7)}}, want: []int{0, 1}},
		{name: "dead letters alone take nobody young", now: 60, files: []File{{Size: 1, Opened: at(59)}}},
		{name: "what stays too far behind", now: 1, position: 201, files: []File{{First: 100, Opened: start}, {First: 101, Opened: start}}, want: []int{0}},
		{name: "too many: the older half", now: 1, files: slices.Repeat([]File{{Opened: start}}, 5), want: []int{0, 1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Take(at(c.now), c.files, c.position, limits))
		})
	}
}

// Whatever is open, a cut that is due for a file takes that file; and what it leaves
// open makes no other cut due at once.
func TestTakeSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := at(rapid.IntRange(0, 100).Draw(t, "now"))
		files := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) File {
			return File{
				Size: rapid.Int64Range(0, 1100).Draw(t, "size"), First: rapid.Int64Range(0, 300).Draw(t, "first"),
				Opened: at(rapid.IntRange(0, 100).Draw(t, "opened")),
			}
		}), 0, 8).Draw(t, "files")
		left := slices.Clone(files)
		for _, i := range slices.Backward(Take(now, files, 300, limits)) {
			left = slices.Delete(left, i, i+1)
		}
		if why, due := Due(now, left, DeadLetters{}, limits); due {
			t.Fatalf("%s is due of %+v, which %+v left", why, left, files)
		}
	})
}

func TestLargest(t *testing.T) {
	files := []File{{Held: 10, First: 9}, {Held: 40}, {Held: 0}, {Held: 30}, {Held: 40}}
	for _, c := range []struct {
		position, need int64
		want           []int
	}{
		{100, 0, []int{}},
		{100, 1, []int{1}},
		{100, 40, []int{1}},
		{100, 41, []int{1, 4}},
		{100, 81, []int{1, 4, 3}},
		{100, 1000, []int{1, 4, 3, 0}},
		{101, 1, []int{1, 2, 3, 4}}, // what is too far behind goes along
	} {
		require.Equal(t, c.want, Largest(files, c.position, c.need, limits), "position %d, need %d", c.position, c.need)
	}
}

func TestRelieve(t *testing.T) {
	for _, c := range []struct {
		name    string
		holders []Holder
		want    []int64
	}{
		{name: "nobody", want: nil},
		{name: "up to the mark", holders: []Holder{{Held: 800, Files: 800, Largest: 800}}, want: nil},
		{name: "the largest file of all", holders: []Holder{
			{Held: 400, Files: 400, Largest: 100}, {Held: 401, Files: 401, Largest: 200},
		}, want: []int64{0, 200}},
		{name: "as many as it takes", holders: []Holder{
			{Held: 500, Files: 500, Largest: 150}, {Held: 600, Files: 600, Largest: 200},
		}, want: []int64{0, 400}},
		{name: "what was asked for counts", holders: []Holder{
			{Held: 500, Files: 500, Largest: 300, Asked: 300}, {Held: 500, Files: 500, Largest: 300},
		}, want: nil},
		{name: "queued records cannot be cut", holders: []Holder{{Held: 900, Files: 50, Largest: 50}}, want: []int64{50}},
		{name: "down to where the paused go on", holders: []Holder{
			{Held: 400, Files: 400, Largest: 50, Paused: true}, {Held: 300, Files: 300, Largest: 60},
		}, want: []int64{0, 120}},
		{name: "nothing to cut", holders: []Holder{{Held: 900}}, want: []int64{0}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, Relieve(c.holders, 1000)) })
	}
}

func TestThrottle(t *testing.T) {
	for _, c := range []struct {
		name    string
		holders []Holder
		want    []bool
	}{
		{name: "nobody", want: []bool{}},
		{name: "room enough", holders: []Holder{{Held: 600, Paused: true}}, want: []bool{false}},
		{name: "paused stays paused on the way down", holders: []Holder{{Held: 500, Paused: true}, {Held: 200}}, want: []bool{true, false}},
		{name: "only above the fair share", holders: []Holder{{Held: 800}, {Held: 100}}, want: []bool{true, false}},
		{name: "full of small ones", holders: []Holder{{Held: 500}, {Held: 500}}, want: []bool{true, false}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, Throttle(c.holders, 1000)) })
	}
}

// Whatever is held, a relief that is granted brings the whole down to the mark or takes
// every open file, and nobody is asked for more than cutting can give. So nobody stays
// paused for want of somebody who cuts.
func TestRelieveSuffices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const budget = 1000
		mark := int64(cutAbove)
		n := rapid.IntRange(1, 6).Draw(t, "holders")
		holders := make([]Holder, n)
		var rest, cuttable int64
		for i := range holders {
			h := &holders[i]
			h.Files = rapid.Int64Range(0, 800).Draw(t, "files")
			h.Held = h.Files + rapid.Int64Range(0, 200).Draw(t, "queued")
			h.Largest = rapid.Int64Range(min(1, h.Files), h.Files).Draw(t, "largest")
			h.Asked = rapid.Int64Range(0, h.Files).Draw(t, "asked")
			h.Paused = rapid.Bool().Draw(t, "paused")
			if h.Paused {
				mark = resumeBelow
			}
			rest += h.Held - h.Asked
			cuttable += h.Files - h.Asked
		}
		free := Relieve(holders, budget)
		var freed int64
		for i, f := range free {
			if f > holders[i].Files-holders[i].Asked {
				t.Fatalf("holder %d is asked for %d of %d", i, f, holders[i].Files-holders[i].Asked)
			}
			freed += f
		}
		if freed < cuttable && rest-freed > budget*mark/100 {
			t.Fatalf("%d of %d stay, %d could be cut, %d are", rest-freed, rest, cuttable, freed)
		}
	})
}
