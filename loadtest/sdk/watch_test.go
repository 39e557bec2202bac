//go:build e2e

package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// ask gets a page of the gateway's admin port.
func (w *world) ask(ctx context.Context, path string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.admin+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, text)
	}
	return string(text), err
}

// unspilled is nil once the spill has given everything back.
func (w *world) unspilled(ctx context.Context) error {
	text, err := w.ask(ctx, "/metrics")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if held, ok := strings.CutPrefix(line, "weir_gateway_spill_held "); ok && strings.TrimSpace(held) == "0" {
			return nil
		}
	}
	return fmt.Errorf("the spill still holds events")
}

// exchange is a line of the gateway's access log.
type exchange struct {
	Msg    string
	Agent  string
	Status int
	Reason string
}

// answers counts what the gateway has answered a library, by status and reason.
func (w *world) answers(l library) map[string]int {
	w.t.Helper()
	text, err := os.ReadFile(w.gateway.LogPath)
	require.NoError(w.t, err)
	counts := map[string]int{}
	for line := range bytes.Lines(text) {
		var x exchange
		if json.Unmarshal(line, &x) == nil && x.Msg == "request" && strings.HasPrefix(x.Agent, l.agent) {
			counts[strings.TrimSpace(fmt.Sprint(x.Status, " ", x.Reason))]++
		}
	}
	return counts
}

// none is the status of a library that is not heard of.
const none = 0

// answered is nil once every library has had an answer of that status.
func (w *world) answered(status func(library) int) func(context.Context) error {
	return func(context.Context) error {
		for _, s := range w.senders {
			want, answers := status(s.library), w.answers(s.library)
			if want != none && !has(answers, want) {
				return fmt.Errorf("%s has had no %d: %v", s.name, want, answers)
			}
		}
		return nil
	}
}

func has(answers map[string]int, status int) bool {
	for answer := range answers {
		if strings.HasPrefix(answer, fmt.Sprint(status)) {
			return true
		}
	}
	return false
}

// settled is nil once every library has said of each event what became of it.
func (w *world) settled(context.Context) error {
	for _, s := range w.senders {
		if err := s.settled(); err != nil {
			return err
		}
	}
	return nil
}

// await waits for the progress of other processes while the gateway runs.
func (w *world) await(ready func(context.Context) error) {
	w.t.Helper()
	require.NoError(w.t, w.gateway.Await(w.t.Context(), patience, ready))
}

// until is await for who may not end the test.
func (w *world) until(ready func() error) error {
	return w.gateway.Await(w.t.Context(), patience, func(context.Context) error { return ready() })
}

// each plays with every library at its own pace.
func (w *world) each(play func(*sender) error) {
	w.t.Helper()
	ends := make(chan error, len(w.senders))
	for _, s := range w.senders {
		go func() { ends <- play(s) }()
	}
	for range w.senders {
		require.NoError(w.t, <-ends)
	}
}
