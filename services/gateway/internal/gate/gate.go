// Package gate says whether requests may come in, from the start of a gateway to its end. Its invariant: it goes from
// starting to open to leaving to draining, and what waits for the drain hears of it once and for good. It refuses
// nothing itself; the transports do, each in its words. Owned by the gateway.
package gate

import "sync/atomic"

// State is where the gateway stands.
type State uint32

// The states, in their order.
const (
	Starting State = iota
	Open
	Leaving  // serves, and asks every client to connect anew, elsewhere
	Draining // refuses what is new; what is inside is answered
)

// Gate is shared by all transports.
type Gate struct {
	state   atomic.Uint32
	drained chan struct{}
}

// New makes a gate that is starting.
func New() *Gate { return &Gate{drained: make(chan struct{})} }

// State is where the gateway stands now.
func (g *Gate) State() State { return State(g.state.Load()) }

// Open lets requests in, unless the gateway leaves already.
func (g *Gate) Open() { g.state.CompareAndSwap(uint32(Starting), uint32(Open)) }

// Leave goes on serving while balancers look elsewhere.
func (g *Gate) Leave() { g.state.Store(uint32(Leaving)) }

// Drain refuses new requests.
func (g *Gate) Drain() {
	if State(g.state.Swap(uint32(Draining))) != Draining {
		close(g.drained)
	}
}

// Drained is closed once the gateway drains.
func (g *Gate) Drained() <-chan struct{} { return g.drained }
