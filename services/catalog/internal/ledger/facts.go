package ledger

import "weir/pkg/lake"

// Fact is something that the keeper saw or did.
type Fact interface{ fact() }

// Observer hears every fact, on the keeper's goroutine. It must not block.
type Observer func(Fact)

type (
	// Written is a batch that is whole: its rows can be queried.
	Written struct {
		Number  int64
		Flushes int
		Rows    int // one for each file
		Objects int
	}
	// Merged is a day whose objects were merged into one, or few.
	Merged struct {
		Day           lake.Day
		Rows          int
		Objects, Into int
	}
	// Behind is how many flushes the gates have let pass that are in no batch yet.
	Behind struct{ Flushes uint64 }
	// Hole is flushes of which no manifest is left: their files stand in no row.
	Hole struct {
		Owner    lake.Owner
		From, To uint64 // seqs, both included
	}
	// Rival is another catalog that keeps the same ledger.
	Rival struct{ Key string }
)

func (Written) fact() {}
func (Merged) fact()  {}
func (Behind) fact()  {}
func (Hole) fact()    {}
func (Rival) fact()   {}
