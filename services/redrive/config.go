package redrive

import (
	"regexp"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/settings"
)

// Look says which records to look at, and is every setting of List and Show.
type Look struct {
	Kafka kafka.Config `embed:""`

	RedrivenTopic string `name:"redriven-topic" default:"weir.redriven" help:"Topic that remembers for ever what came back: the ledger of redrives."`
	MaxAttempts   int    `name:"max-attempts" default:"3" help:"A record that was redriven so often and refused again is quarantined: it stays where it is."`

	Since     Moment   `name:"since" help:"Only what was put aside since then: a time such as 2026-11-23T10:00:00Z, a day, or an age such as 90m or 3d."`
	Until     Moment   `name:"until" help:"Only what was put aside before then."`
	Reason    []string `name:"reason" help:"Only what has one of these reasons."`
	Source    []string `name:"source" help:"Only what is of one of these sources."`
	Partition []int32  `name:"partition" help:"Only what stands in these partitions of the topic."`
	Offset    []int64  `name:"offset" help:"Only what stands at these offsets of the one partition that is named."`

	Aside    Aside             `kong:"-"` // the topic that is looked at
	Progress func(text string) `kong:"-"` // hears now and then what is being done; nil = nobody
}

// Aside is a topic of records that were put aside.
type Aside struct {
	Kind  Kind
	Topic string
}

// Config is every setting of a redrive.
type Config struct {
	Look `embed:""`

	Topic            string `name:"topic" default:"weir.events" help:"Topic of the events, to which records come back."`
	Max              int    `name:"max" default:"0" help:"Redrive at most so many; 0 is no limit."`
	Rate             int    `name:"rate" default:"1000" help:"Redrive at most so many a second; 0 is no limit."`
	DryRun           bool   `name:"dry-run" help:"Say what would come back, and change nothing."`
	AsSource         string `name:"as-source" help:"Let what comes back be of this source, by a header. Empty: its own."`
	TopicReplication int16  `name:"topic-replication" default:"3" help:"Replicas of the redriven topic where it is missing and is created."`

	Value []byte `kong:"-"` // stands for the value of the one record that is named; nil = its own
	Admit Admit  `kong:"-"` // the gateway's rules; needed for rejected events
}

// maxAttempts bounds what may be asked for.
const maxAttempts = 1000

// Validate lists everything that is wrong.
func (c Look) Validate() []error {
	return append(c.validate(), c.topics(named{"redriven-topic", c.RedrivenTopic})...)
}

func (c Look) validate() settings.Faults {
	f := settings.Faults(c.Kafka.Validate())
	f.Check(c.MaxAttempts >= 1 && c.MaxAttempts <= maxAttempts, "max-attempts", "%d is not between 1 and %d", c.MaxAttempts, maxAttempts)
	f.Check(c.Since.before(c.Until), "until", "%s is not after since, %s", c.Until, c.Since)
	for _, p := range c.Partition {
		f.Check(p >= 0, "partition", "%d is no partition", p)
	}
	for _, o := range c.Offset {
		f.Check(o >= 0, "offset", "%d is no offset", o)
	}
	f.Check(len(c.Offset) == 0 || len(c.Partition) == 1, "offset", "needs one partition to go with: name it with partition")
	return f
}

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	f := c.validate()
	f.Check(c.Max >= 0, "max", "%d is negative", c.Max)
	f.Check(c.Rate >= 0, "rate", "%d is negative", c.Rate)
	f.Check(c.AsSource == "" || lake.ValidSourceID([]byte(c.AsSource)), "as-source", "%q is no source id: want up to 128 of letters, digits, dot, underscore, hyphen", c.AsSource)
	f.Check(c.TopicReplication >= 1 && c.TopicReplication <= 15, "topic-replication", "%d is not between 1 and 15", c.TopicReplication)
	f.Check(c.Value == nil || len(c.Offset) == 1, "value", "is the value of one record: name it with partition and offset")
	return append(f, c.topics(named{"redriven-topic", c.RedrivenTopic}, named{"topic", c.Topic})...)
}

// named is a setting that names a topic.
type named struct{ setting, name string }

// topics reports names that Kafka does not take, and those that are one.
func (c Look) topics(others ...named) (f settings.Faults) {
	legal := regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	seen := map[string]string{}
	for _, t := range append([]named{{c.Aside.Kind.setting(), c.Aside.Topic}}, others...) {
		f.Check(legal.MatchString(t.name) && t.name != "." && t.name != "..", t.setting, "%q is no name for a topic", t.name)
		f.Check(seen[t.name] == "", t.setting, "%q is %s already", t.name, seen[t.name])
		seen[t.name] = t.setting
	}
	return f
}
