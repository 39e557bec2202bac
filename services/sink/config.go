package sink

import (
	"regexp"
	"slices"
	"time"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/sink/internal/group"
)

// Config is every setting of the sink, under the names that flags, environment and
// file share.
type Config struct {
	Kafka kafka.Config `embed:""`

	Group           string `name:"group" default:"weir-sink" help:"Consumer group; with it a lake's manifests are found again."`
	Topic           string `name:"topic" default:"weir.events" help:"Topic of the events."`
	FlushTopic      string `name:"flush-topic" default:"weir.flushes" help:"Topic that tells the catalog of each flush."`
	DeadLetterTopic string `name:"dead-letter-topic" default:"weir.deadletters" help:"Topic of records that are no events."`
	Lake            string `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	PodName         string `name:"pod-name" env:"POD_NAME" help:"Makes this a static member of the group under that name: a restart within session-timeout moves no partition. Empty: a dynamic member."`

	GroupProtocol string `name:"group-protocol" default:"classic" help:"How the group shares partitions out: classic, or consumer (KIP-848, brokers of 4.3 and later)."`
	Leave         string `name:"leave" default:"auto" help:"Whether a static member that ends leaves the group: always, never, or auto, when its StatefulSet has been scaled below its ordinal. One that does not keeps its partitions for session-timeout."`

	FileSize settings.Bytes  `name:"file-size" default:"256MiB" help:"A file is cut when it has about this size."`
	FileAge  time.Duration   `name:"file-age" default:"60s" help:"A file is cut this long after its first record was read, whatever its size."`
	Memory   settings.Memory `name:"memory" default:"60%" help:"What fetched records and open files may hold together, as a size or a share of the container's limit."`
	RawCodec string          `name:"raw-codec" default:"zstd" help:"Codec of the raw copy: zstd or gzip."`

	Promote promote.List `name:"promote" default:"default" help:"Paths of context, traits and properties that have typed columns of their own, as properties.revenue: double, separated by commas; types are string, bigint, double, boolean, timestamp and date. The word default is the list of Segment's specified fields, none is no path."`

	SessionTimeout   time.Duration   `name:"session-timeout" default:"60s" help:"How long the group waits for a silent member, and a commit for its answer."`
	TopicPartitions  int32           `name:"topic-partitions" default:"12" help:"Partitions of a topic that is missing and is created."`
	TopicReplication int16           `name:"topic-replication" default:"3" help:"Replicas of a topic that is created."`
	TopicRetention   kafka.Retention `name:"topic-retention" default:"7d" help:"How long a topic that is created keeps its records: days such as 7d, a duration, or forever. The flush topic keeps them for ever."`

	PartSize int `kong:"-"` // bytes of a part of an upload; 0 = 8 MiB. A file that has fewer is no upload of its own

	S3 s3.Config `kong:"-"` // how the lake is reached, where not as the environment says; the lake itself is Lake
}

// DefaultConfig is what the defaults in the tags of Config give.
func DefaultConfig() Config {
	return Config{
		Kafka:            kafka.Config{Brokers: []string{"127.0.0.1:9092"}},
		Group:            "weir-sink",
		Topic:            "weir.events",
		FlushTopic:       "weir.flushes",
		DeadLetterTopic:  "weir.deadletters",
		Lake:             "s3://weir/lake",
		GroupProtocol:    group.Classic,
		Leave:            group.LeaveAuto,
		FileSize:         256 * settings.MiB,
		FileAge:          time.Minute,
		Memory:           settings.Memory{Percent: 60},
		RawCodec:         "zstd",
		Promote:          promote.DefaultList(),
		SessionTimeout:   time.Minute,
		TopicPartitions:  12,
		TopicReplication: 3,
		TopicRetention:   kafka.Retention(7 * 24 * time.Hour),
	}
}

// minMemory is the least that a few partitions can work with.
const minMemory = 32 * settings.MiB

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	f := settings.Faults(c.Kafka.Validate())
	c.checkNames(&f)
	f.Check(slices.Contains(group.Protocols, c.GroupProtocol), "group-protocol", "%q does not exist: want one of %v", c.GroupProtocol, group.Protocols)
	f.Check(slices.Contains(group.Leaves, c.Leave), "leave", "%q does not exist: want one of %v", c.Leave, group.Leaves)
	f.Check(c.FileSize >= settings.MiB && c.FileSize <= 4*settings.GiB, "file-size", "%s is not between 1MiB and 4GiB", c.FileSize)
	f.Check(c.FileAge >= 100*time.Millisecond && c.FileAge <= 24*time.Hour, "file-age", "%s is not between 100ms and 24h", c.FileAge)
	f.Check(c.memory() >= minMemory, "memory", "%s is %s here: at least %s is needed", c.Memory, c.memory(), minMemory)
	f.Check(c.RawCodec == "zstd" || c.RawCodec == "gzip", "raw-codec", "%q does not exist: want zstd or gzip", c.RawCodec)
	f.Check(c.SessionTimeout >= time.Second && c.SessionTimeout <= 14*time.Minute, "session-timeout", "%s is not between 1s and 14m", c.SessionTimeout)
	f.Check(c.TopicPartitions >= 1 && c.TopicPartitions <= 10_000, "topic-partitions", "%d is not between 1 and 10000", c.TopicPartitions)
	f.Check(c.TopicReplication >= 1 && c.TopicReplication <= 15, "topic-replication", "%d is not between 1 and 15", c.TopicReplication)
	f.Check(c.TopicRetention == kafka.Forever || time.Duration(c.TopicRetention) >= 10*c.FileAge, "topic-retention",
		"%s is less than ten times file-age: records could be gone before they are flushed", c.TopicRetention)
	return f
}

func (c Config) checkNames(f *settings.Faults) {
	legal := regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	topics := map[string]string{}
	for _, t := range []struct{ setting, name string }{
		{"topic", c.Topic}, {"flush-topic", c.FlushTopic}, {"dead-letter-topic", c.DeadLetterTopic},
	} {
		f.Check(legal.MatchString(t.name) && t.name != "." && t.name != "..", t.setting, "%q is no topic name: want up to 249 of letters, digits, dot, underscore, hyphen", t.name)
		f.Check(topics[t.name] == "", t.setting, "%q is %s already", t.name, topics[t.name])
		topics[t.name] = t.setting
	}
	f.Check(legal.MatchString(c.Group), "group", "%q is no group name that a key can hold: want up to 249 of letters, digits, dot, underscore, hyphen", c.Group)
	_, err := lake.ParseLocation(c.Lake)
	f.AddErr("lake", err)
}

func (c Config) memory() settings.Bytes { return c.Memory.Of(settings.MemoryLimit()) }

func (c Config) layout() kafka.Layout {
	return kafka.Layout{Partitions: c.TopicPartitions, Replication: c.TopicReplication, Retention: c.TopicRetention}
}
