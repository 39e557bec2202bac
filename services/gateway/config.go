package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/pkg/kafka"
	"weir/pkg/settings"
	"weir/services/gateway/internal/certs"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/source"
)

// Config is every setting of the gateway, under the names that flags, environment
// and file share.
type Config struct {
	kafka.Config `embed:""`

	Listen        string          `name:"listen" default:"127.0.0.1:8080" help:"Address of the HTTP API, Connect and gRPC; port 0 picks a free one."`
	TLSCert       string          `name:"tls-cert" help:"File of the listener's certificate, in PEM; read again when it changes. Empty: no TLS."`
	TLSKey        string          `name:"tls-key" help:"File of the certificate's key, in PEM."`
	TLSClientCA   string          `name:"tls-client-ca" help:"File of authorities, in PEM: every client must have a certificate of one of them. Empty: none is asked for."`
	Sources       string          `name:"sources" default:"sources.yaml" help:"File of the sources and their write keys; read again when it changes."`
	SourcesTopic  string          `name:"sources-topic" help:"Compacted topic that holds the sources, for fleets; weir sources edits it. Empty: the file that sources names holds them."`
	SourcesCopy   string          `name:"sources-copy" default:"sources.copy.yaml" help:"With sources-topic: file that keeps what the topic said last, so that a gateway can start while Kafka is away."`
	Topic         string          `name:"topic" default:"weir.events" help:"Topic of the events."`
	RejectedTopic string          `name:"rejected-topic" default:"weir.rejected" help:"Topic of events that are refused one by one."`
	FanoutTopic   string          `name:"fanout-topic" default:"weir.fanout" help:"Compacted topic in which gateways agree over how many partitions a hot source is spread. off: every source goes to one."`
	FanoutRate    settings.Bytes  `name:"fanout-rate" default:"8MiB" help:"What a source may send a second to each of its partitions through one gateway; beyond it its partitions are doubled. 0: this gateway only follows what others decide."`
	MaxBody       settings.Bytes  `name:"max-body" default:"4MiB" help:"Largest body of a request, decompressed."`
	MaxEvent      settings.Bytes  `name:"max-event" default:"36KiB" help:"Largest event, with what it inherits from its batch; larger ones are rejected one by one."`
	MaxEvents     int             `name:"max-events" default:"2500" help:"Most events of a batch; those beyond are rejected one by one."`
	InFlight      settings.Memory `name:"in-flight" default:"256MiB" help:"What all unanswered requests and unacknowledged events may hold together, as a size or a share of the memory; beyond it the answer is 503 at once. One source never holds more than is still free."`
	AckDeadline   time.Duration   `name:"ack-deadline" default:"5s" help:"How long a request may wait for an acknowledgement of Kafka; then the answer is 503. With a spill Kafka has two fifths of it, the disk the rest."`

	Spill     string         `name:"spill" default:"off" help:"Folder of this gateway alone, on a disk that outlives it, for events that Kafka does not take; off: such requests are answered 503."`
	SpillSize settings.Bytes `name:"spill-size" default:"1GiB" help:"What the spill may hold on disk; beyond it the answer is 503."`

	TrustedProxies []string      `name:"trusted-proxies" help:"Addresses or CIDR ranges of proxies whose X-Forwarded-For counts."`
	PublicHost     string        `name:"public-host" help:"Host, and port if it is not the usual one, under which clients reach the gateway; the settings document names it. Empty: not named."`
	ClientRetries  time.Duration `name:"client-retries" default:"12h" help:"How long the libraries of browsers and phones go on sending what was not accepted, as the settings document tells them. 0s: they are told nothing."`
	AccessLog      bool          `name:"access-log" help:"Log a line for every request; never its body or its key."`
	DrainDelay     time.Duration `name:"drain-delay" default:"0s" help:"How long to go on serving, unready, before new requests are refused on shutdown."`

	TopicPartitions  int32           `name:"topic-partitions" default:"12" help:"Partitions of a topic that is missing and is created."`
	TopicReplication int16           `name:"topic-replication" default:"3" help:"Replicas of a topic that is created."`
	TopicRetention   kafka.Retention `name:"topic-retention" default:"7d" help:"How long a topic that is created keeps its records: days such as 7d, a duration, or forever."`

	// Listener opens Listen; nil = on the network. For tests on a virtual one.
	Listener func(network, address string) (net.Listener, error) `kong:"-"`
}

