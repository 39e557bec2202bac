package sink

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
	"weir/pkg/telemetry"
	"weir/services/sink/internal/group"
	"weir/services/sink/internal/worker"
)

// metrics turns the facts of group and worker into instruments, log lines and health.
type metrics struct {
	log    *slog.Logger
	limit  *telemetry.Limiter
	health *telemetry.Health
	cfg    Config
	topic  metric.MeasurementOption

	flushes       metric.Int64Counter
	flushDuration metric.Float64Histogram
	fileSize      metric.Int64Histogram
	fileRecords   metric.Int64Histogram
	files         metric.Int64Counter
	commits       metric.Int64Counter
	commitTime    metric.Float64Histogram
	rebalances    metric.Int64Counter
	rebalanceTime metric.Float64Histogram
	moves         metric.Int64Counter
	suppressed    metric.Int64Counter
	abandoned     metric.Int64Counter
	repairs       metric.Int64Counter
	deadLetters   metric.Int64Counter
	rejoins       metric.Int64Counter
	retries       metric.Int64Counter
	s3Time        metric.Float64Histogram
	s3Attempts    metric.Int64Counter
	s3Bytes       metric.Int64Counter

	meter        metric.Meter
	registration metric.Registration

	mu    sync.Mutex
	names map[string]bool // dependencies of stopped partitions, as health knows them
}

func newMetrics(tel *telemetry.Telemetry, cfg Config) (*metrics, error) {
	m := &metrics{
		log: tel.Log, limit: telemetry.NewLimiter(tel.Log), health: tel.Health, meter: tel.Meter, cfg: cfg,
		topic: metric.WithAttributes(topicAttr(cfg.Topic)),
		names: make(map[string]bool),
	}
	i := instruments{meter: tel.Meter}
	m.flushes = i.counter("weir.sink.flushes", "{flush}", "Flushes by trigger and outcome.")
	m.flushDuration = i.seconds("weir.sink.flush.duration", "How long a flush and its phases took.", telemetry.FlushSeconds())
	m.fileSize = i.sizes("weir.sink.file.size", "By", "Size of the published files.", telemetry.FileBytes())
	m.fileRecords = i.sizes("weir.sink.file.records", "{record}", "Rows of the published files.", telemetry.Counts())
	m.files = i.counter("weir.sink.files", "{file}", "Files by outcome.")
	m.commits = i.counter("weir.sink.commits", "{commit}", "Offset commits by outcome.")
	m.commitTime = i.seconds("weir.sink.commit.duration", "How long the coordinator took to answer a commit.", telemetry.RequestSeconds())
	m.rebalances = i.counter("weir.sink.rebalances", "{rebalance}", "Rebalances that this member saw.")
	m.rebalanceTime = i.seconds("weir.sink.rebalance.duration", "How long giving up partitions took.", telemetry.FlushSeconds())
	m.moves = i.counter("weir.sink.partition.moves", "{partition}", "Partitions that came and went.")
	m.suppressed = i.counter("weir.sink.duplicates.suppressed", "{record}", "Records read again that were flushed ahead of low.")
	m.abandoned = i.counter("weir.sink.rows.abandoned", "{row}", "Rows dropped unflushed when an ownership ended; the next owner reads them again.")
	m.repairs = i.counter("weir.sink.repairs", "{file}", "Lost uploads, by whether their rows could be written again.")
	m.deadLetters = i.counter("weir.dlq.records", "{record}", "Dead letters by reason.")
	m.rejoins = i.counter("weir.sink.rejoins", "{rejoin}", "Times the member was replaced by a new one.")
	m.retries = i.counter("weir.sink.retries", "{attempt}", "Attempts that failed and were repeated, by dependency.")
	m.s3Time = i.seconds("weir.s3.attempt.duration", "One request to S3.", telemetry.AttemptSeconds())
	m.s3Attempts = i.counter("weir.s3.attempts", "{attempt}", "Requests to S3, every attempt counted.")
	m.s3Bytes = i.counter("weir.s3.bytes", "By", "Bytes of request and answer bodies.")
	m.health.Set(worker.DependencyGroup, errNoGroup)
	return m, i.err
}

func (m *metrics) close() {
	if m.registration != nil {
		_ = m.registration.Unregister()
	}
}

func topicAttr(topic string) attribute.KeyValue {
	return attribute.String("messaging.destination.name", topic)
}

func label(pairs ...string) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		attrs = append(attrs, attribute.String(pairs[i], pairs[i+1]))
	}
	return metric.WithAttributes(attrs...)
}

