package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/pkg/telemetry"
	"weir/services/gateway/internal/certs"
	"weir/services/gateway/internal/httpapi"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/rpcapi"
	"weir/services/gateway/internal/source"
	"weir/services/gateway/internal/spill"
)

// metrics is the gateway's one observer: the rooms report facts, and here they
// become instruments and log lines.
type metrics struct {
	tel       *telemetry.Telemetry
	limited   *telemetry.Limiter
	accessLog bool
	topic     string

	duration metric.Float64Histogram
	active   metric.Int64UpDownCounter
	bodySize metric.Int64Histogram
	calls    metric.Float64Histogram
	calling  metric.Int64UpDownCounter
	answered metric.Int64Counter
	retries  metric.Int64Counter
	refusals metric.Int64Counter

	events      metric.Int64Counter
	eventSize   metric.Int64Histogram
	batchEvents metric.Int64Histogram

	sendDuration metric.Float64Histogram
	sent         metric.Int64Counter

	reloads metric.Int64Counter
	recerts metric.Int64Counter

	spill         atomic.Pointer[spill.Log] // nil = off
	spillRecords  metric.Int64Counter
	spillDuration metric.Float64Histogram

	switches metric.Int64Counter
	junk     metric.Int64Counter
	fanouts  sync.Map // source → int64 over how many partitions it is spread, where that is more than one

	sets   sync.Map // label tuple → metric.MeasurementOption: building one costs more than measuring
	gauges metric.Registration
}

// observed is what is looked at when someone asks.
type observed struct {
	budget  *produce.Budget
	sources *source.Watcher
	certs   *certs.Watcher // nil = no TLS
}

func newMetrics(tel *telemetry.Telemetry, cfg Config, seen observed) (*metrics, error) {
	m := &metrics{tel: tel, limited: telemetry.NewLimiter(tel.Log), accessLog: cfg.AccessLog, topic: cfg.Topic}
	r := registrar{meter: tel.Meter}
	m.duration = r.seconds("http.server.request.duration", "From a request's header to its answer.")
	m.active = r.upDown("http.server.active_requests", "{request}", "Requests being answered.")
	m.bodySize = r.histogram("http.server.request.body.size", "By", "Bodies, decompressed.", telemetry.EventBytes())
	m.calls = r.seconds("rpc.server.call.duration", "From the header of a call of Connect, gRPC or gRPC-Web to its end.")
	m.calling = r.upDown("weir.gateway.active_calls", "{call}", "Calls and streams of Connect, gRPC or gRPC-Web that have not ended.")
	m.answered = r.counter("weir.gateway.messages", "{message}", "Messages of calls and streams that were answered with success.")
	m.retries = r.counter("weir.gateway.retries", "{request}", "Requests that say they are sent again.")
	m.refusals = r.counter("weir.gateway.rejections", "{request}", "Requests, and calls, refused as a whole, by reason; with the source where it has sent more than it may.")
	m.events = r.counter("weir.gateway.events", "{event}", "Events by what became of them.")
	m.eventSize = r.histogram("weir.gateway.event.size", "By", "The first event of each request, as it goes to Kafka.", telemetry.EventBytes())
	m.batchEvents = r.histogram("weir.gateway.batch.events", "{event}", "Events of a request.", telemetry.Counts())
	m.sendDuration = r.seconds("messaging.client.operation.duration", "From handing a request's records to Kafka's client to the last acknowledgement.")
	m.sent = r.counter("messaging.client.sent.messages", "{message}", "Records handed to Kafka's client.")
	m.reloads = r.counter("weir.gateway.sources.reloads", "{reload}", "Changes of the sources file, by outcome.")
	m.recerts = r.counter("weir.gateway.tls.reloads", "{reload}", "Changes of the certificate's files, by outcome.")
	m.spillRecords = r.counter("weir.gateway.spill.records", "{record}", "Records of the spill by what became of them: spilled, replayed, or cancelled by a late acknowledgement.")
	m.spillDuration = r.seconds("weir.gateway.spill.commit.duration", "One write and fsync of the spill, of all requests that waited for it.")
	m.switches = r.counter("weir.gateway.fanout.changes", "{change}", "Switches of a source to another fan-out, by direction.")
	m.junk = r.counter("weir.gateway.fanout.ignored", "{record}", "Records of the topic of the fan-outs that are junk.")
	m.observe(&r, seen)
	return m, errors.Join(r.errs...)
}

