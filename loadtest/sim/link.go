package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

var (
	errDead  = errors.New("the process is dead")
	errReset = errors.New("connection reset by peer")
)

// link is everything that one process has to do with the world outside. A process that crashed goes on as goroutines,
// but nothing that it does arrives anywhere: its link is dead. One that is frozen, as by SIGSTOP or a network that
// stands still, has its calls held back, and they arrive when it thaws.
type link struct {
	w    *World
	kind string // sink, catalog, gateway, producer
	name string

	mu      sync.Mutex
	frozen  bool
	dead    bool
	changed chan struct{} // closed and replaced when either changes
	died    chan struct{}
	closers map[net.Conn]struct{}
	random  *rand.Rand
}

func (w *World) newLink(kind, name string, seed uint64) *link {
	return &link{
		w: w, kind: kind, name: name, changed: make(chan struct{}), died: make(chan struct{}),
		closers: map[net.Conn]struct{}{}, random: rand.New(rand.NewPCG(w.seed, seed)),
	}
}

// kill ends the process's way to the world, for good.
func (l *link) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	l.dead = true
	close(l.died)
	l.change()
	for c := range l.closers {
		_ = c.Close()
	}
}

func (l *link) freeze(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = on
	l.change()
}

// change wakes who waits. The lock is held.
func (l *link) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// pass returns when the process may act on the world, or never may again.
func (l *link) pass(stop <-chan struct{}) error {
	for {
		l.mu.Lock()
		frozen, dead, changed := l.frozen, l.dead, l.changed
		l.mu.Unlock()
		switch {
		case dead:
			return errDead
		case !frozen:
			return nil
		}
		select {
		case <-changed:
		case <-stop:
			return errReset
		}
	}
}

// delay lets the time go by that a call takes on its way.
func (l *link) delay(most time.Duration) {
	l.mu.Lock()
	d := time.Duration(l.random.Int64N(int64(most)))
	l.mu.Unlock()
	time.Sleep(d)
}

// dial opens a connection to a broker. A dead process gets one too, for what is unhindered.
func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := l.w.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c := &conn{Conn: raw, link: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closers[c] = struct{}{}
	return c, nil
}

func (l *link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.closers, c)
}

// cut breaks every connection that is open now.
func (l *link) cut() int {
	l.mu.Lock()
	open := make([]net.Conn, 0, len(l.closers))
	for c := range l.closers {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
	return len(open)
}

// listen is where a process serves; its connections go with its link.
func (l *link) listen(network, address string) (net.Listener, error) {
	ln, err := l.w.net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	go func() {
		<-l.died
		_ = ln.Close()
	}()
	return listener{ln, l}, nil
}

type listener struct {
	net.Listener
	link *link
}

func (n listener) Accept() (net.Conn, error) {
	raw, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &served{Conn: raw, link: n.link}
	n.link.mu.Lock()
	defer n.link.mu.Unlock()
	n.link.closers[c] = struct{}{}
	return c, nil
}

// served is a connection that a process accepted.
type served struct {
	net.Conn
	link *link
}

func (s *served) Close() error {
	err := s.Conn.Close()
	go s.link.forget(s) // kill holds the lock while it closes
	return err
}