// observe takes every fact of group and worker.
func (m *metrics) observe(fact any) {
	ctx := context.Background()
	switch f := fact.(type) {
	case worker.Flushed:
		m.flushed(ctx, f)
	case worker.Committed:
		m.commits.Add(ctx, 1, m.topic, label("outcome", outcomeOf(f.Kind)))
		m.commitTime.Record(ctx, f.Took.Seconds(), m.topic)
		if f.Err != nil {
			m.log.Warn("commit refused", "partition", f.Partition, "phase", f.Phase.String(), "outcome", outcomeOf(f.Kind), "err", f.Err)
		}
	case worker.Retried:
		m.retries.Add(ctx, 1, label("dependency", f.Dependency))
		m.health.Set(f.Dependency, fmt.Errorf("%s: %w", f.What, f.Err))
		m.limit.Warn(ctx, "waiting for "+f.Dependency, "waiting for a dependency", "dependency", f.Dependency, "what", f.What, "attempt", f.Attempt, "err", f.Err)
	case worker.Recovered:
		m.health.Set(f.Dependency, nil)
	case worker.Blocked:
		m.blocked(f)
	case worker.Started:
		m.log.Info("partition started", "partition", f.Partition, "low", f.State.Low, "seq", f.State.Seq, "rolled_over", f.RolledOver)
		m.forgetStop(f.Partition)
	case worker.Repaired:
		m.repaired(ctx, f)
	case worker.Abandoned:
		m.abandoned.Add(ctx, f.Rows, m.topic)
	case stored.Restored:
		m.log.Warn("the registry of columns was missing or an older version, and is put back; a sink that was killed while it changed it leaves the same",
			"key", f.Key, "version", f.Version)
	case worker.Skipped:
		m.suppressed.Add(ctx, f.Records, m.topic, label("layer", "manifest"))
	default:
		m.observeGroup(ctx, fact)
	}
}

func (m *metrics) observeGroup(ctx context.Context, fact any) {
	switch f := fact.(type) {
	case group.Joined:
		m.log.Info("joining the group", "group", m.cfg.Group, "topic", f.Topic.Name, "topic_id", f.Topic.ID.String(), "partitions", f.Topic.Partitions, "cluster", f.Cluster)
		m.health.SetState(telemetry.Ready)
	case group.Rebalanced:
		m.rebalances.Add(ctx, 1, m.topic, label("kind", f.Kind))
		m.moves.Add(ctx, int64(len(f.Partitions)), m.topic, label("kind", f.Kind))
		if f.Kind != "assigned" {
			m.rebalanceTime.Record(ctx, f.Took.Seconds(), m.topic, label("kind", f.Kind))
			for _, p := range f.Partitions {
				m.forgetStop(p)
			}
		}
		if len(f.Partitions) > 0 {
			m.log.Info("partitions "+f.Kind, "partitions", f.Partitions, "took", f.Took)
		}
	case group.Stopped:
		m.stopped(f)
	case group.Stuck:
		m.stuck(f)
	case group.Rejoining:
		m.rejoins.Add(ctx, 1, m.topic)
		m.log.Warn("joining anew", "err", f.Err)
	}
}

func (m *metrics) flushed(ctx context.Context, f worker.Flushed) {
	trigger := label("trigger", string(f.Trigger), "outcome", f.Outcome)
	m.flushes.Add(ctx, 1, m.topic, trigger)
	for phase, took := range map[string]time.Duration{
		"encode": f.Phases.Encode, "upload": f.Phases.Upload, "publish": f.Phases.Publish, "commit": f.Phases.Commit, "total": f.Phases.Total,
	} {
		m.flushDuration.Record(ctx, took.Seconds(), m.topic, label("phase", phase, "outcome", f.Outcome))
	}
	if f.Outcome != "published" {
		m.files.Add(ctx, int64(len(f.Files)), m.topic, label("outcome", "superseded"))
		m.log.Warn("flush not published", "partition", f.Partition, "trigger", string(f.Trigger), "outcome", f.Outcome)
		return
	}
	var rows, bytes int64
	for _, file := range f.Files {
		table := label("weir.table", file.Table)
		m.fileSize.Record(ctx, file.Bytes, m.topic, table)
		m.fileRecords.Record(ctx, file.Rows, m.topic, table)
		rows, bytes = rows+file.Rows, bytes+file.Bytes
	}
	m.files.Add(ctx, int64(len(f.Files)), m.topic, label("outcome", "committed"))
	letters := 0
	for reason, n := range f.DeadLetters {
		m.deadLetters.Add(ctx, int64(n), m.topic, label("reason", string(reason), "stage", "sink"))
		letters += n
	}
	m.log.Info("flushed", "partition", f.Partition, "seq", f.Seq, "low", f.Low, "trigger", string(f.Trigger),
		"files", len(f.Files), "rows", rows, "bytes", bytes, "dead_letters", letters, "took", f.Phases.Total)
}

func (m *metrics) repaired(ctx context.Context, f worker.Repaired) {
	outcome := "written"
	switch f.Kind {
	case flush.RowsGone:
		outcome = "gone"
	case flush.RowsDiffer:
		outcome = "differ"
	case flush.OwnershipOver:
		outcome = "over"
	}
	m.repairs.Add(ctx, 1, m.topic, label("outcome", outcome))
	if f.Kind == flush.Visible {
		m.log.Warn("a lost upload was written again", "partition", f.Partition, "key", f.Key)
		return
	}
	m.log.Error("a lost upload could not be written again", "partition", f.Partition, "key", f.Key, "outcome", outcome, "err", f.Err)
}

