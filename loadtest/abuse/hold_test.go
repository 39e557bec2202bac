package abuse

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// head begins a request; key "" = it names none, and may in its body.
func head(key string) string {
	const start = "POST /v1/batch HTTP/1.1\r\nHost: x\r\n"
	if key == "" {
		return start
	}
	return start + "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")) + "\r\n"
}

// idle opens connections that were used once and are kept, as many as the open-file limit allows, at most n.
func (w *world) idle(t *testing.T, n int) []net.Conn {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if most := int(limit.Cur) - 1000; most < n {
		t.Logf("%d idle connections instead of %d: at most %d files may be open", most, n, limit.Cur)
		n = max(most, 0)
	}
	conns := make([]net.Conn, n)
	var group errgroup.Group
	group.SetLimit(32)
	for i := range conns {
		group.Go(func() (err error) {
			conns[i], err = w.used()
			return err
		})
	}
	require.NoError(t, group.Wait())
	return conns
}

// used is a connection with one answered request behind it.
func (w *world) used() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", w.addr, patience)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "POST /v1/m HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Close {
		return nil, fmt.Errorf("an idle connection was answered %s", resp.Status)
	}
	return conn, nil
}

// loris is a herd of connections whose headers come byte by byte and never end.
type loris struct {
	size int
	herd sync.WaitGroup
	cut  atomic.Int64 // connections that the gateway has ended
}

func (w *world) loris(n int) *loris {
	l := &loris{size: n}
	for range n {
		conn := w.dial()
		l.herd.Go(func() {
			defer conn.Close()
			if trickle(conn) {
				l.cut.Add(1)
			}
		})
	}
	return l
}

// trickle writes a header for as long as the gateway takes it, and says whether the gateway ended it.
func trickle(conn net.Conn) bool {
	if _, err := io.WriteString(conn, head(slowKey)); err != nil {
		return true
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(conn, "X"); err != nil {
			return !errors.Is(err, os.ErrDeadlineExceeded) // it is ours
		}
	}
	return false
}

// halves are requests of size whose body comes to the half and then no more.
func (w *world) halves(t *testing.T, n, size int) (conns []net.Conn) {
	t.Helper()
	for i := range n {
		conn := w.dial()
		said := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
		if i%2 == 1 {
			said = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size)
		}
		_, err := io.WriteString(conn, head(slowKey)+said+`{"batch":[`+strings.Repeat(" ", size/2))
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	return conns
}

// promises are requests that say how long their bodies are, the largest first, and send no more.
func (w *world) promises(t *testing.T, n int) (conns []net.Conn) {
	t.Helper()
	for length := 4 << 20; length >= 4<<10; length /= 2 { // the smaller ones would fit between the larger ones
		for range n {
			conn := w.dial()
			_, err := fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n{", head(""), length)
			require.NoError(t, err)
			conns = append(conns, conn)
		}
	}
	return conns
}

// deaf writes requests with long answers, reads none of them, and goes on until the gateway takes no more.
func deaf(conn net.Conn, request string) error {
	if err := conn.SetWriteDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	for {
		if _, err := io.WriteString(conn, request); err != nil {
			return err
		}
	}
}

func hangUp(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
