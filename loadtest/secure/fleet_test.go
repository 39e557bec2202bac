//go:build e2e

package secure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/embedded"
	"weir/pkg/kafka"
)

const sources = "sources:\n- {id: shop, enabled: true, write_keys: [shop-key]}\n"

// stores gives a world whose S3 and Glue are embedded ones.
func (w *world) stores(t *testing.T) fleet.World {
	t.Helper()
	dir := t.TempDir()
	s3, err := embedded.StartS3(embedded.S3Options{
		Dir: filepath.Join(dir, "s3"), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s3.Close() })
	glue, err := embedded.StartGlue(embedded.GlueOptions{Dir: filepath.Join(dir, "glue"), Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = glue.Close() })
	bin, err := fleet.Build(context.WithoutCancel(t.Context()), dir)
	require.NoError(t, err)
	return fleet.World{
		Bin: bin, Dir: filepath.Join(dir, "fleet"), Broker: w.Addr, Sources: sources, Dynamic: true,
		S3URL: "http://" + s3.Addr(), GlueURL: "http://" + glue.Addr(), Access: "dev", Secret: "dev-secret",
	}
}

// The processes, as a user starts them, over TLS and SCRAM: what was acknowledged is in the lake, once.
func fleetOverSCRAM(t *testing.T, w *world) {
	fw := w.stores(t)
	cfg := w.with(t, "scram-sha-512", user, "")
	cfg.PasswordFile = ""
	fw.Kafka, fw.Env = flags(cfg), []string{kafka.PasswordEnv + "=" + password}
	f := fleet.Launch(t, fw)
	const events = 300
	for i := range events {
		post(t, f.Gateway, fmt.Sprintf(`{"event":"Bought","userId":"u%d","messageId":"m%d"}`, i%7, i))
	}
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	out, err := f.Weir(t.Context(), append([]string{"verify", "--rows", "--lake", fleet.LakeURL, "--group", fleet.Group}, fw.Kafka...)...)
	require.NoError(t, err, out)
	require.Contains(t, out, fmt.Sprintf("compared with %d records in Kafka", events))
	require.Contains(t, out, "nothing is missing, nothing is doubled")
	require.NotContains(t, f.Logs(), password)
}

func post(t *testing.T, gateway, event string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+gateway+"/v1/track", strings.NewReader(event))
	require.NoError(t, err)
	r.SetBasicAuth("shop-key", "")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// A wrong password or authority may be put right on the broker's side: the services wait, are not ready, and say on
// /readyz and in their logs which setting to look at.
func servicesWait(t *testing.T, w *world) {
	fw := w.stores(t)
	unknown := w.with(t, "scram-sha-256", user, password)
	unknown.TLSCA = w.foreign
	for name, c := range map[string]struct {
		cfg  kafka.Config
		says string
	}{
		"wrong password":    {w.with(t, "scram-sha-256", user, "wrong"), "check kafka-user and its password"},
		"unknown authority": {unknown, "set kafka-tls-ca"},
	} {
		for _, service := range []string{"gateway", "sink", "catalog"} {
			t.Run(name+", "+service, func(t *testing.T) {
				p, admin := w.service(t, fw, service, c.cfg)
				require.NoError(t, p.Await(t.Context(), 30*time.Second, func(ctx context.Context) error { return notReady(ctx, admin, c.says) }))
				require.False(t, p.Ended())
				p.Stop()
				said := p.Tail()
				require.Contains(t, said, c.says)
				require.NotContains(t, said, password)
			})
		}
	}
}

// service starts one service by its own, and gives its admin address.
func (w *world) service(t *testing.T, fw fleet.World, name string, cfg kafka.Config) (*parts.Process, string) {
	t.Helper()
	port, err := parts.FreePort()
	require.NoError(t, err)
	admin := fmt.Sprintf("127.0.0.1:%d", port)
	dir := t.TempDir()
	args := append([]string{name, "--admin", admin}, flags(cfg)...)
	if name == "gateway" {
		file := filepath.Join(dir, "sources.yaml")
		require.NoError(t, os.WriteFile(file, []byte(sources), 0o600))
		args = append(args, "--listen", "127.0.0.1:0", "--sources", file)
	} else {
		args = append(args, "--lake", fleet.LakeURL)
	}
	p, err := parts.StartProcess(name, dir, fw.Environment(), fw.Bin, args...)
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p, admin
}

// notReady is nil once the service says that it is not ready, because of a dependency whose error has the text.
func notReady(ctx context.Context, admin, text string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var report struct {
		Dependencies []struct{ State, Error string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		return err
	}
	for _, d := range report.Dependencies {
		if resp.StatusCode == http.StatusServiceUnavailable && d.State == "down" && strings.Contains(d.Error, text) {
			return nil
		}
	}
	return fmt.Errorf("%s: %+v", resp.Status, report)
}
