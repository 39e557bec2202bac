// Package chaos runs weir's services as processes under load while things go wrong: a scenario says in YAML what
// load there is, what is done when, and what must hold. It starts a world (embedded or real Kafka, S3, Glue), the
// processes, an open-loop load and the timeline, and leaves a record on disk and a dated result. It gives no verdict
// on exactly once: weiraudit, a program of its own, reads the record, Kafka and the objects. loadtest/cmd/weirchaos
// is its command; floor 5.
package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"weir/loadtest/faults"
)

// Scenario is one YAML file.
type Scenario struct {
	Name     string        `yaml:"name"`
	About    string        `yaml:"about"`
	World    string        `yaml:"world"`    // embedded, kafka or kafka3; the command may say otherwise
	Seed     uint64        `yaml:"seed"`     // draws targets and moments
	Duration time.Duration `yaml:"duration"` // of load and timeline; then everything drains
	Cluster  Cluster       `yaml:"cluster"`
	Load     Load          `yaml:"load"`
	Timeline []Step        `yaml:"timeline"`
	Must     Thresholds    `yaml:"must"`
}

// Cluster is which processes run, and their settings.
type Cluster struct {
	Gateways       int           `yaml:"gateways"`
	Sinks          int           `yaml:"sinks"`
	Catalogs       int           `yaml:"catalogs"`
	Dynamic        bool          `yaml:"dynamic"`  // sinks have no instance id
	Protocol       string        `yaml:"protocol"` // of the sinks' group: classic, consumer
	Leave          string        `yaml:"leave"`    // whether a static sink that ends leaves: auto, always, never
	Partitions     int           `yaml:"partitions"`
	FileAge        time.Duration `yaml:"file-age"`
	SessionTimeout time.Duration `yaml:"session-timeout"`

	Clock map[string]time.Duration `yaml:"clock"` // by how much a member's wall clock is off: sink-1: 1h
}

// Load is what the producers send. Rates are events per second of all producers of a kind together.
type Load struct {
	Gateway Producers `yaml:"gateway"`
	Direct  Producers `yaml:"direct"`
	Sources int       `yaml:"sources"`
	Pad     int       `yaml:"pad"` // bytes that no codec can shorten, in each event beside its own 1.1 KB: files grow large fast

	FreshEvery time.Duration `yaml:"fresh-every"` // every so long direct producers write for a source that nobody has written for; 0 = never

	RefuseEvery int `yaml:"refuse-every"` // every so many batches one has a wrong write key, one holds an event that is refused; 0 = none
	LetterEvery int `yaml:"letter-every"` // every so many direct batches one record is no event; 0 = none
}

// Producers are so many, which send Rate events per second together, in batches.
type Producers struct {
	Count int     `yaml:"count"`
	Rate  float64 `yaml:"rate"`
	Batch int     `yaml:"batch"`
}

// Step is one action of the timeline, at one moment or again and again.
type Step struct {
	At     time.Duration `yaml:"at"`    // after the load began
	Every  time.Duration `yaml:"every"` // again so long after, until Until; 0 = once
	Until  time.Duration `yaml:"until"` // 0 = the scenario's end
	Jitter time.Duration `yaml:"jitter"`

	Do     string        `yaml:"do"`     // kill, pause, roll, scale, fault, crash
	Target string        `yaml:"target"` // sink-1; sink = one of them, drawn; any = one of all, drawn; kafka-2
	Back   time.Duration `yaml:"back"`   // kill: started again after so long
	For    time.Duration `yaml:"for"`    // pause, fault: how long it lasts; crash: how long to wait for somebody who reaches the point
	Sinks  int           `yaml:"sinks"`  // scale: how many there are from then on

	Points []string    `yaml:"points"` // crash: where whoever comes first is killed, one point after the other
	Fault  faults.Rule `yaml:"fault"`  // fault: what Target (s3 or glue) answers
}

// Thresholds are what must hold beside the auditor's verdict. Zero is the default that stands beside it.
type Thresholds struct {
	Recovery  time.Duration `yaml:"recovery"`  // after a crash, all that was acknowledged before it is visible: session-timeout + file-age + 10 s
	Drain     time.Duration `yaml:"drain"`     // after the load all is visible: 2 minutes
	Moves     *int          `yaml:"moves"`     // partitions that change hands: any number
	Gap       time.Duration `yaml:"gap"`       // no partition is without an owner for longer: any time
	Freshness time.Duration `yaml:"freshness"` // no event takes longer from its acknowledgement to the table: any time
}