// DefaultConfig is what the defaults in the tags of Config give.
func DefaultConfig() Config {
	return Config{
		Config:           kafka.Config{Brokers: []string{"127.0.0.1:9092"}},
		Listen:           "127.0.0.1:8080",
		Sources:          "sources.yaml",
		SourcesCopy:      "sources.copy.yaml",
		Topic:            "weir.events",
		RejectedTopic:    "weir.rejected",
		FanoutTopic:      "weir.fanout",
		FanoutRate:       8 * settings.MiB,
		MaxBody:          4 * settings.MiB,
		MaxEvent:         36 * settings.KiB,
		MaxEvents:        2500,
		InFlight:         settings.Memory{Bytes: 256 * settings.MiB},
		AckDeadline:      5 * time.Second,
		ClientRetries:    12 * time.Hour,
		Spill:            spillOff,
		SpillSize:        settings.GiB,
		TopicPartitions:  12,
		TopicReplication: 3,
		TopicRetention:   kafka.Retention(7 * 24 * time.Hour),
	}
}

// Validate lists everything that is wrong, the sources file included.
func (c Config) Validate() []error {
	f := settings.Faults(c.Config.Validate())
	c.checkNames(&f)
	c.checkTLS(&f)
	c.checkSizes(&f)
	c.checkTopics(&f)
	c.checkSources(&f)
	c.checkSpill(&f)
	return f
}

// checkSources looks at the file in force. A copy need not be there yet, nor have a source.
func (c Config) checkSources(f *settings.Faults) {
	if c.SourcesTopic == "" {
		for _, fault := range source.Check(c.Sources) {
			f.AddErr("sources", fault)
		}
		return
	}
	f.Check(c.SourcesCopy != "", "sources-copy", "is empty, and sources-topic needs it")
	if _, err := os.Stat(c.SourcesCopy); c.SourcesCopy == "" || errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, fault := range source.Check(c.SourcesCopy) {
		if !errors.Is(fault, source.ErrNone) {
			f.AddErr("sources-copy", fault)
		}
	}
}

func (c Config) checkNames(f *settings.Faults) {
	_, port, err := net.SplitHostPort(c.Listen)
	f.Check(err == nil && port != "", "listen", "%q is not host:port", c.Listen)
	_, err = parsePrefixes(c.TrustedProxies)
	f.AddErr("trusted-proxies", err)
	f.Check(!strings.ContainsAny(c.PublicHost, "/ ?#@"), "public-host", "%q is not a host: leave the scheme and the path out", c.PublicHost)
}

func (c Config) checkTLS(f *settings.Faults) {
	f.Check(c.TLSCert == "" || c.TLSKey != "", "tls-key", "is empty, and tls-cert is not")
	f.Check(c.TLSKey == "" || c.TLSCert != "", "tls-cert", "is empty, and tls-key is not")
	f.Check(c.TLSClientCA == "" || c.TLSCert != "", "tls-client-ca", "needs tls-cert: clients show certificates to a listener that has one")
	if c.TLSCert == "" || c.TLSKey == "" {
		return
	}
	cert, clientCA := c.certFiles().Check()
	f.AddErr("tls-cert", cert)
	f.AddErr("tls-client-ca", clientCA)
}

func (c Config) certFiles() certs.Files {
	return certs.Files{Cert: c.TLSCert, Key: c.TLSKey, ClientCA: c.TLSClientCA}
}

