package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"weir/pkg/telemetry"
	"weir/services/gateway/internal/httpapi"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

// edges are where the gateway touches the network; a test puts a virtual one there.
type edges struct {
	listen func(network, address string) (net.Listener, error)
	client []kgo.Opt // beside those of the settings
}

// wire makes everything, in the order of the data; nothing runs yet.
func wire(cfg Config, tel *telemetry.Telemetry, e edges) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, tel: tel}
	defer func() {
		if err != nil {
			g.abandon()
		}
	}()
	trusted, err := parsePrefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if g.sources, err = source.Open(cfg.Sources); err != nil {
		return nil, fmt.Errorf("load the sources: %w", err)
	}
	hangar := produce.NewHangar(int64(cfg.inFlight()))
	g.budget = hangar.Budget
	if g.metrics, err = newMetrics(tel, cfg, hangar.Budget, g.sources); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := g.openSpill(); err != nil {
		return nil, err
	}
	// Not before the spill is read, which takes a while: who connects would wait for it.
	if g.listener, err = e.listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s (setting listen): %w", cfg.Listen, err)
	}
	if err := g.openClients(e.client); err != nil {
		return nil, err
	}
	g.producer = produce.New(g.client, produce.Options{
		Topics: []string{cfg.Topic, cfg.RejectedTopic}, Deadline: cfg.AckDeadline, Observe: g.metrics.delivered,
		Spill: g.spill, Replayer: g.replayer, Reader: g.reader(e.client), Looked: g.metrics.looked, Returned: g.metrics.returned,
	})
	g.ingester = ingest.New(ingest.Options{
		Lookup: g.sources.Lookup, Producer: g.producer, Topic: cfg.Topic, Rejected: cfg.RejectedTopic, Observe: g.metrics.ingested,
		Limits: cfg.limits(),
	})
	g.handler = httpapi.New(httpapi.Options{
		Ingester: g.ingester, Hangar: hangar, MaxBody: int(cfg.MaxBody), Trusted: trusted, PublicHost: cfg.PublicHost,
		Log: tel.Log, Propagator: tel.Propagator, Tracer: tracerOf(tel), Observe: g.metrics.exchanged, Started: g.metrics.started,
	})
	g.server = newServer(g.handler, tel.Log)
	return g, nil
}

// abandon undoes what wire did before it failed.
func (g *gateway) abandon() {
	if g.listener != nil {
		_ = g.listener.Close()
	}
	if g.spill != nil {
		_ = g.spill.Close()
	}
	if g.metrics != nil {
		_ = g.metrics.close()
	}
	for _, c := range []*kgo.Client{g.client, g.replayer} {
		if c != nil {
			c.Close()
		}
	}
}

// openClients makes the client of requests and, with a spill, that of what it gives back.
func (g *gateway) openClients(more []kgo.Opt) (err error) {
	g.client, err = g.newClient(produce.ClientOptions(g.cfg.AckDeadline, int64(g.cfg.inFlight()), &g.limits), more)
	if err == nil && g.spill != nil {
		g.replayer, err = g.newClient(produce.ReplayOptions(g.cfg.AckDeadline, &g.limits), more)
	}
	return err
}

// reader makes clients that read what this gateway wrote.
func (g *gateway) reader(more []kgo.Opt) func(...kgo.Opt) (*kgo.Client, error) {
	return func(of ...kgo.Opt) (*kgo.Client, error) { return g.newClient(of, more) }
}

func (g *gateway) newClient(of, more []kgo.Opt) (*kgo.Client, error) {
	opts, err := g.cfg.Options(g.tel.ClientLog())
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(slices.Concat(opts, of, more)...)
	if err != nil {
		return nil, fmt.Errorf("make the Kafka client: %w", err)
	}
	return client, nil
}

// tracerOf is nil where traces go nowhere, so that no request pays for a span.
func tracerOf(tel *telemetry.Telemetry) trace.Tracer {
	if _, discards := tel.Tracer.(noop.Tracer); discards {
		return nil
	}
	return tel.Tracer
}

// newServer bounds what a client that is slow, silent or greedy can hold.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute + 45*time.Second, // of body, acknowledgement and answer together
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
