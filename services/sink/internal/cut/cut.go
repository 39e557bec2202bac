// Package cut decides when the open files of a Kafka partition become a flush, and
// which of them. Its promises: no open file outgrows its size, its age or the
// process's memory without a cut being due; the age is that of the wall clock, so that
// a quiet source is flushed too; and each file is cut for a reason of its own, so that
// no source forces another's. It holds no file, no clock and no budget: the
// worker says what is open and what time it is, the group adds up the memory, both do
// what comes back. Floor 2; owned by whoever owns the sink.
package cut

import (
	"cmp"
	"slices"
	"time"
)

// Trigger is why a cut is made. It is written into the manifest and counted.
type Trigger string

// The triggers.
const (
	Size   Trigger = "size"
	Files  Trigger = "files"
	Age    Trigger = "age"
	Memory Trigger = "memory"
	Revoke Trigger = "revoke"
	Drain  Trigger = "drain"
)

// Limits are the bounds of one open file and of the dead letters that wait.
type Limits struct {
	FileSize        int64         // bytes of the finished object
	FileAge         time.Duration // since the file's first record was read
	OpenFiles       int           // of one Kafka partition: what one manifest and one notification hold
	Behind          int64         // records that a file may stay behind a cut that leaves it open
	DeadLetters     int           // records
	DeadLetterBytes int64
}

// File is an open file as the decision sees it.
type File struct {
	Size   int64     // estimated bytes of the finished object
	Held   int64     // bytes of memory that a cut of it frees
	First  int64     // offset of its first record
	Opened time.Time // when its first record was read
}

// DeadLetters are those that no flush has taken yet.
type DeadLetters struct {
	Count  int
	Bytes  int64
	Opened time.Time // when the first was read; zero when there are none
}

// Due says whether a cut is due, and why. Take says of what.
func Due(now time.Time, files []File, dead DeadLetters, l Limits) (Trigger, bool) {
	if dead.Count > 0 && (dead.Count >= l.DeadLetters || dead.Bytes >= l.DeadLetterBytes) {
		return Size, true
	}
	if len(files) >= l.OpenFiles {
		return Files, true
	}
	for _, f := range files {
		if f.Size >= l.FileSize {
			return Size, true
		}
	}
	if at, ok := Deadline(files, dead, l); ok && !now.Before(at) {
		return Age, true
	}
	return "", false
}

// Take picks the files of a cut that is made at position, the next offset to read: it
// gives their places in files, which are in the order of opening. A file goes that is
// full or old; or so soon will be (three quarters of the size, nine tenths of the age)
// that it would be the next cut, which bounds the flushes of a partition to about ten
// per age; or that stays so far behind that the sets of flushed offsets above it would
// outgrow a manifest. Where too many are open the older half goes.
func Take(now time.Time, files []File, position int64, l Limits) []int {
	var take []int
	crowd := 0
	if len(files) >= l.OpenFiles {
		crowd = (len(files) + 1) / 2
	}
	for i, f := range files {
		if i < crowd || f.Size >= l.FileSize/4*3 || now.Sub(f.Opened) >= l.FileAge/10*9 || behind(f, position, l) {
			take = append(take, i)
		}
	}
	return take
}

func behind(f File, position int64, l Limits) bool { return position-f.First > l.Behind }

// Deadline is when the oldest open file or dead letter reaches its age. ok is false
// where nothing is open.
func Deadline(files []File, dead DeadLetters, l Limits) (at time.Time, ok bool) {
	if dead.Count > 0 {
		at, ok = dead.Opened, true
	}
	for _, f := range files {
		if !ok || f.Opened.Before(at) {
			at, ok = f.Opened, true
		}
	}
	return at.Add(l.FileAge), ok
}

// Worth says whether a partition that is given up is flushed first. What is not
// flushed is read again by the next owner, so dropping is always safe; it is a waste
// once a quarter of a file or half of its age would be repeated.
func Worth(now time.Time, files []File, dead DeadLetters, l Limits) bool {
	var size int64
	for _, f := range files {
		size += f.Size
	}
	if size >= (l.FileSize+3)/4 {
		return true
	}
	at, ok := Deadline(files, dead, l)
	return ok && !now.Before(at.Add(-l.FileAge/2))
}

// Largest picks the files whose cut at position frees at least need bytes, largest
// first, as few as possible; all that hold anything where they do not suffice; and
// those that stay too far behind. It gives their places in files.
func Largest(files []File, position, need int64, l Limits) []int {
	take := heaviest(files, need)
	for i, f := range files {
		if behind(f, position, l) && !slices.Contains(take, i) {
			take = append(take, i)
		}
	}
	return take
}

func heaviest(files []File, need int64) []int {
	order := make([]int, 0, len(files))
	for i, f := range files {
		if f.Held > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(files[b].Held, files[a].Held) })
	for n, i := range order {
		if need <= 0 {
			return order[:n]
		}
		need -= files[i].Held
	}
	return order
}
