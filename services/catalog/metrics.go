package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/telemetry"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/ledger"
)

// metrics turns the follower's facts into log lines, instruments and health.
type metrics struct {
	log    *slog.Logger
	health *telemetry.Health

	delay      metric.Float64Histogram
	operations metric.Int64Counter
	duration   metric.Float64Histogram
	schema     metric.Int64Counter
	partitions metric.Int64Counter
	alarms     metric.Int64Counter
	elsewhere  metric.Int64Counter
	rows       metric.Int64Counter
	objects    metric.Int64Counter
	s3Duration metric.Float64Histogram
	s3Bytes    metric.Int64Counter
	s3Attempts metric.Int64Counter
	watch      metric.Registration
	views      *viewMetrics
	behind     atomic.Int64 // flushes that are in the lake and not in the ledger

	mu      sync.Mutex
	pending follow.Pending // what the round at hand has to make visible

	// Of the follower's goroutine only.
	lakes         map[string]struct{}  // others, that were logged
	closingLogged map[string]time.Time // by partition, as many as had a gap
	repair        string               // the command that looks at what stands at the gate
}

// lakesLogged bounds how many other lakes are named in the log.
const lakesLogged = 100

func newMetrics(tel *telemetry.Telemetry, cfg Config) (*metrics, error) {
	m := &metrics{log: tel.Log, health: tel.Health, lakes: make(map[string]struct{}), closingLogged: make(map[string]time.Time), repair: fmt.Sprintf("weir catalog repair --lake %s --database %s", cfg.Lake, cfg.Database)}
	meter := tel.Meter
	var errs [17]error
	m.views, errs[16] = newViewMetrics(tel)
	m.delay, errs[0] = meter.Float64Histogram("weir.catalog.delay", metric.WithUnit("s"), telemetry.DelaySeconds(),
		metric.WithDescription("From the publishing of a file to the moment it can be queried."))
	m.operations, errs[1] = meter.Int64Counter("weir.catalog.operations", metric.WithUnit("{operation}"),
		metric.WithDescription("Requests to Glue, every attempt counted."))
	m.duration, errs[2] = meter.Float64Histogram("weir.catalog.operation.duration", metric.WithUnit("s"), telemetry.AttemptSeconds(),
		metric.WithDescription("One request to Glue."))
	m.schema, errs[3] = meter.Int64Counter("weir.catalog.schema.changes", metric.WithUnit("{change}"),
		metric.WithDescription("Columns added or widened, and columns that could not be."))
	m.partitions, errs[4] = meter.Int64Counter("weir.catalog.partitions", metric.WithUnit("{partition}"),
		metric.WithDescription("Lake partitions sent to Glue: created, there already, or refused."))
	m.alarms, errs[5] = meter.Int64Counter("weir.catalog.alarms", metric.WithUnit("{alarm}"),
		metric.WithDescription("What should never happen and needs a person."))
	m.elsewhere, errs[12] = meter.Int64Counter("weir.catalog.notifications.elsewhere", metric.WithUnit("{notification}"),
		metric.WithDescription("Notifications of flushes in other lakes that share the flush topic: passed over."))
	m.rows, errs[13] = meter.Int64Counter("weir.catalog.ledger.rows", metric.WithUnit("{row}"),
		metric.WithDescription("Rows written into the table weir_files, one for each published file."))
	m.objects, errs[14] = meter.Int64Counter("weir.catalog.ledger.objects", metric.WithUnit("{object}"),
		metric.WithDescription("Objects written into the table weir_files."))
	behind, err := meter.Int64ObservableGauge("weir.catalog.ledger.behind", metric.WithUnit("{flush}"),
		metric.WithDescription("Flushes that can be queried and are not in the table weir_files yet."))
	errs[15] = err
	// Where one process runs the sink too, both count into the same instruments: the
	// texts must be the sink's to the letter, or /metrics refuses the pair.
	m.s3Duration, errs[6] = meter.Float64Histogram("weir.s3.attempt.duration", metric.WithUnit("s"), telemetry.AttemptSeconds(),
		metric.WithDescription("One request to S3."))
	m.s3Bytes, errs[7] = meter.Int64Counter("weir.s3.bytes", metric.WithUnit("By"),
		metric.WithDescription("Bytes of request and answer bodies."))
	m.s3Attempts, errs[11] = meter.Int64Counter("weir.s3.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Requests to S3, every attempt counted."))
	files, err := meter.Int64ObservableGauge("weir.catalog.pending.files", metric.WithUnit("{file}"),
		metric.WithDescription("Files that are published and not yet visible, of the round at hand."))
	errs[8] = err
	age, err := meter.Float64ObservableGauge("weir.catalog.pending.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest of them; 0 where there is none."))
	errs[9] = err
	m.watch, errs[10] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		m.observe(o, files, age)
		o.ObserveInt64(behind, m.behind.Load())
		return nil
	}, files, age, behind)
	return m, errors.Join(errs[:]...)
}

