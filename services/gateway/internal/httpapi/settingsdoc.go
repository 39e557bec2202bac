package httpapi

import (
	"encoding/json"
	"net/http"
)

// The browser, mobile and desktop libraries fetch this document before they send
// anything; one that does not arrive stops them. They use the apiKey in it, not the
// one they were given, and send to its apiHost where there is one.

type settingsDocument struct {
	Integrations  map[string]segmentIO `json:"integrations"`
	Plan          map[string]planned   `json:"plan"`
	EdgeFunction  struct{}             `json:"edgeFunction"`
	Middleware    struct{}             `json:"middlewareSettings"`
	EnabledMiddle struct{}             `json:"enabledMiddleware"`
	Metrics       metricsSetting       `json:"metrics"`
	LegacyVideo   bool                 `json:"legacyVideoPluginsEnabled"`
	RemotePlugins []string             `json:"remotePlugins"`
	AnalyticsNext bool                 `json:"analyticsNextEnabled"`
}

type segmentIO struct {
	APIKey          string          `json:"apiKey"`
	APIHost         string          `json:"apiHost,omitempty"`
	VersionSettings versionSettings `json:"versionSettings"`
}

type versionSettings struct {
	Version        string   `json:"version"`
	ComponentTypes []string `json:"componentTypes"`
}

type planned map[string]plannedDefault

type plannedDefault struct {
	Enabled      bool      `json:"enabled"`
	Integrations *struct{} `json:"integrations,omitempty"`
}

// metricsSetting with rate 0 tells the libraries to keep their own measurements.
type metricsSetting struct {
	SampleRate float64 `json:"sampleRate"`
}

// writeSettings answers with the document of one write key. apiHost is the gateway's
// own public address, or nothing: never what a request claims to be sent to.
func writeSettings(w http.ResponseWriter, r *http.Request, key, apiHost string) {
	all := func(integrations *struct{}) planned {
		return planned{"__default": {Enabled: true, Integrations: integrations}}
	}
	body, _ := json.Marshal(settingsDocument{
		Integrations: map[string]segmentIO{"Segment.io": {
			APIKey: key, APIHost: apiHost,
			VersionSettings: versionSettings{Version: "4.4.7", ComponentTypes: []string{"browser"}},
		}},
		Plan:          map[string]planned{"track": all(&struct{}{}), "identify": all(nil), "group": all(nil)},
		RemotePlugins: []string{},
		AnalyticsNext: true,
	})
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = []string{"public, max-age=300"} // a disabled source stops within minutes
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