// observe registers what is observed.
func (m *metrics) observe(r *registrar, seen observed) {
	usage := r.gauge("weir.gateway.produce.buffer.usage", "By", "What unanswered requests and unacknowledged events hold.")
	limit := r.gauge("weir.gateway.produce.buffer.limit", "By", "What they may hold.")
	known := r.gauge("weir.gateway.sources", "{source}", "Sources in force.")
	until := r.gauge("weir.gateway.tls.expiry", "s", "When the listener's certificate ends, as seconds since 1970.")
	fanout := r.gauge("weir.gateway.fanout", "{partition}", "Over how many partitions a hot source is spread.")
	held := newSpillGauges(r)
	var err error
	m.gauges, err = r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(usage, seen.budget.Used())
		o.ObserveInt64(limit, seen.budget.Limit())
		o.ObserveInt64(known, int64(len(seen.sources.Index().Sources())))
		if seen.certs != nil {
			o.ObserveInt64(until, seen.certs.Until().Unix())
		}
		m.fanouts.Range(func(source, n any) bool {
			o.ObserveInt64(fanout, n.(int64), m.set(sourceLabel(source.(string))))
			return true
		})
		held.observe(o, m.spill.Load())
		return nil
	}, append(held.all(), usage, limit, known, until, fanout)...)
	r.note(err)
}

func (m *metrics) close() error { return m.gauges.Unregister() }

// started and exchanged bracket a request.
func (m *metrics) started() { m.active.Add(context.Background(), 1) }

type exchangeLabels struct {
	method, route, reason string
	status                int
}

func (m *metrics) exchanged(x httpapi.Exchange) {
	ctx := context.Background()
	m.active.Add(ctx, -1)
	m.duration.Record(ctx, x.Took.Seconds(), m.set(exchangeLabels{methodLabel(x.Method), x.Route, x.Reason, x.Status}))
	if x.Bytes > 0 {
		m.bodySize.Record(ctx, int64(x.Bytes), m.set(routeLabel(x.Route)))
	}
	if x.Retry != "" {
		m.retries.Add(ctx, 1, m.set(routeLabel(x.Route)))
	}
	if x.Reason != "" {
		m.refusals.Add(ctx, 1, m.set(refusalOf(x.Reason, x.Source)))
	}
	if m.accessLog {
		m.tel.Log.Info("request", "route", x.Route, "method", methodLabel(x.Method), "status", x.Status, "reason", x.Reason,
			"source", x.Source, "bytes", x.Bytes, "retry", x.Retry, "agent", x.Agent, "took", x.Took, "request_id", x.RequestID)
	}
}

// callStarted and called bracket a call.
func (m *metrics) callStarted() { m.calling.Add(context.Background(), 1) }

type procedureLabel string

type callLabels struct{ method, protocol, code, reason string }

func (m *metrics) called(c rpcapi.Call) {
	ctx := context.Background()
	m.calling.Add(ctx, -1)
	m.calls.Record(ctx, c.Took.Seconds(), m.set(callLabels{c.Method, c.Protocol, c.Code, c.Reason}))
	if c.Messages > 0 {
		m.answered.Add(ctx, int64(c.Messages), m.set(procedureLabel(c.Method)))
	}
	if c.Reason != "" {
		m.refusals.Add(ctx, 1, m.set(refusalOf(c.Reason, c.Source)))
	}
	if m.accessLog {
		m.tel.Log.Info("call", "method", c.Method, "protocol", c.Protocol, "code", c.Code, "reason", c.Reason, "source", c.Source,
			"messages", c.Messages, "agent", c.Agent, "took", c.Took, "request_id", c.RequestID)
	}
}

func methodLabel(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "_OTHER" // anyone can invent one
}

type routeLabel string

// refusalLabels name the source only where it is refused for what it does.
type refusalLabels struct{ reason, source string }

func refusalOf(reason, source string) refusalLabels {
	if reason == ingest.CodeLimited {
		return refusalLabels{reason, source}
	}
	return refusalLabels{reason: reason}
}

type eventLabels struct{ source, outcome, reason string }