func (m *metrics) close() {
	if m.watch != nil {
		_ = m.watch.Unregister() // it cannot fail for a registration that was made
	}
}

func (m *metrics) observe(o metric.Observer, files metric.Int64Observable, age metric.Float64Observable) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tables() {
		b := m.pending[t.Name]
		var seconds float64
		if b.Files > 0 {
			seconds = time.Since(b.Oldest).Seconds()
		}
		o.ObserveInt64(files, int64(b.Files), metric.WithAttributes(tableAttr(t.Name)))
		o.ObserveFloat64(age, seconds, metric.WithAttributes(tableAttr(t.Name)))
	}
}

func tableAttr(name string) attribute.KeyValue { return attribute.String("weir.table", name) }

// fact is the follower's observer.
func (m *metrics) fact(f follow.Fact) {
	ctx := context.Background()
	switch f := f.(type) {
	case follow.Fault:
		m.fault(f)
	case follow.Pending:
		m.mu.Lock()
		m.pending = f
		m.mu.Unlock()
	case follow.Visible:
		m.delay.Record(ctx, f.Delay.Seconds(), metric.WithAttributes(tableAttr(f.Table)))
	case follow.Registered:
		m.count(f.Table, "created", f.Created)
		m.count(f.Table, "stood", f.Stood)
		m.log.Info("partitions registered", "table", f.Table, "created", f.Created, "stood", f.Stood)
	case follow.Left:
		m.log.Debug("offset committed", "next", f.Next)
	case follow.SchemaChange:
		m.schemaChange(f)
	case follow.Closing:
		m.closing(f)
	case follow.GapClosed:
		m.passes(f.Topic, f.TopicID, f.Partition)
		m.log.Warn("notifications were missing; the manifests filled the gap", "topic", f.Topic, "partition", f.Partition, "from_seq", f.From, "to_seq", f.To)
	case follow.Cleared:
		m.passes(f.Topic, f.TopicID, f.Partition)
		m.log.Info("the gate was repaired; its flushes pass again", "topic", f.Topic, "topic_id", f.TopicID.String(), "partition", f.Partition)
	case follow.Created:
		m.log.Info("created in Glue", "database", f.Database, "table", f.Table)
	case follow.Elsewhere:
		m.passedOver(f)
	case follow.Rewound:
		m.log.Warn("a table was not in Glue; registering its partitions again from the start of the flush topic", "table", f.Table)
	default:
		m.trouble(f)
	}
}

