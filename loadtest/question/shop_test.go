//go:build duckdb

package question

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
	"weir/pkg/event"
)

// The shop's days, as in the page for analysts: from Friday on, across the end of a week.
const (
	shopDays = 4
	shopRate = 8_000 // events a source and day
)

var shopBegins = time.Date(2026, time.November, 20, 0, 0, 0, 0, time.UTC)

// deed is one event of the shop, as its client made it, and when weir took it.
type deed struct {
	source, id, kind, event, name, user, anonymous, model string

	at, received time.Time
	revenue      string // as in JSON: 12.50, "12.50", or nothing
}

// shop makes the events of two sources: of few people, some late by days, some sent twice, some amounts as texts.
func shop() []deed {
	chance := rand.New(rand.NewPCG(3, 4))
	var all []deed
	for source := range 2 {
		for i := range shopDays * shopRate {
			d := deed{source: fmt.Sprintf("source%d", source+1), id: fmt.Sprintf("%016x%016x", chance.Uint64(), chance.Uint64()), anonymous: fmt.Sprintf("a-%d", chance.IntN(200))}
			d.received = shopBegins.Add(time.Duration(i) * 24 * time.Hour / shopRate)
			d.at = d.received.Add(-time.Duration(chance.IntN(90_000)) * time.Millisecond)
			if late := chance.IntN(100); late < 15 {
				d.at = d.at.AddDate(0, 0, -1-late%2)
			}
			d.act(chance)
			all = append(all, d)
			if i%40 == 0 { // its answer was lost
				d.received = d.received.Add(5 * time.Second)
				all = append(all, d)
			}
		}
	}
	odd := deed{source: "source1", id: "m-odd-0123456789", kind: "track", event: "Order Completed", user: "u-1", anonymous: "a-1", revenue: `"many"`}
	odd.received = shopBegins.AddDate(0, 0, 2).Add(time.Hour)
	odd.at = odd.received
	return append(all, odd)
}

func (d *deed) act(chance *rand.Rand) {
	if chance.IntN(4) > 0 {
		d.user = fmt.Sprintf("u-%d", chance.IntN(600))
	}
	if chance.IntN(3) == 0 {
		d.model = []string{"iPhone16,2", "Pixel 9", "Galaxy S25"}[chance.IntN(3)]
	}
	switch n := chance.IntN(10); {
	case n < 2:
		d.kind, d.name = "page", "Home"
	case n < 3:
		d.kind = "identify"
	case n < 7:
		d.kind, d.event = "track", "Product Viewed"
	default:
		d.kind, d.event = "track", "Order Completed"
		d.revenue = fmt.Sprintf("%d.%02d", chance.IntN(500), chance.IntN(100))
		if chance.IntN(10) == 0 {
			d.revenue = `"` + d.revenue + `"`
		}
	}
}

// json is the event as it stands in Kafka.
func (d deed) json() []byte {
	fields := []string{fmt.Sprintf(`"type":%q,"messageId":%q,"anonymousId":%q,"timestamp":%q`, d.kind, d.id, d.anonymous, d.at.Format("2006-01-02T15:04:05.000Z"))}
	add := func(there bool, format string, args ...any) {
		if there {
			fields = append(fields, fmt.Sprintf(format, args...))
		}
	}
	add(d.event != "", `"event":%q`, d.event)
	add(d.name != "", `"name":%q`, d.name)
	add(d.user != "", `"userId":%q`, d.user)
	add(d.revenue != "", `"properties":{"revenue":%s,"currency":"EUR","order_id":"o-%s","products":[{"sku":"p-%s"}]}`, d.revenue, d.id[:8], d.id[len(d.id)-3:])
	device := ""
	if d.model != "" {
		device = fmt.Sprintf(`"device":{"model":%q,"type":"phone"},`, d.model)
	}
	add(true, `"context":{%s"page":{"url":"https://shop.example.com/%s","path":"/%[2]s"},"locale":"en-US"}`, device, d.id[:12])
	return []byte("{" + strings.Join(fields, ",") + "}")
}

// sell puts the events into Kafka, as a gateway that took each at its moment.
func sell(t *testing.T, broker string, all []deed) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic))
	require.NoError(t, err)
	defer cl.Close()
	records := make([]*kgo.Record, len(all))
	for i, d := range all {
		records[i] = &kgo.Record{Key: []byte(d.source), Value: d.json(), Headers: []kgo.RecordHeader{
			{Key: event.HeaderReceivedAt, Value: []byte(d.received.Format("2006-01-02T15:04:05.000Z"))},
		}}
	}
	require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
}
