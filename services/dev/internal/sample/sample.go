// Package sample makes the events of the demo: what a small shop's web site and
// its server would report through Segment's libraries, today and yesterday. The
// same run and number give the same events, each with a messageId that names the
// run, so that they can be counted. It sends nothing (the demo does) and measures
// nothing (loadtest does). Owned by whoever owns `weir dev`.
package sample

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Prefix begins the messageId of every event of a run.
func Prefix(run string) string { return "demo-" + run + "-" }

// Event is one event in Segment's form, ready for encoding/json.
type Event map[string]any

// Events makes n events that happened before now: two thirds of them today, one
// third yesterday (UTC).
func Events(run string, n int, now time.Time) []Event {
	now = now.UTC()
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	midnight := now.Truncate(24 * time.Hour)
	events := make([]Event, n)
	for i := range events {
		at := midnight.Add(time.Duration(rng.Int64N(int64(now.Sub(midnight)) + 1)))
		if i%3 == 2 {
			at = midnight.Add(-time.Duration(rng.Int64N(int64(24*time.Hour)-1) + 1))
		}
		events[i] = visitor(rng).event(rng)
		events[i]["messageId"] = fmt.Sprintf("%s%06d", Prefix(run), i)
		events[i]["timestamp"] = at.Format("2006-01-02T15:04:05.000Z07:00")
	}
	return events
}

// person is who an event is about.
type person struct {
	anonymousID, userID string // userID "" before the sign-up
	page                string
}

func visitor(rng *rand.Rand) person {
	n := rng.IntN(400)
	p := person{anonymousID: fmt.Sprintf("anon-%04d", n), page: pick(rng, "/", "/shoes", "/shirts", "/cart", "/help")}
	if n%3 > 0 {
		p.userID = fmt.Sprintf("user-%04d", n)
	}
	return p
}

func (p person) event(rng *rand.Rand) Event {
	e := Event{"anonymousId": p.anonymousID, "context": p.context(rng)}
	if p.userID != "" {
		e["userId"] = p.userID
	}
	switch n := rng.IntN(100); {
	case n < 45:
		e["type"], e["name"] = "page", "Shop"
		e["properties"] = Event{"path": p.page, "title": "Shop", "url": "https://shop.example" + p.page}
	case n < 88:
		e["type"] = "track"
		e["event"], e["properties"] = track(rng)
	case n < 96:
		e["type"] = "identify"
		e["traits"] = Event{"plan": pick(rng, "free", "pro"), "country": pick(rng, "DE", "FR", "US"), "logins": rng.IntN(50)}
	case n < 98:
		e["type"], e["groupId"] = "group", fmt.Sprintf("team-%02d", rng.IntN(20))
		e["traits"] = Event{"employees": rng.IntN(500)}
	default:
		e["type"], e["name"] = "screen", "Cart"
		e["properties"] = Event{"items": rng.IntN(6)}
	}
	return e
}

func track(rng *rand.Rand) (name string, properties Event) {
	product := Event{
		"product_id": fmt.Sprintf("sku-%03d", rng.IntN(200)),
		"name":       pick(rng, "Running shoe", "Linen shirt", "Rain jacket", "Wool socks"),
		"price":      float64(500+rng.IntN(9500)) / 100,
	}
	switch rng.IntN(4) {
	case 0:
		return "Order Completed", Event{
			"order_id": fmt.Sprintf("o-%06d", rng.IntN(1e6)), "revenue": product["price"], "currency": "EUR",
			"products": []Event{product},
		}
	case 1:
		return "Product Added", product
	case 2:
		return "Products Searched", Event{"query": pick(rng, "schuhe größe 42", "regenjacke", "socks")}
	}
	return "Product Viewed", product
}

func (p person) context(rng *rand.Rand) Event {
	return Event{
		"library":   Event{"name": "analytics.js", "version": "next-1.84.3"},
		"locale":    pick(rng, "de-DE", "fr-FR", "en-US"),
		"page":      Event{"path": p.page, "referrer": pick(rng, "", "https://search.example/")},
		"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"timezone":  "Europe/Berlin",
	}
}

func pick(rng *rand.Rand, choices ...string) string { return choices[rng.IntN(len(choices))] }
