package sink

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/services/sink/internal/group"
)

// gauges are read when somebody asks, and only of partitions that this process owns: a
// partition that went to another member must not stay here with its last value.
type gauges struct {
	lag, files, owned, paused, stopped, blocked, stuck metric.Int64ObservableGauge
	usage, limit                                       metric.Int64ObservableGauge
	lagTime, age                                       metric.Float64ObservableGauge
	utilization                                        metric.Float64ObservableGauge
}

// watch registers the gauges of a group. Where an instrument cannot be made, metrics
// go without it.
func (m *metrics) watch(g *group.Group) {
	var i instruments
	ints := func(name, unit, about string) metric.Int64ObservableGauge {
		o, err := m.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
		i.note(err)
		return o
	}
	floats := func(name, unit, about string) metric.Float64ObservableGauge {
		o, err := m.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
		i.note(err)
		return o
	}
	v := gauges{
		lag:         ints("weir.sink.lag.records", "{record}", "Records behind the high watermark: stage fetch = not read, commit = not flushed."),
		lagTime:     floats("weir.sink.lag.duration", "s", "Age of the oldest record that is read and not flushed; 0 when there is none."),
		files:       ints("weir.sink.files.open", "{file}", "Files under construction."),
		owned:       ints("weir.sink.partitions.owned", "{partition}", "Partitions that this member has."),
		paused:      ints("weir.sink.partitions.paused", "{partition}", "Of these, those that are not fetched just now."),
		stopped:     ints("weir.sink.partitions.stopped", "{partition}", "Of these, those that wait for somebody to recover them."),
		blocked:     ints("weir.sink.partitions.blocked", "{partition}", "Of these, those that wait for somebody to raise a topic's max.message.bytes."),
		stuck:       ints("weir.sink.partitions.stuck", "{partition}", "Of these, those that have something to do and have made no progress for long."),
		usage:       ints("weir.sink.buffer.usage", "By", "What fetched records (fetch) and open files (builder) hold."),
		limit:       ints("weir.sink.buffer.limit", "By", "The memory budget."),
		utilization: floats("weir.sink.buffer.utilization", "1", "Share of the memory budget that is held."),
		age:         floats("weir.sink.buffer.age", "s", "Age of the oldest open file."),
	}
	if i.err != nil {
		m.log.Error("gauges cannot be registered", "err", i.err)
		return
	}
	var err error
	m.registration, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		v.observe(o, m.topic, g, time.Now())
		return nil
	}, v.lag, v.lagTime, v.files, v.owned, v.paused, v.stopped, v.blocked, v.stuck, v.usage, v.limit, v.utilization, v.age)
	if err != nil {
		m.log.Error("gauges cannot be registered", "err", err)
	}
}

func (v *gauges) observe(o metric.Observer, topic metric.MeasurementOption, g *group.Group, now time.Time) {
	var sum struct{ files, paused, stopped, blocked, stuck, queued, encoding int64 }
	var oldest time.Duration
	list := g.Status()
	for _, s := range list {
		v.observePartition(o, topic, s, now)
		sum.files += int64(s.Files)
		sum.queued += s.Queued
		sum.encoding += s.Encoding
		if s.Paused {
			sum.paused++
		}
		if s.Stopped != nil {
			sum.stopped++
		}
		if s.Blocked != nil {
			sum.blocked++
		}
		if s.Stuck != nil {
			sum.stuck++
		}
		if !s.Opened.IsZero() {
			oldest = max(oldest, now.Sub(s.Opened))
		}
	}
	held, limit := g.Memory()
	o.ObserveInt64(v.files, sum.files, topic)
	o.ObserveInt64(v.owned, int64(len(list)), topic)
	o.ObserveInt64(v.paused, sum.paused, topic)
	o.ObserveInt64(v.stopped, sum.stopped, topic)
	o.ObserveInt64(v.blocked, sum.blocked, topic)
	o.ObserveInt64(v.stuck, sum.stuck, topic)
	o.ObserveInt64(v.usage, sum.queued, label("kind", "fetch"))
	o.ObserveInt64(v.usage, sum.encoding, label("kind", "builder"))
	o.ObserveInt64(v.limit, limit)
	o.ObserveFloat64(v.utilization, float64(held)/float64(max(limit, 1)))
	o.ObserveFloat64(v.age, oldest.Seconds(), topic)
}

func (v *gauges) observePartition(o metric.Observer, topic metric.MeasurementOption, s group.Status, now time.Time) {
	if !s.Consuming || s.HighWatermark < 0 {
		return
	}
	part := func(stage string) metric.MeasurementOption {
		return metric.WithAttributes(partitionAttr(s.Partition), attribute.String("stage", stage))
	}
	o.ObserveInt64(v.lag, max(s.HighWatermark-s.Position, 0), topic, part("fetch"))
	o.ObserveInt64(v.lag, max(s.HighWatermark-s.Low, 0), topic, part("commit"))
	late := 0.0
	if !s.FirstOpen.IsZero() {
		late = max(now.Sub(s.FirstOpen).Seconds(), 0)
	}
	o.ObserveFloat64(v.lagTime, late, topic, part("commit"))
}
