package shown

// Size is how many entries a Ring holds.
const Size = 500

// Entry is one line of a live tail.
type Entry struct {
	Seq  uint64 // from 1, without gaps
	Seen Seen   // its Event as it is shown
	Line []byte // everything that is shown, as one JSON object
}

// Ring holds the newest entries. The zero Ring is empty and holds no memory.
type Ring struct {
	entries []Entry // entry n stands at n-1 mod Size
	last    uint64
}

// Last is the number of the newest entry; 0 = there is none.
func (r *Ring) Last() uint64 { return r.last }

// Add numbers an entry and puts it in the place of the oldest.
func (r *Ring) Add(e Entry) {
	r.last++
	e.Seq = r.last
	if len(r.entries) < Size {
		r.entries = append(r.entries, e)
		return
	}
	r.entries[(e.Seq-1)%Size] = e
}

// After appends the entries after a number that a filter takes, and says how many entries after it the ring holds no more,
// whatever they were.
func (r *Ring) After(after uint64, f *Filter, dst []Entry) (entries []Entry, missed uint64) {
	oldest := r.last - uint64(len(r.entries)) // the one before it
	if after < oldest {
		missed, after = oldest-after, oldest
	}
	for n := after; n < r.last; n++ {
		if e := &r.entries[n%Size]; f.Match(&e.Seen) {
			dst = append(dst, *e)
		}
	}
	return dst, missed
}
