//go:build duckdb

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// weir tail watches a weir dev from a process of its own: what was asked for, masked, until Ctrl-C.
func TestTailOfDev(t *testing.T) {
	p := startDev(t, t.TempDir())
	bin, err := binary()
	require.NoError(t, err)
	tail := exec.Command(bin, "tail", "--dir", p.dir, "--source", "source1", "--filter", "event=K*", "--output", "json")
	out, err := tail.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, tail.Start())
	t.Cleanup(func() { _ = tail.Process.Kill() })

	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan struct{})
	go func() { // until the tail has begun to watch
		defer close(sent)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			const event = `{"type":"track","event":"Kept","userId":"u","properties":{"email":"ada@example.com","plan":"pro"}}`
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.listen.Gateway+"/v1/track", strings.NewReader(event))
			req.SetBasicAuth("dev-write-key", "")
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
			<-tick.C
		}
	}()
	lines := bufio.NewScanner(out)
	for range 3 {
		require.True(t, lines.Scan(), "%v", lines.Err())
		var line struct {
			Source, Outcome string
			Partition       *int32
			Event           map[string]any
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		require.Equal(t, "source1", line.Source)
		require.Equal(t, "accepted", line.Outcome)
		require.NotNil(t, line.Partition)
		require.Equal(t, "Kept", line.Event["event"])
		require.Equal(t, map[string]any{"email": "***", "plan": "pro"}, line.Event["properties"])
	}
	cancel()
	<-sent
	require.NoError(t, tail.Process.Signal(syscall.SIGINT))
	for lines.Scan() {
	}
	require.NoError(t, tail.Wait(), "Ctrl-C is no failure")
	require.Equal(t, exitDone, p.terminate())
}