func (m *metrics) ingested(o ingest.Outcome) {
	if o.Refusal != nil {
		m.refused(o)
		return
	}
	ctx := context.Background()
	if n := len(o.Events); n > 0 {
		m.events.Add(ctx, int64(n), m.set(eventLabels{o.Source, "accepted", ""}))
		m.eventSize.Record(ctx, int64(len(o.Events[0].Value)), m.set(sourceLabel(o.Source)))
	}
	if o.Repeated > 0 {
		m.events.Add(ctx, int64(o.Repeated), m.set(eventLabels{o.Source, "duplicate", ""}))
	}
	m.batchEvents.Record(ctx, int64(len(o.Events)+len(o.Rejected)+o.Repeated), m.set(sourceLabel(o.Source)))
	for i := range o.Rejected {
		r := &o.Rejected[i]
		m.events.Add(ctx, 1, m.set(eventLabels{o.Source, "rejected", r.Code}))
		m.limited.Log(ctx, slog.LevelInfo, r.Code, "event rejected", "source", o.Source, "topic", m.topic)
	}
}

type sourceLabel string

// refused logs why a request failed as a whole: loudly where weir or Kafka is at
// fault, quietly where the client is.
func (m *metrics) refused(o ingest.Outcome) {
	level := slog.LevelInfo
	if o.Refusal.Kind >= ingest.Overloaded {
		level = slog.LevelWarn
	}
	args := []any{"source", o.Source}
	if o.Refusal.Cause != nil {
		args = append(args, "err", o.Refusal.Cause)
	}
	m.limited.Log(context.Background(), level, o.Refusal.Code, "request refused", args...)
}

type sendLabels struct{ topic, errorType string }

func (m *metrics) delivered(d produce.Delivery) {
	if d.Spilled && d.Err == nil {
		return // counted by the spill, and once it comes back
	}
	ctx := context.Background()
	set := m.set(sendLabels{d.Topic, errorType(d.Err)})
	m.sendDuration.Record(ctx, d.Took.Seconds(), set)
	m.sent.Add(ctx, int64(d.Records), set)
}

func errorType(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, produce.ErrFull):
		return "buffer_full"
	case errors.Is(err, produce.ErrLate):
		return "timeout"
	}
	return "kafka"
}

func (m *metrics) reloaded(r source.Reload) {
	outcome := "ok"
	if r.Err != nil {
		outcome = "refused"
		m.tel.Log.Error("the sources file is refused; the last good sources stay in force", "err", r.Err, "sources", r.Sources)
	} else {
		m.tel.Log.Info("sources reloaded", "sources", r.Sources)
	}
	m.reloads.Add(context.Background(), 1, m.set(outcomeLabel(outcome)))
}

func (m *metrics) recertified(r certs.Reload) {
	outcome := "ok"
	if r.Err != nil {
		outcome = "refused"
		m.tel.Log.Error("the listener's certificate is at fault; the last good one stays in force", "err", r.Err, "until", r.Until)
	} else {
		m.tel.Log.Info("certificate reloaded", "until", r.Until)
	}
	m.recerts.Add(context.Background(), 1, m.set(outcomeLabel(outcome)))
}

type outcomeLabel string

// set gives the attributes of a label tuple, built once.
func (m *metrics) set(key any) metric.MeasurementOption {
	if s, ok := m.sets.Load(key); ok {
		return s.(metric.MeasurementOption)
	}
	s, _ := m.sets.LoadOrStore(key, metric.WithAttributeSet(attribute.NewSet(attributesOf(key)...)))
	return s.(metric.MeasurementOption)
}

func attributesOf(key any) []attribute.KeyValue {
	switch k := key.(type) {
	case exchangeLabels:
		return some("http.request.method", k.method, "http.route", k.route, "error.type", k.reason,
			attribute.Int("http.response.status_code", k.status))
	case callLabels:
		return some("rpc.system.name", k.protocol, "rpc.method", k.method, "rpc.response.status_code", k.code, "error.type", k.reason)
	case procedureLabel:
		return some("rpc.method", string(k))
	case routeLabel:
		return some("http.route", string(k))
	case refusalLabels:
		return some("reason", k.reason, "weir.source", k.source)
	case eventLabels:
		return some("weir.source", k.source, "outcome", k.outcome, "reason", k.reason)
	case sourceLabel:
		return some("weir.source", string(k))
	case sendLabels:
		return some("messaging.system", "kafka", "messaging.operation.name", "send", "messaging.destination.name", k.topic, "error.type", k.errorType)
	case directionLabel:
		return some("direction", string(k))
	case outcomeLabel:
		return some("outcome", string(k))
	}
	return nil
}
