package gateway

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/spill"
)

// spillGauges are what a spill holds. With spill: off they have no value.
type spillGauges struct{ usage, limit, records, age, able metric.Int64ObservableGauge }

func newSpillGauges(r *registrar) spillGauges {
	return spillGauges{
		usage:   r.gauge("weir.gateway.spill.usage", "By", "What the spill's files hold."),
		limit:   r.gauge("weir.gateway.spill.limit", "By", "What they may hold."),
		records: r.gauge("weir.gateway.spill.held", "{record}", "Records in the spill that wait for Kafka."),
		age:     r.gauge("weir.gateway.spill.age", "s", "How long the oldest of them waits; 0 = none does."),
		able:    r.gauge("weir.gateway.spill.able", "{spill}", "1 = the spill takes events, 0 = it is full or its disk failed."),
	}
}

func (g spillGauges) all() []metric.Observable {
	return []metric.Observable{g.usage, g.limit, g.records, g.age, g.able}
}

func (g spillGauges) observe(o metric.Observer, log *spill.Log) {
	if log == nil {
		return
	}
	s := log.Stats()
	o.ObserveInt64(g.usage, s.Bytes)
	o.ObserveInt64(g.limit, s.Limit)
	o.ObserveInt64(g.records, int64(s.Records))
	age, able := int64(0), int64(0)
	if !s.Oldest.IsZero() {
		age = int64(time.Since(s.Oldest).Seconds())
	}
	if s.Err == nil {
		able = 1
	}
	o.ObserveInt64(g.age, age)
	o.ObserveInt64(g.able, able)
}

// watch lets the gauges look at a spill.
func (m *metrics) watch(log *spill.Log) { m.spill.Store(log) }

// committed counts what became durable on the spill's disk.
func (m *metrics) committed(c spill.Commit) {
	ctx := context.Background()
	m.spillDuration.Record(ctx, c.Took.Seconds())
	if c.Err != nil {
		m.limited.Log(ctx, slog.LevelError, "spill", "the spill did not take events", "err", c.Err, "records", c.Records)
		return
	}
	if c.Records > 0 {
		m.spillRecords.Add(ctx, int64(c.Records), m.set(outcomeLabel("spilled")))
		m.limited.Log(ctx, slog.LevelWarn, "spilling", "Kafka is away: events go to the spill", "records", c.Records)
	}
}

// looked logs what became of what was on its way when a gateway or its client ended.
func (m *metrics) looked(l produce.Look) {
	if l.Err != nil {
		m.tel.Log.Warn("the topics could not be read for what was on its way when a gateway or its client ended: it may stand twice, with the same messageId",
			"requests", l.Requests, "err", l.Err)
		return
	}
	m.tel.Log.Info("looked in the topics for what was on its way when a gateway or its client ended", "requests", l.Requests, "found", l.Found)
}

// returned counts what Kafka has of the spill.
func (m *metrics) returned(r produce.Return) {
	if r.Err != nil {
		m.limited.Log(context.Background(), slog.LevelError, "stuck "+r.Source, "Kafka refuses a record of the spill: its source waits there until the topic takes it",
			"source", r.Source, "err", r.Err)
		return
	}
	outcome := "replayed"
	if r.Late {
		outcome = "cancelled"
	}
	m.spillRecords.Add(context.Background(), int64(r.Records), m.set(outcomeLabel(outcome)))
}