func (c Config) checkSizes(f *settings.Faults) {
	f.Check(c.MaxBody >= settings.KiB && c.MaxBody <= 64*settings.MiB, "max-body", "%s is not between 1KiB and 64MiB", c.MaxBody)
	f.Check(c.MaxEvent >= settings.KiB && c.MaxEvent <= c.MaxBody, "max-event", "%s is not between 1KiB and max-body", c.MaxEvent)
	f.Check(c.MaxEvents >= 1 && c.MaxEvents <= 100_000, "max-events", "%d is not between 1 and 100000", c.MaxEvents)
	// Events may inherit four times the body, and be three times as long where every
	// byte has to be replaced; a batch may have four times as many elements as events.
	least := 8*c.MaxBody + settings.Bytes(c.MaxEvents)*5*settings.KiB
	f.Check(c.inFlight() >= least, "in-flight", "%s is too little for one request of max-body and max-events: at least %s", c.inFlight(), least)
	f.Check(c.AckDeadline >= time.Second && c.AckDeadline <= time.Minute, "ack-deadline", "%s is not between 1s, the least that Kafka's client takes, and 1m", c.AckDeadline)
	f.Check(c.ClientRetries >= 0 && c.ClientRetries <= 7*24*time.Hour, "client-retries", "%s is not between 0s and 168h", c.ClientRetries)
	f.Check(c.DrainDelay >= 0 && c.DrainDelay <= 10*time.Minute, "drain-delay", "%s is not between 0s and 10m", c.DrainDelay)
}

func (c Config) checkTopics(f *settings.Faults) {
	legal := regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	for _, t := range []struct{ setting, name string }{{"topic", c.Topic}, {"rejected-topic", c.RejectedTopic}, {"sources-topic", c.SourcesTopic}, {"fanout-topic", c.FanoutTopic}} {
		f.Check(t.setting == "sources-topic" && t.name == "" || legal.MatchString(t.name) && t.name != "." && t.name != "..", t.setting, "%q is no name that Kafka takes", t.name)
	}
	f.Check(c.Topic != c.RejectedTopic, "rejected-topic", "is the same as topic")
	f.Check(c.SourcesTopic == "" || c.SourcesTopic != c.Topic && c.SourcesTopic != c.RejectedTopic, "sources-topic", "is the same as topic or rejected-topic")
	f.Check(!slices.Contains([]string{c.Topic, c.RejectedTopic, c.SourcesTopic}, c.FanoutTopic), "fanout-topic", "is the same as topic, rejected-topic or sources-topic")
	f.Check(c.FanoutRate >= 0, "fanout-rate", "%d is less than 0", c.FanoutRate)
	f.Check(c.TopicPartitions >= 1, "topic-partitions", "%d is not at least 1", c.TopicPartitions)
	f.Check(c.TopicReplication >= 1, "topic-replication", "%d is not at least 1", c.TopicReplication)
	f.Check(c.TopicRetention == kafka.Forever || c.TopicRetention > 0, "topic-retention", "%s is no time to keep records", c.TopicRetention)
}

func (c Config) checkSpill(f *settings.Faults) {
	f.Check(c.Spill != "", "spill", "is empty: name a folder, or off")
	least := settings.Bytes(settings.MiB)
	f.Check(c.SpillSize >= least, "spill-size", "%s is less than %s", c.SpillSize, least)
}

// spillOff is the value of spill for gateways without a disk.
const spillOff = "off"

func (c Config) inFlight() settings.Bytes { return c.InFlight.Of(settings.MemoryLimit()) }

func (c Config) layout() kafka.Layout {
	return kafka.Layout{Partitions: c.TopicPartitions, Replication: c.TopicReplication, Retention: c.TopicRetention}
}

// limits bound one request. What a batch says once for all its events may make them
// longer by four times its body together, and no more: in-flight has room for that.
func (c Config) limits() intake.Limits {
	return intake.Limits{MaxEvents: c.MaxEvents, MaxEventBytes: int(c.MaxEvent), MaxInheritedBytes: 4 * int(c.MaxBody)}
}

// parsePrefixes reads CIDR ranges; a bare address is a range of one.
func parsePrefixes(list []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		if addr, err := netip.ParseAddr(text); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a CIDR range", text)
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}
