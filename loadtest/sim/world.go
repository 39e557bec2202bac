// Package sim runs the assembled services in one process under virtual time, on a Kafka, an S3 and a Glue in memory and
// a network that is simulated, makes trouble by a schedule that a seed gives, and has an auditor judge what is left. The
// same seed is the same load and the same faults at the same virtual times; which goroutine comes first is not given,
// so a seed repeats a run nearly, and exact replay belongs to pkg/flush. It runs inside a testing/synctest bubble and
// leaves nothing behind. It tests the services from outside: the seams are how they dial and listen. Owned by whoever
// owns the exactly-once promise.
package sim

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"weir/loadtest/sim/bucket"
	"weir/pkg/embedded"
	"weir/pkg/lake"
	"weir/pkg/settings"
)

// Names that all processes of a run share.
const (
	topicEvents   = "weir.events"
	topicFlushes  = "weir.flushes"
	topicLetters  = "weir.deadletters"
	topicRejected = "weir.rejected"
	group         = "weir-sink"
	database      = "weir"
	bucketName    = "weir"
	lakePrefix    = "lake"
	clusterID     = "sim"
)

// Options of a run.
type Options struct {
	Seed    uint64
	Dir     string        // for the gateway's file of sources
	Load    time.Duration // how long events come and faults happen
	Quiet   bool          // no faults
	Only    string        // none but those whose names hold it
	LogInfo bool          // what services log below a warning goes into the trace

	harm func(*World) // done before the audit, which must notice
}

// Report is what a run came to.
type Report struct {
	Violations []string       // of the promise; none is a good run
	Faults     map[string]int // how often each really happened
	Schedule   []string       // what was to happen
	Trace      string
	Stats      Stats
}

// Stats say how much a run did.
type Stats struct {
	Events, Acknowledged, DeadLetters, Files, Flushes int
	Laned                                             int // events of sources that are, or were, hot
	Virtual                                           time.Duration
}

func (s *Stats) add(o Stats) {
	s.Events += o.Events
	s.Acknowledged += o.Acknowledged
	s.DeadLetters += o.DeadLetters
	s.Files += o.Files
	s.Flushes += o.Flushes
	s.Laned += o.Laned
	s.Virtual += o.Virtual
}

// World is everything of one run.
type World struct {
	Options
	seed   uint64
	shape  shape
	trace  *trace
	net    kfake.VirtualNetwork
	kafka  *kfake.Cluster
	bucket *bucket.Bucket
	glue   *embedded.Glue
	ledger *ledger
	watch  *watch
	reaper *reaper
	disk   string      // directory of Kafka, "" = it has none and nothing outlasts it
	down   atomic.Bool // Kafka is about to be another one, and must not be asked
	era    era
	stats  Stats // of what was judged

	held sync.WaitGroup // requests that are held back and will arrive
	skew atomic.Int64   // nanoseconds by which the clocks of direct producers are wrong

	mu         sync.Mutex
	traps      []*trap
	cleanups   []func()
	counts     map[string]int
	violations []string
	found      int
	processes  []*process
	ended      []*process
	topics     map[string][16]byte
	closing    bool
	twins      map[int]bool // slots of static sinks of which there were two at once
	serial     int
}

// shape is what differs from run to run before anything happens.
type shape struct {
	Partitions int32
	Brokers    int
	Dialect    bucket.Dialect
	Session    time.Duration
	FileAge    time.Duration
	Sinks      int
	Static     bool // sinks are static members
	Catalogs   int
	RawCodec   string
	PartSize   int // bytes; in most runs so few that files are uploads of their own
	Protocol   string
	Eager      bool           // members give all partitions up whenever the group changes
	FanoutRate settings.Bytes // of the gateways; in half of the runs so little that sources are hot
}

