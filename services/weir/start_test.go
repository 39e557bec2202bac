package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

// running is the program at work, in this process.
type running struct {
	t     *testing.T
	lines chan map[string]any // its log
	admin string
}

// Write takes the log, a line each.
func (r *running) Write(p []byte) (int, error) {
	for text := range bytes.Lines(p) {
		var line map[string]any
		if json.Unmarshal(text, &line) == nil {
			r.lines <- line
		}
	}
	return len(p), nil
}

// start runs the program until the test ends; then it must have drained.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t, lines: make(chan map[string]any, 10_000)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, append(args, "--admin", "127.0.0.1:0"), stdio{out: io.Discard, err: r}) }()
	t.Cleanup(func() {
		cancel()
		require.Equal(t, exitDone, <-ended)
	})
	r.admin = r.await(func(line map[string]any) bool { return line["msg"] == "admin port open" })["addr"].(string)
	return r
}

// await reads the log until a line is as wanted.
func (r *running) await(wanted func(map[string]any) bool) map[string]any {
	r.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	var seen []map[string]any
	for {
		select {
		case line := <-r.lines:
			if wanted(line) {
				return line
			}
			seen = append(seen, line)
		case <-late.C:
			require.FailNow(r.t, "no such line in the log", "%v", seen)
		}
	}
}

// awaitReadyz asks again and again: readiness has no other sign.
func (r *running) awaitReadyz(code int, says string) {
	r.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		got, body := r.readyz()
		if got == code && strings.Contains(body, says) {
			return
		}
		require.True(r.t, time.Now().Before(deadline), "%d: %s", got, body)
	}
}

func (r *running) readyz() (code int, body string) {
	r.t.Helper()
	resp, err := http.Get("http://" + r.admin + "/readyz")
	require.NoError(r.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// What a person has to mend in S3 keeps no service from starting: it waits, says in its
// log and in /readyz what to do, and goes on by itself.
func TestSinkAndCatalogWaitForTheLake(t *testing.T) {
	clean(t)
	store, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	proxy := s3test.NewProxy(t, store.Addr()) // keeps no connection open, for which Close would wait
	kafka, err := embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = kafka.Close() })
	glue, err := embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = glue.Close() })
	t.Setenv("AWS_ENDPOINT_URL_S3", proxy.URL())
	t.Setenv("AWS_ENDPOINT_URL_GLUE", "http://"+glue.Addr())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_REGION", embedded.Region)
	t.Setenv("AWS_ACCESS_KEY_ID", "dev")

	for _, service := range []string{"sink", "catalog"} {
		for _, c := range []struct{ name, secret, says string }{
			{"no bucket", "dev-secret", "no such bucket: create it, or name another one with lake"},
			{"wrong credentials", "wrong", "access denied: look at the AWS credentials and at what they permit"},
		} {
			t.Run(service+", "+c.name, func(t *testing.T) {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
				r := start(t, service, "--lake", "s3://"+service+"s-own/lake", "--kafka-brokers", kafka.Addr(), "--topic-replication", "1")
				r.await(func(line map[string]any) bool {
					text, _ := line["err"].(string)
					return line["dependency"] == "s3" && strings.Contains(text, c.says)
				})
				r.awaitReadyz(http.StatusServiceUnavailable, c.says)
				if c.secret == "wrong" {
					return
				}
				mended, err := s3.Open(t.Context(), s3.Config{Lake: lake.Location{Bucket: service + "s-own"}}, nil)
				require.NoError(t, err)
				require.NoError(t, mended.CreateBucket(t.Context()))
				r.awaitReadyz(http.StatusOK, `"ready":true`)
			})
		}
	}
}
