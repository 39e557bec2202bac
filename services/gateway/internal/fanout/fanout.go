// Package fanout decides over how many partitions each source is spread. A fleet of gateways decides together, by records
// in a compacted topic: each gateway takes in what stands there, and says what it would write. Its invariants: gateways
// that have read the same records agree, in whatever order these stand; what holds of a source never goes back to an earlier
// epoch, but where the source is forgotten; whatever is read, what is known is bounded. It holds no clock, no topic and no lock, and measures nothing: hot does, and
// produce spreads the records. Owned by the gateway.
package fanout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"weir/pkg/event"
)

// MaxSources is of how many sources a fan-out is known at most; others are not spread.
const MaxSources = 4096

const (
	// renewal is how old the record of a fan-out that is needed may become.
	renewal = 10 * time.Minute
	// quiet is after what time without a renewal a fan-out is halved.
	quiet = time.Hour
	// slack is by how much the rate may be lower than what raised a fan-out, which is needed still.
	slack = 2
)

// Fleet is what a gateway knows of the fan-out of all sources.
type Fleet struct {
	lane    float64 // bytes/s
	sources map[string]*known
}

// known is what is known of one source.
type known struct {
	Record
	renewed time.Time
	behind  bool // the topic's last record is not this one
}

// New knows of nothing. lane is what one lane of a source may take of this gateway, in bytes/s; 0 = this gateway changes
// nothing, and goes by what others write.
func New(lane float64) *Fleet { return &Fleet{lane: lane, sources: make(map[string]*known)} }

// Of is what holds of a source.
func (f *Fleet) Of(source string) Record {
	if k := f.sources[source]; k != nil {
		return k.Record
	}
	return single
}

// All calls take with every source that has, or had, a fan-out, in no order.
func (f *Fleet) All(take func(source string, r Record)) {
	for source, k := range f.sources {
		take(source, k.Record)
	}
}

// Reread is for a topic that is read from its beginning once more: what it does not say any more is written again.
func (f *Fleet) Reread() {
	for _, k := range f.sources {
		k.behind = true
	}
}

// Read takes a record of the topic in, which was written at that time; a nil value forgets the source. The error is of a
// record that cannot be used, and changes nothing.
func (f *Fleet) Read(source string, value []byte, at, now time.Time) error {
	if err := checkKey(source); err != nil {
		return err
	}
	if value == nil {
		delete(f.sources, source)
		return nil
	}
	r, err := parse(value)
	if err != nil {
		return fmt.Errorf("the record of source %s: %w", source, err)
	}
	if now.Before(at) { // another gateway's clock
		at = now
	}
	k := f.sources[source]
	switch {
	case k == nil && len(f.sources) >= MaxSources:
		return fmt.Errorf("the record of source %s: %w", source, errTooMany)
	case k == nil:
		f.sources[source] = &known{Record: r, renewed: at}
	case r.same(k.Record):
		k.behind = false
		k.Rate = r.Rate
		if k.renewed.Before(at) {
			k.renewed = at
		}
	case r.counts(k.Record):
		*k = known{Record: r, renewed: at}
	default:
		k.behind = true
	}
	return nil
}

// Write is a record for the topic.
type Write struct {
	Source string
	Record Record
}

// Judge says what this gateway has to write, by the bytes/s that it gave to Kafka of late and the partitions that the topic
// of the events has. Nothing holds before it is read. rates may leave out sources that are quiet.
func (f *Fleet) Judge(rates map[string]float64, partitions int, now time.Time) (writes []Write) {
	if f.lane <= 0 {
		return nil
	}
	most := mostLanes(partitions)
	room := MaxSources - len(f.sources)
	for source, rate := range rates {
		if f.sources[source] == nil && room > 0 && most > 1 && rate > f.lane {
			writes = append(writes, Write{source, single.next(2, rate)})
			room--
		}
	}
	for source, k := range f.sources {
		if r := f.judge(k, rates[source], most, now); r != (Record{}) {
			writes = append(writes, Write{source, r})
		}
	}
	slices.SortFunc(writes, func(a, b Write) int { return cmp.Compare(a.Source, b.Source) })
	return writes
}

// judge says what to write of a source that is known; the zero Record is nothing.
func (f *Fleet) judge(k *known, rate float64, most int, now time.Time) Record {
	lanes, age := float64(k.Fanout), now.Sub(k.renewed)
	needed := k.Fanout > 1 && rate > f.lane*lanes/2/slack
	switch {
	case rate > f.lane*lanes && 2*k.Fanout <= most:
		return k.next(2*k.Fanout, rate)
	case k.behind, needed && age >= renewal:
		return Record{k.Fanout, k.Epoch, int64(rate)}
	case !needed && k.Fanout > 1 && age >= quiet:
		return k.next(k.Fanout/2, rate)
	}
	return Record{}
}

func (r Record) next(fanout int, rate float64) Record {
	return Record{fanout, r.Epoch + 1, int64(rate)}
}

// mostLanes is the largest fan-out over so many partitions.
func mostLanes(partitions int) int {
	most := 1
	for 2*most <= min(partitions, event.MaxFanout) {
		most *= 2
	}
	return most
}