func newShape(r *rand.Rand) shape {
	s := shape{
		Partitions: 2 + r.Int32N(3),
		Brokers:    3,
		Dialect:    bucket.Dialect(r.IntN(bucket.Dialects)),
		Session:    time.Duration(6+r.IntN(10)) * time.Second,
		FileAge:    time.Duration(1+r.IntN(6)) * time.Second,
		Sinks:      1 + r.IntN(3),
		Static:     r.IntN(3) == 0,
		Catalogs:   1 + r.IntN(5)/4,
		RawCodec:   []string{"zstd", "gzip"}[r.IntN(2)],
		PartSize:   []int{8 << 20, 4 << 10, 1 << 10}[r.IntN(3)],
		Protocol:   []string{"classic", "classic", "consumer"}[r.IntN(3)],
	}
	s.FanoutRate = []settings.Bytes{8 * settings.MiB, 512}[r.IntN(2)]
	s.Eager = s.Protocol == "classic" && r.IntN(4) == 0
	if s.Static { // of KIP-848's static members kfake keeps those that went, for ever; fleet.TestMembership has them on Kafka
		s.Protocol = "classic"
	}
	return s
}

// firstPort of the brokers; gateways listen above gatewayPort.
const (
	firstPort   = 9092
	gatewayPort = 8080
)

func newWorld(o Options, steps []step) (*World, error) {
	w := &World{
		Options: o, seed: o.Seed, counts: map[string]int{}, topics: map[string][16]byte{}, twins: map[int]bool{},
		shape: newShape(rand.New(rand.NewPCG(o.Seed, 1))),
		trace: &trace{began: time.Now()},
	}
	w.ledger, w.watch, w.reaper = newLedger(), newWatch(w), newReaper(w)
	w.bucket = bucket.New(bucketName, w.shape.Dialect, w.shape.PartSize, w.watch.changed)
	var err error
	if w.glue, err = embedded.NewGlue(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(steps, func(s step) bool { return s.fault.Name == olderCopy }) {
		w.disk = filepath.Join(o.Dir, "kafka")
	}
	if err := w.startKafka(); err != nil {
		return nil, err
	}
	return w, nil
}

// startKafka starts the cluster, with what stands in its directory where it has one.
func (w *World) startKafka() (err error) {
	ports := make([]int, w.shape.Brokers)
	for i := range ports {
		ports[i] = firstPort + i
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(w.shape.Brokers), kfake.Ports(ports...), kfake.ListenFn(w.net.Listen),
		kfake.ClusterID(clusterID), kfake.GroupMinSessionTimeout(time.Second), kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms": strconv.FormatInt(w.shape.Session.Milliseconds(), 10), "group.consumer.heartbeat.interval.ms": "1000",
		}),
	}
	if w.disk != "" {
		opts = append(opts, kfake.DataDir(w.disk))
	}
	if w.kafka, err = kfake.NewCluster(opts...); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	w.reaper.listen(w.kafka)
	return nil
}

func (w *World) brokers() []string {
	list := make([]string, w.shape.Brokers)
	for i := range list {
		list[i] = fmt.Sprintf("127.0.0.1:%d", firstPort+i)
	}
	return list
}

func (w *World) location() lake.Location {
	return lake.Location{Bucket: bucketName, Prefix: lakePrefix}
}

// topicID remembers the ids of topics: it is asked for each request.
func (w *World) topicID(name string) [16]byte {
	w.mu.Lock()
	id, ok := w.topics[name]
	w.mu.Unlock()
	if ok {
		return id
	}
	info := w.kafka.TopicInfo(name)
	if info == nil {
		return [16]byte{}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.topics[name] = info.TopicID
	return info.TopicID
}

// violation notes that the promise was broken.
func (w *World) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.found++; w.found > violationsShown {
		return // the first say what is wrong
	}
	text := fmt.Sprintf(format, args...)
	w.trace.add("JUDGE", "%s", text)
	w.violations = append(w.violations, text)
}

// violationsShown bounds a report.
const violationsShown = 12

func (w *World) level() slog.Level {
	if w.LogInfo {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func (w *World) report(schedule []string) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	if more := w.found - len(w.violations); more > 0 {
		w.violations = append(w.violations, fmt.Sprintf("and %d more", more))
	}
	r := Report{Violations: w.violations, Faults: maps.Clone(w.counts), Schedule: schedule, Stats: w.stats}
	r.Stats.Virtual = time.Since(w.trace.began)
	return r
}
