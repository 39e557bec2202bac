package embedded

import (
	"slices"

	"weir/pkg/embedded/internal/gluedb"
)

// Unprocessed, as an item's code, leaves a partition of BatchGetPartition for a
// later call.
const Unprocessed = gluedb.Unprocessed

// GlueFault is something that Glue does now and then, on demand. Its zero value
// hits every call and does nothing.
type GlueFault struct {
	Op    string // of the SDK: "UpdateTable"; "" = any
	Skip  int    // let that many calls of Op pass first
	Count int    // hit that many; 0 = until removed

	Code    string // answer this error: "ThrottlingException", "InternalServiceException", …
	Message string
	Drop    bool // answer nothing: cut the connection
	Land    bool // with Code or Drop: the call takes effect all the same

	// Items fails single items of the batch calls; "" lets one pass. The call
	// itself succeeds.
	Items func(values []string) (code string)
}

// GlueInjection is a fault at work.
type GlueInjection struct {
	glue  *Glue
	fault GlueFault
	seen  int
	hits  int
}

// Inject lets a fault loose. Of several that match, the oldest counts.
func (g *Glue) Inject(f GlueFault) *GlueInjection {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := &GlueInjection{glue: g, fault: f}
	g.faults = append(g.faults, i)
	return i
}

// Hits counts the calls that it has hit.
func (i *GlueInjection) Hits() int {
	i.glue.mu.Lock()
	defer i.glue.mu.Unlock()
	return i.hits
}

// Remove ends it.
func (i *GlueInjection) Remove() {
	i.glue.mu.Lock()
	defer i.glue.mu.Unlock()
	i.glue.faults = slices.DeleteFunc(i.glue.faults, func(other *GlueInjection) bool { return other == i })
}

// hit is the fault that meets this call of op; the zero fault when there is none.
func (g *Glue) hit(op string) GlueFault {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range g.faults {
		f := i.fault
		if f.Op != "" && f.Op != op || f.Count > 0 && i.hits == f.Count {
			continue
		}
		if i.seen++; i.seen <= f.Skip {
			continue
		}
		i.hits++
		return f
	}
	return GlueFault{}
}

// refuses: the call is answered with an error and nothing else happens.
func (f GlueFault) refuses() bool { return f.Code != "" && !f.Land && !f.Drop }

func (f GlueFault) err(op string) error {
	message := f.Message
	if message == "" {
		message = "injected into " + op
	}
	return &gluedb.Error{Code: f.Code, Message: message}
}
