// Package cut decides when the open files of a Kafka partition become a flush, and
// which of them. Its one promise: no open file outgrows its size, its age or the
// process's memory without a cut being due, and the age is that of the wall clock, so
// that a quiet source is flushed too. It holds no file, no clock and no budget: the
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
	DeadLetters     int           // records
	DeadLetterBytes int64
}

// File is an open file as the decision sees it.
type File struct {
	Size   int64     // estimated bytes of the finished object
	Held   int64     // bytes of memory that a cut of it frees
	Opened time.Time // when its first record was read
}

// DeadLetters are those that no flush has taken yet.
type DeadLetters struct {
	Count  int
	Bytes  int64
	Opened time.Time // when the first was read; zero when there are none
}

// Due says whether a cut of the whole partition is due, and why.
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

// Largest picks the files whose cut frees at least need bytes, largest first, as few
// as possible; all that hold anything where they do not suffice. It gives their
// places in files.
func Largest(files []File, need int64) []int {
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
