package keep

import "weir/pkg/shape"

// Fact is something that the keeper saw or did.
type Fact interface{ fact() }

// Observer hears every fact, on the keeper's goroutine. It must not block.
type Observer func(Fact)

type (
	// Shown is a view that Glue holds now as it should be.
	Shown struct {
		Name    string
		Event   shape.Event
		Columns int // typed ones
		Made    bool
	}
	// Foreign is a view that is not shown, or not widened, because something stands under its name that somebody else
	// has made or changed.
	Foreign struct {
		Name   string
		Event  shape.Event
		Kind   string // of table, as Glue says
		Column string // that he has changed; "" = all of it is his
	}
	// Refused is a view that Glue will not take, whatever is tried.
	Refused struct {
		Name  string
		Event shape.Event
		Err   error
	}
	// Counted is what is known of events.
	Counted struct {
		Views   int // that there are
		Waiting int // events that have none, because there are as many as there may be
		Unnoted shape.Unnoted
	}
)

func (Shown) fact()   {}
func (Foreign) fact() {}
func (Refused) fact() {}
func (Counted) fact() {}
