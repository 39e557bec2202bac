package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"weir/pkg/telemetry"
	"weir/services/gateway/internal/certs"
	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/httpapi"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/rpcapi"
	"weir/services/gateway/internal/source"
)

// edges are where the gateway touches the network; a test puts a virtual one there.
type edges struct {
	listen func(network, address string) (net.Listener, error)
	client []kgo.Opt // beside those of the settings
}

// wire makes everything, in the order of the data; nothing runs yet.
func wire(cfg Config, tel *telemetry.Telemetry, e edges) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, tel: tel, gate: gate.New()}
	defer func() {
		if err != nil {
			g.abandon()
		}
	}()
	trusted, err := parsePrefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	if err = g.openSources(e.client); err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" {
		if g.certs, err = certs.Open(cfg.certFiles()); err != nil {
			return nil, err
		}
	}
	g.hangar = produce.NewHangar(int64(cfg.inFlight()))
	if g.metrics, err = newMetrics(tel, cfg, observed{g.hangar.Budget, g.sources, g.certs}); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err = g.openFanout(e.client); err != nil {
		return nil, err
	}
	if err = g.openTail(); err != nil {
		return nil, err
	}
	if err = g.openSpill(); err != nil {
		return nil, err
	}
	// Not before the spill is read, which takes a while: who connects would wait for it.
	if g.listener, err = e.listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s (setting listen): %w", cfg.Listen, err)
	}
	if err = g.openClients(e.client); err != nil {
		return nil, err
	}
	g.producer = produce.New(g.client, produce.Options{
		Topics: []string{cfg.Topic, cfg.RejectedTopic}, Deadline: cfg.AckDeadline, Observe: g.metrics.delivered,
		Spill: g.spill, Replayer: g.replayer, Limits: &g.limits, Reader: g.reader(e.client), Looked: g.metrics.looked, Returned: g.metrics.returned,
	})
	g.ingester = ingest.New(ingest.Options{
		Lookup: g.sources.Lookup, Producer: g.producer, Topic: cfg.Topic, Rejected: cfg.RejectedTopic, Observe: g.ingested,
		Limits: cfg.limits(),
	})
	g.handler = front(g.httpAPI(trusted), g.rpcAPI(trusted))
	g.server = newServer(g.handler, tel.Log)
	if g.certs != nil {
		g.server.TLSConfig = g.certs.Config()
	}
	return g, nil
}

// front tells the transports of the one listener apart by the path.
func front(api, rpc http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rpcapi.Serves(r.URL.Path) {
			rpc.ServeHTTP(w, r)
		} else {
			api.ServeHTTP(w, r)
		}
	})
}

func (g *gateway) httpAPI(trusted []netip.Prefix) http.Handler {
	return httpapi.New(httpapi.Options{
		Ingester: g.ingester, Hangar: g.hangar, Gate: g.gate, MaxBody: int(g.cfg.MaxBody), Trusted: trusted, PublicHost: g.cfg.PublicHost, RetryFor: g.cfg.ClientRetries,
		Log: g.tel.Log, Propagator: g.tel.Propagator, Tracer: tracerOf(g.tel), Observe: g.metrics.exchanged, Started: g.metrics.started,
	})
}

func (g *gateway) rpcAPI(trusted []netip.Prefix) http.Handler {
	return rpcapi.New(rpcapi.Options{
		Ingester: g.ingester, Hangar: g.hangar, Gate: g.gate, MaxBody: int(g.cfg.MaxBody), MaxEvents: g.cfg.MaxEvents, Trusted: trusted,
		Serving: func() bool { return g.tel.Health.Report().Ready }, Replaced: g.sources.Replaced,
		Log: g.tel.Log, Propagator: g.tel.Propagator, Tracer: tracerOf(g.tel), Observe: g.metrics.called, Started: g.metrics.callStarted,
	})
}

// abandon undoes what wire did before it failed, the last first.
func (g *gateway) abandon() {
	for _, c := range []*kgo.Client{g.replayer, g.client} {
		if c != nil {
			c.Close()
		}
	}
	if g.listener != nil {
		_ = g.listener.Close()
	}
	if g.spill != nil {
		_ = g.spill.Close(context.Background()) // nothing is queued
	}
	if g.untap != nil {
		g.untap()
	}
	if g.metrics != nil {
		_ = g.metrics.close()
	}
}

// openSources loads the file of the sources, or what there is of a topic's copy.
func (g *gateway) openSources(more []kgo.Opt) (err error) {
	if g.cfg.SourcesTopic == "" {
		if g.sources, err = source.Open(g.cfg.Sources); err != nil {
			return fmt.Errorf("load the sources: %w", err)
		}
		return nil
	}
	if g.sources, err = source.OpenCopy(g.cfg.SourcesCopy); err != nil {
		return fmt.Errorf("load the copy of the sources (setting sources-copy): %w", err)
	}
	opts, err := g.cfg.Options(g.tel.ClientLog())
	if err != nil {
		return err
	}
	opts = append(opts, more...)
	g.mirror = &source.Mirror{
		Path: g.cfg.SourcesCopy, Report: g.mirrored,
		Open: func(ctx context.Context) (*source.Topic, error) {
			return source.CreateTopic(ctx, opts, g.cfg.layout().Compacted(g.cfg.SourcesTopic))
		},
	}
	return nil
}

// openClients makes the client of requests and, with a spill, that of what it gives back.
func (g *gateway) openClients(more []kgo.Opt) (err error) {
	g.client, err = g.newClient(produce.ClientOptions(g.cfg.AckDeadline, int64(g.cfg.inFlight()), &g.limits, g.spill != nil), more)
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
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute + 45*time.Second, // of body, acknowledgement and answer together
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			SendPingTimeout:      30 * time.Second, // a stream may be silent, but not its peer dead
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     30 * time.Second,
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