// stopped says it once in the log, and in /readyz until the partition goes on or goes
// to another member.
func (m *metrics) stopped(f group.Stopped) {
	m.setStop(f.Partition, f.Err)
	if !f.Again {
		m.log.Error("partition stopped", "partition", f.Partition, "err", f.Err)
	}
}

// blocked says what a person has to change: in /readyz until the partition goes on, in the
// log each time that it was tried again, which is rare.
func (m *metrics) blocked(f worker.Blocked) {
	if f.Err == nil {
		m.log.Info("partition goes on", "partition", f.Partition)
		m.forgetStop(f.Partition)
		return
	}
	m.setStop(f.Partition, f.Err)
	m.log.Error("partition waits: nothing is lost, and nothing of it is flushed until this is changed", "partition", f.Partition, "err", f.Err)
}

func (m *metrics) stuck(f group.Stuck) {
	if f.Err == nil {
		m.log.Info("partition makes progress again", "partition", f.Partition)
		m.forgetStop(f.Partition)
		return
	}
	m.setStop(f.Partition, f.Err)
	m.log.Error("partition is stuck", "partition", f.Partition, "err", f.Err)
}

func (m *metrics) setStop(p int32, err error) {
	name := m.partitionName(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[name] = true
	m.health.Set(name, err)
}

func (m *metrics) forgetStop(p int32) {
	name := m.partitionName(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] {
		delete(m.names, name)
		m.health.Forget(name)
	}
}

func (m *metrics) partitionName(p int32) string {
	return fmt.Sprintf("partition %s/%d", m.cfg.Topic, p)
}

// kafkaAnswer hears of brokers that answer and of connections that could not be made.
func (m *metrics) kafkaAnswer(err error) {
	if err != nil {
		m.health.Set(worker.DependencyKafka, err)
		m.limit.Warn(context.Background(), "connect", "a Kafka broker cannot be reached", "err", err)
		return
	}
	m.health.Set(worker.DependencyKafka, nil)
}

// s3Attempt hears of every request to S3. One that was answered as asked means that
// the store is there, whatever the answer.
func (m *metrics) s3Attempt(a s3.Attempt) {
	ctx := context.Background()
	by := label("op", a.Op, "outcome", a.Outcome)
	m.s3Time.Record(ctx, a.Duration.Seconds(), by)
	m.s3Attempts.Add(ctx, 1, by)
	m.s3Bytes.Add(ctx, a.Sent, label("op", a.Op, "direction", "sent"))
	m.s3Bytes.Add(ctx, a.Received, label("op", a.Op, "direction", "received"))
	switch a.Outcome {
	case "ok", "not_found", "precondition", "conflict":
		m.health.Set(worker.DependencyS3, nil)
	case "canceled":
	default:
		m.health.Set(worker.DependencyS3, fmt.Errorf("%s: %w", a.Op, a.Err))
		m.limit.Warn(ctx, "s3", "S3 answers with an error", "op", a.Op, "outcome", a.Outcome, "status", a.Status, "err", a.Err)
	}
}

// kept tells of columns that stay of the type that files have them in.
func (m *metrics) kept(all []promote.Kept) {
	for _, k := range all {
		m.log.Warn("a promoted column keeps its type: values of another stand beside it",
			"column", k.Column.Name, "type", k.Column.Type, "asked_for", k.Wanted.String())
	}
}

func (m *metrics) smallDeadLetters(events, letters kafka.Topic) {
	m.log.Warn("the dead-letter topic takes smaller records than the events topic: a large record that is no event would hold its partition up",
		"topic", letters.Name, "max.message.bytes", letters.MaxMessageBytes, "wanted", events.MaxMessageBytes+kafka.Margin)
}

func outcomeOf(k flush.InputKind) string {
	switch k {
	case flush.CommitApplied:
		return "ok"
	case flush.CommitNotApplied:
		return "rebalancing"
	case flush.CommitUncertain:
		return "uncertain"
	case flush.CommitFenced:
		return "illegal_generation"
	case flush.CommitOver:
		return "fenced"
	}
	return "unanswered"
}

// instruments collects the first error of making them.
type instruments struct {
	meter metric.Meter
	err   error
}

func (i *instruments) note(err error) {
	if i.err == nil {
		i.err = err
	}
}

func (i *instruments) counter(name, unit, about string) metric.Int64Counter {
	c, err := i.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
	i.note(err)
	return c
}

func (i *instruments) seconds(name, about string, bounds metric.HistogramOption) metric.Float64Histogram {
	h, err := i.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), bounds)
	i.note(err)
	return h
}

func (i *instruments) sizes(name, unit, about string, bounds metric.HistogramOption) metric.Int64Histogram {
	h, err := i.meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(about), bounds)
	i.note(err)
	return h
}

func partitionAttr(p int32) attribute.KeyValue {
	return attribute.String("messaging.destination.partition.id", strconv.Itoa(int(p)))
}
