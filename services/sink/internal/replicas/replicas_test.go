package replicas

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGone(t *testing.T) {
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Authorization"))
		if r.URL.Path != "/apis/apps/v1/namespaces/lake/statefulsets/weir-sink/scale" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"kind":"Scale","spec":{"replicas":2},"status":{"replicas":4}}`))
	}))
	defer server.Close()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token": "secret\n", "namespace": "lake",
		"ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for pod, want := range map[string]bool{"weir-sink-0": false, "weir-sink-1": false, "weir-sink-2": true, "weir-sink-12": true} {
		got, err := gone(t.Context(), server.URL, dir, pod)
		require.NoError(t, err)
		require.Equal(t, want, got, pod)
	}
	require.Len(t, asked, 4)
	require.Contains(t, asked[0], "Bearer secret")

	for _, pod := range []string{"sink", "", "-1", "a-b", "weir-sink--1x", "weir-sink-99999999999"} {
		got, err := gone(t.Context(), server.URL, dir, pod)
		require.NoError(t, err, pod)
		require.False(t, got, pod)
	}
	require.Len(t, asked, 4, "nobody is asked for what is no pod of a set")

	_, err := gone(t.Context(), server.URL, dir, "another-3")
	require.ErrorContains(t, err, "right to get statefulsets/scale")
	_, err = gone(t.Context(), server.URL, t.TempDir(), "weir-sink-3")
	require.ErrorContains(t, err, "token")
}

func TestOutsideOfKubernetesEveryPodStays(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	got, err := Gone(t.Context(), "weir-sink-7")
	require.NoError(t, err)
	require.False(t, got)
}
