package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// Every metric that an alert asks for is one that the gateway has, and every alert has its page.
func TestRules(t *testing.T) {
	w := start(t, func(c *Config) { c.Spill = t.TempDir() })
	require.Equal(t, 200, w.batch(track("one")).status)
	rec := &recorder{header: http.Header{}}
	r, err := http.NewRequest("GET", "/metrics", nil)
	require.NoError(t, err)
	w.tel.MetricsHandler().ServeHTTP(rec, r)

	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "deploy", "rules", "gateway.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &rules))
	require.NotEmpty(t, rules.Groups)
	name := regexp.MustCompile(`weir_[a-z_]+`)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			metrics := name.FindAllString(r.Expr, -1)
			require.NotEmpty(t, metrics, r.Alert)
			for _, m := range metrics {
				require.Regexp(t, `(?m)^`+m+`[ {]`, rec.String(), "of alert %s", r.Alert)
			}
			require.NotEmpty(t, r.Labels["severity"], r.Alert)
			require.Equal(t, "deploy/runbooks/"+r.Alert+".md", r.Annotations["runbook"])
			page, err := os.ReadFile(filepath.Join(root, r.Annotations["runbook"]))
			require.NoError(t, err)
			for _, m := range name.FindAllString(string(page), -1) {
				if m != "weir_gateway_spill_records_total" { // it is there once something was spilled
					require.Contains(t, rec.String(), m, "of the page of %s", r.Alert)
				}
			}
		}
	}
}
