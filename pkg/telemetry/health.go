package telemetry

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// State is where a service stands in its life.
type State uint8

// A service starts, is ready, and drains once.
const (
	Starting State = iota
	Ready
	Draining
)

func (s State) String() string {
	return [...]string{"starting", "ready", "draining"}[s]
}

// Health is what /readyz says. A dependency that is down is named in the body and
// does not make the process unready: restarting it or taking it out of the balancer
// would not bring the dependency back. Unready are only a process that starts or
// drains, and one that said it is unable to do its work.
type Health struct {
	name  string // "" = the process itself
	state *healthState
}

type healthState struct {
	mu    sync.Mutex
	parts map[string]*part
}

type part struct {
	state        State
	unable       string
	dependencies map[string]dependency
}

type dependency struct {
	err   string
	since time.Time
}

// NewHealth is the health of a process that starts.
func NewHealth() *Health {
	return &Health{state: &healthState{parts: make(map[string]*part)}}
}

// Part is the health of one service of the process. The whole is as ready as its
// least ready part.
func (h *Health) Part(name string) *Health {
	p := &Health{name: name, state: h.state}
	p.change(func(*part) {})
	return p
}

// SetState moves the service through its life.
func (h *Health) SetState(s State) { h.change(func(p *part) { p.state = s }) }

// Set notes that a dependency is up (nil) or down (why).
func (h *Health) Set(name string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	h.change(func(p *part) {
		was, known := p.dependencies[name]
		since := was.since
		if !known || (was.err == "") != (text == "") {
			since = time.Now()
		}
		p.dependencies[name] = dependency{err: text, since: since}
	})
}

// Forget drops a dependency that the service no longer has.
func (h *Health) Forget(name string) {
	h.change(func(p *part) { delete(p.dependencies, name) })
}

// SetUnable says why the service cannot do its work; "" = it can again.
func (h *Health) SetUnable(reason string) { h.change(func(p *part) { p.unable = reason }) }

func (h *Health) change(f func(*part)) {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	p := h.state.parts[h.name]
	if p == nil {
		p = &part{dependencies: make(map[string]dependency)}
		h.state.parts[h.name] = p
	}
	f(p)
}

// Report is the body of /readyz.
type Report struct {
	Ready        bool               `json:"ready"`
	State        string             `json:"state"` // starting, ready, draining, unable
	Reason       string             `json:"reason,omitempty"`
	Dependencies []DependencyReport `json:"dependencies"`
}

// DependencyReport is one thing a service leans on.
type DependencyReport struct {
	Name    string    `json:"name"`
	Service string    `json:"service,omitempty"` // where one process runs several
	State   string    `json:"state"`             // up, down
	Error   string    `json:"error,omitempty"`
	Since   time.Time `json:"since"` // of the state
}

// Report says how the whole process is.
func (h *Health) Report() Report {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	r := Report{State: Starting.String(), Dependencies: []DependencyReport{}}
	rank := -1
	for _, name := range slices.Sorted(maps.Keys(h.state.parts)) {
		p := h.state.parts[name]
		if s, n := p.standing(); n > rank {
			rank, r.State, r.Reason, r.Ready = n, s, p.unable, n == 0
		}
		r.Dependencies = append(r.Dependencies, p.report(name)...)
	}
	return r
}

// standing gives a part's state and how far it is from ready.
func (p *part) standing() (string, int) {
	switch {
	case p.state == Draining:
		return Draining.String(), 3
	case p.state == Starting:
		return Starting.String(), 2
	case p.unable != "":
		return "unable", 1
	}
	return Ready.String(), 0
}

func (p *part) report(service string) []DependencyReport {
	list := make([]DependencyReport, 0, len(p.dependencies))
	for name, d := range p.dependencies {
		state := "up"
		if d.err != "" {
			state = "down"
		}
		list = append(list, DependencyReport{Name: name, Service: service, State: state, Error: d.err, Since: d.since.UTC()})
	}
	slices.SortFunc(list, func(a, b DependencyReport) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
