package rpcapi

import (
	"net/http"
	"sync"
	"time"
)

// line ends waits on a stream's connection: for a message that does not come, and for a client that takes no answers.
type line struct {
	control *http.ResponseController

	mu    sync.Mutex
	in    *time.Timer
	out   *time.Timer
	gone  bool // the call has returned: the connection is not ours any more
	isCut bool
	late  bool // it was cut because nothing came in time
}

// expect gives the client some time until more must have come; false = it is cut already.
func (l *line) expect(within time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.in == nil {
		l.in = time.AfterFunc(within, func() { l.end(true) })
	} else {
		l.in.Reset(within)
	}
	return !l.isCut
}

// heard ends the wait for a message: from here on the client may wait for us.
func (l *line) heard() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in.Stop()
}

// expectTaken gives the client some time to take an answer.
func (l *line) expectTaken(within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		l.out = time.AfterFunc(within, l.drop)
	} else {
		l.out.Reset(within)
	}
}

func (l *line) taken() { l.out.Stop() }

// cut ends reading: what was not read yet never will be.
func (l *line) cut() { l.end(false) }

func (l *line) end(late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.isCut {
		return
	}
	l.isCut, l.late = true, late
	_ = l.control.SetReadDeadline(time.Unix(1, 0)) // serveStream has seen that it can be set
}

// drop ends writing too.
func (l *line) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		_ = l.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (l *line) still() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.late
}

// close stops the timers and leaves the connection to the library, which has some time for its last words.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	_ = l.control.SetWriteDeadline(time.Now().Add(slowness))
	for _, t := range []*time.Timer{l.in, l.out} {
		if t != nil {
			t.Stop()
		}
	}
}
