package telemetry

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func readyz(t *testing.T, tel *Telemetry) (int, Report) {
	t.Helper()
	w := httptest.NewRecorder()
	tel.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var r Report
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &r))
	return w.Code, r
}

func TestReadyzFollowsTheLifeOfAService(t *testing.T) {
	tel := Discard()
	code, r := readyz(t, tel)
	require.Equal(t, 503, code)
	require.Equal(t, Report{State: "starting", Dependencies: []DependencyReport{}}, r)

	tel.Health.SetState(Ready)
	code, r = readyz(t, tel)
	require.Equal(t, 200, code)
	require.True(t, r.Ready)

	tel.Health.SetUnable("Kafka does not take events")
	code, r = readyz(t, tel)
	require.Equal(t, 503, code)
	require.Equal(t, "unable", r.State)
	require.Equal(t, "Kafka does not take events", r.Reason)

	tel.Health.SetUnable("")
	code, _ = readyz(t, tel)
	require.Equal(t, 200, code)

	tel.Health.SetState(Draining)
	code, r = readyz(t, tel)
	require.Equal(t, 503, code)
	require.Equal(t, "draining", r.State)
}

func TestADependencyThatIsDownIsNamedAndLeavesTheServiceReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := Discard()
		tel.Health.SetState(Ready)
		tel.Health.Set("s3", nil)
		tel.Health.Set("kafka", nil)
		up := time.Now().UTC()
		time.Sleep(time.Minute)
		tel.Health.Set("s3", errors.New("SlowDown"))
		down := time.Now().UTC()
		time.Sleep(time.Minute)
		tel.Health.Set("s3", errors.New("timeout"))
		code, r := readyz(t, tel)
		require.Equal(t, 200, code)
		require.Equal(t, []DependencyReport{
			{Name: "kafka", State: "up", Since: up},
			{Name: "s3", State: "down", Error: "timeout", Since: down},
		}, r.Dependencies)
		tel.Health.Forget("s3")
		_, r = readyz(t, tel)
		require.Len(t, r.Dependencies, 1)
	})
}

func TestAProcessIsAsReadyAsItsLeastReadyService(t *testing.T) {
	tel := Discard()
	gateway, sink := tel.Service("gateway"), tel.Service("sink")
	gateway.Health.SetState(Ready)
	code, r := readyz(t, tel)
	require.Equal(t, 503, code)
	require.Equal(t, "starting", r.State)

	sink.Health.SetState(Ready)
	sink.Health.Set("s3", errors.New("down"))
	gateway.Health.Set("kafka", nil)
	code, r = readyz(t, tel)
	require.Equal(t, 200, code)
	require.Len(t, r.Dependencies, 2)
	require.Equal(t, "gateway", r.Dependencies[0].Service)
	require.Equal(t, "sink", r.Dependencies[1].Service)

	gateway.Health.SetUnable("no Kafka")
	_, r = readyz(t, tel)
	require.Equal(t, "no Kafka", r.Reason)
	sink.Health.SetState(Draining)
	_, r = readyz(t, tel)
	require.Equal(t, "draining", r.State)
}