// ledgerFact is the keeper's observer.
func (m *metrics) ledgerFact(f ledger.Fact) {
	ctx := context.Background()
	switch f := f.(type) {
	case ledger.Behind:
		m.behind.Store(int64(f.Flushes))
	case ledger.Written:
		m.rows.Add(ctx, int64(f.Rows))
		m.objects.Add(ctx, int64(f.Objects))
		m.log.Debug("ledger written", "batch", f.Number, "flushes", f.Flushes, "rows", f.Rows, "objects", f.Objects)
	case ledger.Merged:
		m.objects.Add(ctx, int64(f.Into))
		m.log.Info("a day of the ledger was merged", "dt", f.Day.String(), "rows", f.Rows, "objects", f.Objects, "into", f.Into)
	case ledger.Hole:
		m.alarm("ledger_hole")
		m.log.Warn("manifests are gone: the files of their flushes do not stand in weir_files", "topic", f.Owner.Topic,
			"topic_id", f.Owner.TopicID.String(), "partition", f.Owner.Partition, "from_seq", f.From, "to_seq", f.To)
	case ledger.Rival:
		m.log.Warn("another catalog keeps the same ledger: run one for each database", "key", f.Key)
	}
}

// passedOver names each other lake once: its sinks tell of every flush.
func (m *metrics) passedOver(f follow.Elsewhere) {
	m.elsewhere.Add(context.Background(), int64(f.Notifications))
	if _, logged := m.lakes[f.Lake]; logged || len(m.lakes) == lakesLogged {
		return
	}
	m.lakes[f.Lake] = struct{}{}
	m.log.Info("the flush topic also tells of another lake; its flushes are its own catalog's", "lake", f.Lake)
}

// trouble is what needs a person.
func (m *metrics) trouble(f follow.Fact) {
	switch f := f.(type) {
	case follow.Refused:
		m.count(f.Partition.Table, "refused", 1)
		m.alarm("refused")
		m.log.Error("Glue refuses a partition; its files cannot be queried", "table", f.Partition.Table,
			"source", f.Partition.SourceID, "dt", f.Partition.Day.String(), "err", f.Err)
	case follow.Alarm:
		m.alarm("gate")
		command := m.repair + " --partition " + strconv.Itoa(int(f.Partition))
		m.health.Set(gateName(f.Topic, f.TopicID, f.Partition), fmt.Errorf("stopped: %s; see %s", f.Reason, command))
		m.log.Error("partition stopped at the gate: its flushes are not made visible any more", "topic", f.Topic,
			"topic_id", f.TopicID.String(), "partition", f.Partition, "manifest", f.Manifest, "reason", f.Reason, "memory", f.Memory, "command", command)
	case follow.Unlisted:
		m.alarm("columns")
		m.log.Error("new columns are not added to the table; its rows become visible all the same", "err", f.Err)
	case follow.Unjudged:
		m.alarm("memory")
		m.health.Set(gateName("", f.TopicID, -1), fmt.Errorf("stopped: %w; see %s", f.Err, m.repair))
		m.log.Error("a gate cannot be read: no flush of its topic is made visible any more", "topic_id", f.TopicID.String(), "err", f.Err, "command", m.repair)
	case follow.Unreadable:
		m.alarm("unreadable")
		m.log.Error("a record of the flush topic is no notification; passed over", "offset", f.Offset, "err", f.Err)
	case follow.UnknownTable:
		m.alarm("unknown_table")
		m.log.Error("notifications name a table that this version does not keep", "table", f.Table)
	case follow.MissingObject:
		m.alarm("missing_object")
		m.log.Error("a file of a published flush is not there; run weir verify", "manifest", f.Manifest, "key", f.Key)
	case follow.Rival:
		m.alarm("rival")
		m.log.Error("another catalog writes the same gate memory: run one for each database", "key", f.Key)
	}
}

// gateName is how /readyz names a partition's gate; partition -1 is the whole topic's.
func gateName(topic string, id lake.TopicID, partition int32) string {
	if topic == "" {
		topic = id.String()
	}
	if partition < 0 {
		return "gate " + topic
	}
	return "gate " + topic + "/" + strconv.Itoa(int(partition))
}

// closingEvery is how often the log says how far a gap is; /readyz always does.
const closingEvery = 10 * time.Second

