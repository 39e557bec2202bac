package httpapi

import (
	"encoding/json"
	"net/http"
	"time"
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
	HTTPConfig    *httpConfig          `json:"httpConfig,omitempty"` // where react-native looks for it
}

type segmentIO struct {
	APIKey          string          `json:"apiKey"`
	APIHost         string          `json:"apiHost,omitempty"`
	VersionSettings versionSettings `json:"versionSettings"`
	HTTPConfig      *httpConfig     `json:"httpConfig,omitempty"` // where the others do
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

// httpConfig is how the libraries of browsers and phones go about answers that are not success; those that keep events
// on disk only come again for hours where they are told so. All times are in seconds.
type httpConfig struct {
	RateLimit rateLimit `json:"rateLimitConfig"`
	Backoff   backoff   `json:"backoffConfig"`
}

// rateLimit is for 429. The libraries disagree on the name of its last bound.
type rateLimit struct {
	Enabled     bool  `json:"enabled"`
	Retries     int   `json:"maxRetryCount"`
	Interval    int   `json:"maxRetryInterval"`
	Duration    int64 `json:"maxRateLimitDuration"`
	DurationToo int64 `json:"maxTotalBackoffDuration"`
}

// backoff is for all else. What a status means is said for those that weir answers with, and for those that a proxy in
// front of it may.
type backoff struct {
	Enabled   bool              `json:"enabled"`
	Retries   int               `json:"maxRetryCount"`
	Base      float64           `json:"baseBackoffInterval"`
	Interval  int               `json:"maxBackoffInterval"`
	Duration  int64             `json:"maxTotalBackoffDuration"`
	Jitter    int               `json:"jitterPercent"`
	On4xx     string            `json:"default4xxBehavior"`
	On5xx     string            `json:"default5xxBehavior"`
	Overrides map[string]string `json:"statusCodeOverrides"`
}

const (
	retries       = 1000 // the most that the libraries take: the duration is what ends it
	longestPause  = 300
	firstPause    = 0.5
	jitterPercent = 50 // the most that the libraries take
)

// retryFor tells clients to come again for so long; nil = they do what they do by themselves.
func retryFor(d time.Duration) *httpConfig {
	if d <= 0 {
		return nil
	}
	seconds := int64(d.Seconds())
	return &httpConfig{
		RateLimit: rateLimit{Enabled: true, Retries: retries, Interval: longestPause, Duration: seconds, DurationToo: seconds},
		Backoff: backoff{
			Enabled: true, Retries: retries, Base: firstPause, Interval: longestPause, Duration: seconds, Jitter: jitterPercent,
			On4xx: "drop", On5xx: "retry",
			Overrides: map[string]string{"408": "retry", "410": "retry", "429": "retry", "501": "drop", "505": "drop"},
		},
	}
}

// writeSettings answers with the document of one write key. apiHost is the gateway's
// own public address, or nothing: never what a request claims to be sent to.
func writeSettings(w http.ResponseWriter, r *http.Request, key, apiHost string, retry *httpConfig) {
	all := func(integrations *struct{}) planned {
		return planned{"__default": {Enabled: true, Integrations: integrations}}
	}
	body, _ := json.Marshal(settingsDocument{
		Integrations: map[string]segmentIO{"Segment.io": {
			APIKey: key, APIHost: apiHost,
			VersionSettings: versionSettings{Version: "4.4.7", ComponentTypes: []string{"browser"}},
			HTTPConfig:      retry,
		}},
		HTTPConfig:    retry,
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