// ReadScenario reads a file and lists everything that is wrong with it.
func ReadScenario(path string) (Scenario, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Scenario{}, fmt.Errorf("read the scenario: %w", err)
	}
	s, err := ParseScenario(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// ParseScenario decodes, sets defaults and checks.
func ParseScenario(text []byte) (Scenario, error) {
	s := Scenario{
		World: WorldEmbedded, Seed: 1,
		Cluster: Cluster{Gateways: 1, Sinks: 2, Catalogs: 1, Partitions: 4, Protocol: "classic", Leave: "auto", FileAge: 2 * time.Second, SessionTimeout: 6 * time.Second},
		Load:    Load{Sources: 4},
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("decode the scenario: %w", err)
	}
	if s.Must.Recovery == 0 {
		s.Must.Recovery = s.Cluster.SessionTimeout + s.Cluster.FileAge + 10*time.Second
	}
	if s.Must.Drain == 0 {
		s.Must.Drain = 2 * time.Minute
	}
	for i := range s.Timeline {
		if s.Timeline[i].Until == 0 {
			s.Timeline[i].Until = s.Duration
		}
	}
	return s, s.check()
}

func (s Scenario) check() error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(s.Name != "" && !strings.ContainsAny(s.Name, "/. "), "name: %q is no part of a file name", s.Name)
	check(slices.Contains(worlds, s.World), "world: %q is none of %v", s.World, worlds)
	check(s.Duration > 0 && s.Duration <= time.Hour, "duration: %s is not between 0 and 1h", s.Duration)
	check(s.Cluster.Sinks >= 1 && s.Cluster.Catalogs >= 1 && s.Cluster.Gateways >= 0, "cluster: at least one sink and one catalog")
	check(s.Cluster.Gateways > 0 || s.Load.Gateway.Count == 0, "load: gateway producers, and no gateway")
	check(s.Load.Pad >= 0 && s.Load.Pad <= 30_000, "load: pad: %d is not between 0 and 30000", s.Load.Pad)
	check(s.Load.Sources >= 1, "load: sources: at least one")
	for name := range s.Cluster.Clock {
		check(s.Cluster.has(name), "cluster: clock: there is no %s", name)
	}
	for _, p := range []Producers{s.Load.Gateway, s.Load.Direct} {
		check(p.Count == 0 || p.Rate > 0 && p.Batch > 0, "load: producers need a rate and a batch")
	}
	for i, step := range s.Timeline {
		for _, err := range step.check(s) {
			wrong = append(wrong, fmt.Errorf("timeline: step %d: %w", i+1, err))
		}
	}
	return errors.Join(wrong...)
}

// has tells whether a member of that name is there from the start.
func (c Cluster) has(name string) bool {
	for role, n := range map[string]int{roleGateway: c.Gateways, roleSink: c.Sinks, roleCatalog: c.Catalogs} {
		for i := range n {
			if name == fmt.Sprintf("%s-%d", role, i) {
				return true
			}
		}
	}
	return false
}

func (st Step) check(s Scenario) []error {
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	check(st.At < s.Duration, "at: %s is after the end", st.At)
	broker := strings.HasPrefix(st.Target, "kafka")
	switch st.Do {
	case doKill, doPause:
		check(st.Target != "", "target: what to %s is missing", st.Do)
		check(!broker || s.World != WorldEmbedded, "target: the embedded Kafka cannot be killed")
		check(st.Do != doPause || st.For > 0, "for: how long it stands still is missing")
	case doRoll:
		check(slices.Contains([]string{roleGateway, roleSink, roleCatalog, roleKafka}, st.Target), "target: %q is no role", st.Target)
	case doScale:
		check(st.Sinks > 0, "sinks: at least one")
	case doFault:
		check(st.For > 0, "for: how long it lasts is missing")
		check(st.Target == targetS3 || st.Target == targetGlue, "target: %q is neither s3 nor glue", st.Target)
		if err := st.Fault.Check(st.Target); err != nil {
			wrong = append(wrong, err)
		}
	case doCrash:
		check(len(st.Points) > 0, "points: there is none")
		check(st.For > 0, "for: how long to wait at each point is missing")
		for _, name := range st.Points {
			p, known := points[name]
			check(known, "points: %q is none of %v", name, slices.Sorted(maps.Keys(points)))
			check(p.phase == "" || s.World == WorldEmbedded && !s.Cluster.Dynamic, "points: %s is known in the embedded Kafka only, and of static members", name)
		}
	default:
		check(false, "do: %q is none of kill, pause, roll, scale, fault, crash", st.Do)
	}
	return wrong
}

// What steps do, and to whom.
const (
	doKill  = "kill"
	doPause = "pause"
	doRoll  = "roll"
	doScale = "scale"
	doFault = "fault"
	doCrash = "crash"

	roleGateway = "gateway"
	roleSink    = "sink"
	roleCatalog = "catalog"
	roleKafka   = "kafka"

	targetAny  = "any"
	targetS3   = "s3"
	targetGlue = "glue"
)

// Override changes what the command line says otherwise; zero values change nothing.
func (s *Scenario) Override(world string, seed uint64, duration time.Duration) error {
	if world != "" {
		s.World = world
	}
	if seed != 0 {
		s.Seed = seed
	}
	if duration != 0 {
		for i := range s.Timeline {
			if s.Timeline[i].Until == s.Duration {
				s.Timeline[i].Until = duration
			}
		}
		s.Duration = duration
	}
	return s.check()
}