func (m *metrics) closing(f follow.Closing) {
	name, p := gateName(f.Topic, f.TopicID, f.Partition), f.Progress
	m.health.Set(name, fmt.Errorf("flushes were not notified and are found by their manifests: from %d on, visible up to %d of %d, manifests read back to %d",
		p.From, p.Passed, p.To, p.Back))
	since, open := m.closingLogged[name]
	if now := time.Now(); !open || now.Sub(since) >= closingEvery {
		m.closingLogged[name] = now
		if open { // most gaps are closed by then
			m.log.Warn("notifications are missing; their manifests fill the gap", "topic", f.Topic, "partition", f.Partition,
				"from_seq", p.From, "to_seq", p.To, "visible_seq", p.Passed, "read_back_to_seq", p.Back)
		}
	}
}

// passes forgets what stood at the gate.
func (m *metrics) passes(topic string, id lake.TopicID, partition int32) {
	name := gateName(topic, id, partition)
	m.health.Forget(name)
	delete(m.closingLogged, name)
}

func (m *metrics) alarm(kind string) {
	m.alarms.Add(context.Background(), 1, metric.WithAttributes(attribute.String("kind", kind)))
}

func (m *metrics) count(table, outcome string, n int) {
	m.partitions.Add(context.Background(), int64(n), metric.WithAttributes(tableAttr(table), attribute.String("outcome", outcome)))
}

func (m *metrics) fault(f follow.Fault) {
	m.health.Set(string(f.Dependency), f.Err)
	if f.Err == nil {
		m.log.Info("answers again", "dependency", string(f.Dependency))
		return
	}
	m.log.Warn("trying again", "dependency", string(f.Dependency), "wait", f.Wait.String(), "err", f.Err)
}

func (m *metrics) schemaChange(f follow.SchemaChange) {
	m.schema.Add(context.Background(), 1, metric.WithAttributes(tableAttr(f.Table), attribute.String("kind", string(f.Change.Kind))))
	level, text := slog.LevelInfo, "column changed"
	if f.Change.Kind == "conflict" {
		level, text = slog.LevelError, "column has a type that cannot read what is written; left alone"
	}
	m.log.Log(context.Background(), level, text, "table", f.Table, "kind", string(f.Change.Kind),
		"column", f.Change.Column, "from", f.Change.From, "to", f.Change.To)
}

// glueAttempt is Glue's observer: every request.
func (m *metrics) glueAttempt(a glue.Attempt) {
	attrs := []attribute.KeyValue{attribute.String("op", a.Op), attribute.String("outcome", a.Outcome)}
	set := metric.WithAttributes(attrs...)
	m.operations.Add(context.Background(), 1, set)
	m.duration.Record(context.Background(), a.Duration.Seconds(), set)
	switch a.Outcome {
	case "canceled":
	case "throttled", "unavailable", "denied", "error":
		m.health.Set(string(follow.Glue), fmt.Errorf("%s: %w", a.Op, a.Err))
	default:
		m.health.Set(string(follow.Glue), nil)
	}
}

// s3Attempt is the store's observer: every request.
func (m *metrics) s3Attempt(a s3.Attempt) {
	op := attribute.String("op", a.Op)
	set := metric.WithAttributes(op, attribute.String("outcome", a.Outcome))
	m.s3Duration.Record(context.Background(), a.Duration.Seconds(), set)
	m.s3Attempts.Add(context.Background(), 1, set)
	m.s3Bytes.Add(context.Background(), a.Sent, metric.WithAttributes(op, attribute.String("direction", "sent")))
	m.s3Bytes.Add(context.Background(), a.Received, metric.WithAttributes(op, attribute.String("direction", "received")))
	switch a.Outcome {
	case "canceled":
	case "throttled", "server_error", "timeout", "denied", "error":
		m.health.Set(string(follow.Objects), fmt.Errorf("%s: %w", a.Op, a.Err))
	default:
		m.health.Set(string(follow.Objects), nil)
	}
}

// brokers is Kafka's: the client itself retries silently.
func (m *metrics) brokers(err error) { m.health.Set(string(follow.Kafka), err) }
