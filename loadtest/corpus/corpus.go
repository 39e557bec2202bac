// Package corpus generates events such as Segment's libraries send, for benchmarks and load: about 1.1 KB, 40 keys and
// 115 distinct paths over all types, as real traffic repeats itself and no more. The same seed gives the same bytes on
// every machine, and every event has a messageId of its own. It sends nothing and writes no files; who needs events in
// Kafka or over HTTP wraps them. It holds no state between calls.
package corpus

import (
	"iter"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"time"
)

// Generate makes n events.
func Generate(seed uint64, n int) [][]byte {
	g := newGenerator(seed)
	events := make([][]byte, n)
	for i := range events {
		events[i] = g.event()
	}
	return events
}

// Event is one event and when it happened, which is its timestamp.
type Event struct {
	At   time.Time
	JSON []byte
}

// Over makes n events that happen one after the other from start on, over span give or take a hundredth. They are made as
// they are taken.
func Over(seed uint64, n int, start time.Time, span time.Duration) iter.Seq2[int, Event] {
	return func(yield func(int, Event) bool) {
		g := newGenerator(seed)
		g.clock, g.tick = start, span*2/time.Duration(n*(1+mostTicks))
		for i := range n {
			text := g.event()
			if !yield(i, Event{At: g.clock, JSON: text}) {
				return
			}
		}
	}
}

// SourceOf is the source id of the ith event when there are so many sources: the first sends half of all events, the
// next a quarter, and so on.
func SourceOf(i, sources int) string {
	return "source" + strconv.Itoa(bits.TrailingZeros(uint(i+1))%sources+1)
}

const (
	people    = 50_000 // how many persons there are
	mostTicks = 40     // between two events; one at least
)

// epoch is when the first event happens.
var epoch = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

type generator struct {
	rng    *rand.Rand
	clock  time.Time
	tick   time.Duration
	b      []byte
	comma  bool
	person uint64
}

func newGenerator(seed uint64) *generator {
	return &generator{rng: rand.New(rand.NewPCG(seed, 0x77656972)), clock: epoch, tick: time.Millisecond}
}

func (g *generator) event() []byte {
	g.b, g.comma = g.b[:0], false
	g.person = g.rng.Uint64N(people) * g.rng.Uint64N(people) / people // few send much, many send little
	g.clock = g.clock.Add(time.Duration(1+g.rng.IntN(mostTicks)) * g.tick)
	g.open("")
	switch p := g.rng.IntN(100); {
	case p < 58:
		g.track()
	case p < 82:
		g.page()
	case p < 90:
		g.identify()
	case p < 96:
		g.screen()
	case p < 99:
		g.group()
	default:
		g.alias()
	}
	g.close('}')
	return append([]byte(nil), g.b...)
}

// head is what every event has; the library tells the platform.
func (g *generator) head(typ string, mobile bool) {
	g.text("type", typ)
	if mobile {
		g.text("messageId", g.uuid(g.rng.Uint64(), g.rng.Uint64()))
	} else {
		g.text("messageId", "ajs-next-"+strconv.FormatInt(g.clock.UnixMilli(), 10)+"-"+g.uuid(g.rng.Uint64(), g.rng.Uint64()))
	}
	g.text("anonymousId", g.uuid(g.person*0x9e3779b97f4a7c15, g.person*0xc2b2ae3d27d4eb4f))
	if g.person%3 != 0 {
		g.text("userId", g.user())
	} else {
		g.raw("userId", "null")
	}
	g.text("timestamp", g.clock.Format("2006-01-02T15:04:05.000Z"))
	g.text("sentAt", g.clock.Add(time.Duration(5+g.rng.IntN(900))*time.Millisecond).Format("2006-01-02T15:04:05.000Z"))
	g.open("integrations")
	g.raw("All", "true")
	if g.rng.IntN(3) == 0 {
		g.open("Amplitude")
		g.number("session_id", g.clock.UnixMilli()/1_800_000*1_800_000)
		g.close('}')
	}
	g.close('}')
	if mobile {
		g.mobileContext()
	} else {
		g.webContext()
	}
}

func (g *generator) track() {
	g.head("track", false)
	action := g.rng.IntN(len(actions))
	g.text("event", actions[action])
	g.open("properties")
	switch {
	case action < 4:
		g.order()
	case action < 9:
		g.product()
		g.number("position", int64(1+g.rng.IntN(24)))
		g.text("list_id", pick(g, lists))
	default:
		g.text("label", pick(g, labels))
		g.text("section", pick(g, lists))
		g.number("value", int64(g.rng.IntN(500)))
		g.raw("active", strconv.FormatBool(g.rng.IntN(4) > 0))
		g.text("experiment", "exp-"+strconv.Itoa(g.rng.IntN(30)))
		g.text("variant", pick(g, variants))
		g.number("elapsed_ms", int64(g.rng.IntN(90_000)))
	}
	g.close('}')
}

func (g *generator) page() {
	g.head("page", false)
	g.text("name", pick(g, lists))
	g.text("category", pick(g, categories))
	g.open("properties")
	path := "/" + pick(g, lists) + "/" + strconv.Itoa(g.rng.IntN(400))
	g.text("path", path)
	g.text("url", "https://shop.example.com"+path)
	g.text("title", titles[g.rng.IntN(len(titles))]+" | Example Shop")
	g.text("search", "")
	g.text("referrer", pick(g, referrers))
	g.number("viewport_width", int64(320+40*g.rng.IntN(50)))
	g.number("scroll_depth", int64(g.rng.IntN(101)))
	g.close('}')
}

func (g *generator) identify() {
	g.head("identify", g.person%2 == 0)
	g.open("traits")
	g.text("email", g.user()+"@example.com")
	g.text("firstName", pick(g, names))
	g.text("lastName", pick(g, names))
	g.text("plan", pick(g, plans))
	g.number("logins", int64(g.person%900))
	g.raw("newsletter", strconv.FormatBool(g.person%2 == 0))
	g.number("age", int64(18+g.person%60))
	g.text("createdAt", epoch.AddDate(0, 0, -int(g.person%1500)).Format(time.RFC3339))
	g.open("address")
	g.text("city", pick(g, cities))
	g.text("country", pick(g, countries))
	g.text("postalCode", strconv.Itoa(10_000+int(g.person%80_000)))
	g.text("street", pick(g, names)+" Street "+strconv.Itoa(int(g.person%200)))
	g.close('}')
	g.close('}')
}

func (g *generator) screen() {
	g.head("screen", true)
	g.text("name", pick(g, lists))
	g.open("properties")
	g.text("feed_type", pick(g, variants))
	g.number("items", int64(g.rng.IntN(60)))
	g.raw("cold_start", strconv.FormatBool(g.rng.IntN(9) == 0))
	g.text("previous_screen", pick(g, lists))
	g.decimal("load_seconds", g.rng.IntN(4000), 1000)
	g.close('}')
}

func (g *generator) group() {
	g.head("group", false)
	g.text("groupId", "org-"+strconv.Itoa(int(g.person%700)))
	g.open("traits")
	g.text("name", pick(g, names)+" Ltd")
	g.text("industry", pick(g, categories))
	g.number("employees", int64(g.person%4000))
	g.text("plan", pick(g, plans))
	g.decimal("total_billed", int(g.person*17%1_000_000), 100)
	g.close('}')
}

func (g *generator) alias() {
	g.head("alias", false)
	g.text("previousId", g.uuid(g.person*0x9e3779b97f4a7c15, g.person*0xc2b2ae3d27d4eb4f))
}
