// Sends what it is told with Segment's library, as its documentation shows: sender HOST WRITE_KEY
//
// It reads a command a line, {"n": …, "call": …, "pad": …, "id": …}; the library flushes by itself, which is why an empty
// line means nothing. It writes what the library says became of each: {"n": …, "state": "delivered" or "failed"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

type command struct {
	N    int
	Call string
	Pad  int
	ID   string
}

// told writes what the library calls back, and counts whom it has not called back for.
type told struct {
	mu      sync.Mutex
	waiting sync.WaitGroup
}

func (t *told) Success(m analytics.Message) { t.tell(m, "delivered") }

func (t *told) Failure(m analytics.Message, err error) {
	fmt.Fprintln(os.Stderr, err)
	t.tell(m, "failed")
}

func (t *told) tell(m analytics.Message, state string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Printf("{\"n\":%d,\"state\":%q}\n", numberOf(m), state)
	t.waiting.Done()
}

func numberOf(m analytics.Message) int {
	switch m := m.(type) {
	case analytics.Track:
		return m.Properties["n"].(int)
	case analytics.Page:
		return m.Properties["n"].(int)
	case analytics.Screen:
		return m.Properties["n"].(int)
	case analytics.Identify:
		return m.Traits["n"].(int)
	case analytics.Group:
		return m.Traits["n"].(int)
	}
	n, _ := strconv.Atoi(m.(analytics.Alias).PreviousId)
	return n
}

func message(c command) analytics.Message {
	switch c.Call {
	case "identify":
		return analytics.Identify{UserId: "u1", Traits: analytics.NewTraits().Set("n", c.N).Set("plan", map[string]string{"name": "pro"})}
	case "page":
		return analytics.Page{AnonymousId: "a1", Name: "Home", Properties: analytics.NewProperties().Set("n", c.N)}
	case "screen":
		return analytics.Screen{AnonymousId: "a1", Name: "Start", Properties: analytics.NewProperties().Set("n", c.N)}
	case "group":
		return analytics.Group{UserId: "u1", GroupId: "g1", Traits: analytics.NewTraits().Set("n", c.N)}
	case "alias":
		return analytics.Alias{PreviousId: strconv.Itoa(c.N), UserId: "u1"}
	}
	p := analytics.NewProperties().Set("n", c.N).Set("price", 9.9).Set("größe", "äöü")
	if c.Pad > 0 {
		p.Set("pad", strings.Repeat("x", c.Pad))
	}
	return analytics.Track{UserId: "u1", Event: "Order Completed", Properties: p, MessageId: c.ID}
}

func main() {
	var t told
	// Its ten attempts take 18 s where a refusal is final, instead of 33.
	wait := func(attempt int) time.Duration { return min(100*time.Millisecond<<attempt, 3*time.Second) }
	client, err := analytics.NewWithConfig(os.Args[2], analytics.Config{Endpoint: os.Args[1], Interval: 200 * time.Millisecond, Callback: &t, RetryAfter: wait})
	if err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "" {
			continue
		}
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		t.waiting.Add(1)
		if err := client.Enqueue(message(c)); err != nil {
			panic(err)
		}
	}
	t.waiting.Wait() // Close would give up what is still to be sent again
	if err := client.Close(); err != nil {
		panic(err)
	}
}
