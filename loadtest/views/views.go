// Package views plays three rounds of events, each with properties that the ones before had not, and says what the views
// over them must answer then: one property comes as another type later, two are called almost alike, one has no letter of
// ASCII. Its tests ask weir query, and Trino over moto's Glue. It knows nothing of how views are made.
package views

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
)

// Round is events, and what can be asked once they are in.
type Round struct {
	Events []string // as a client sends them
	Checks []Check
}

// Check is a question with the right answer; every value is asked for as a text.
type Check struct {
	SQL  string
	Want [][]string
}

// Rounds are played one after the other, on one lake.
func Rounds() []Round {
	orders := func(columns string) string {
		return "select messageid, " + columns + " from order_completed order by 1"
	}
	whole := func(column string) string { return "coalesce(cast(" + column + " as varchar), 'NULL')" }
	cents := func(column string) string { return whole("cast(round(" + column + " * 100) as bigint)") }
	text := func(key string) string { return "coalesce(element_at(properties, '" + key + "'), 'NULL')" }
	return []Round{
		{
			Events: []string{
				`{"type":"track","event":"Order Completed","messageId":"1","properties":{"revenue":19.99,"items":3,"coupon":"X","gift":true,"placed":"2026-11-22T10:00:00.250+02:00"}}`,
				`{"type":"identify","userId":"u1","messageId":"2","traits":{"plan":"pro","logins":7}}`,
				`{"type":"page","name":"Home","messageId":"3","properties":{"url":"https://x.example/"}}`,
			},
			Checks: []Check{
				{orders(cents("revenue") + ", " + whole("items + 1") + ", coupon, " + whole("gift") + ", date_format(placed, '%Y-%m-%d %H:%i:%s')"), [][]string{
					{"1", "1999", "4", "X", "true", "2026-11-22 08:00:00"},
				}},
				{"select messageid, event from tracks order by 1", [][]string{{"1", "Order Completed"}}},
				{"select messageid, userid, plan, " + whole("logins + 1") + " from identifies order by 1", [][]string{{"2", "u1", "pro", "8"}}},
				{"select messageid, name, url from pages order by 1", [][]string{{"3", "Home", "https://x.example/"}}},
			},
		},
		{
			Events: []string{
				`{"type":"track","event":"Order Completed","messageId":"4","properties":{"revenue":"5.00","items":"three","gift":"yes","placed":"soon","shipping note":"it's \"late\""}}`,
				`{"type":"track","event":"Order Completed","messageId":"5","properties":{"revenue":7,"items":2.5}}`,
				`{"type":"track","event":"Order Refunded","messageId":"6","properties":{"reason":"broken"}}`,
				`{"type":"group","groupId":"g1","messageId":"7","traits":{"employees":20}}`,
			},
			Checks: []Check{
				{orders(whole("items") + ", " + text("items") + ", " + whole("gift") + ", " + text("gift") + ", coalesce(date_format(placed, '%Y'), 'NULL'), " + text("placed")), [][]string{
					{"1", "3", "3", "true", "true", "2026", "2026-11-22T10:00:00.250+02:00"},
					{"4", "NULL", "three", "NULL", "yes", "NULL", "soon"},
					{"5", "NULL", "2.5", "NULL", "NULL", "NULL", "NULL"},
				}},
				{orders(cents("revenue") + ", coalesce(shipping_note, 'NULL')"), [][]string{
					{"1", "1999", "NULL"},
					{"4", "500", `it's "late"`},
					{"5", "700", "NULL"},
				}},
				{"select messageid, reason from order_refunded order by 1", [][]string{{"6", "broken"}}},
				{"select groupid, cast(employees + 1 as varchar) from groups", [][]string{{"g1", "21"}}},
			},
		},
		{
			Events: []string{
				`{"type":"track","event":"Order Completed","messageId":"8","properties":{"価格":"¥5","select":"s","shipping_note":"other","userId":"inner","items":{"a":1}},"userId":"outer"}`,
				`{"type":"track","event":"order completed","messageId":"9","properties":{"n":1}}`,
				`{"type":"identify","userId":"u2","messageId":"10","traits":{"plan":"free","beta":false}}`,
			},
			Checks: []Check{
				{"select userid, user_id, select_, f_" + kakaku + ", shipping_note_" + second + ", coalesce(shipping_note, 'NULL'), " + whole("items") + ", " + text("items") +
					" from order_completed where messageid = '8'", [][]string{{"outer", "inner", "s", "¥5", "other", "NULL", "NULL", `{"a":1}`}}},
				{"select messageid, cast(n as varchar) from order_completed_" + lower, [][]string{{"9", "1"}}},
				{"select messageid from order_completed order by 1", [][]string{{"1"}, {"4"}, {"5"}, {"8"}}},
				{"select userid, plan, " + whole("beta") + " from identifies order by 1", [][]string{{"u1", "pro", "NULL"}, {"u2", "free", "false"}}},
				{"select cast(count(*) as varchar) from tracks", [][]string{{"6"}}},
			},
		},
	}
}

// Digests with which names are told apart: the first four bytes of SHA-256 of 価格, shipping_note, order completed.
const (
	kakaku = "855e4ca0"
	second = "a796ea61"
	lower  = "8b9aa3c4"
)

// Send produces a round's events as a client of Kafka does.
func (r Round) Send(ctx context.Context, broker string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic))
	if err != nil {
		return fmt.Errorf("open a producer: %w", err)
	}
	defer cl.Close()
	for _, value := range r.Events {
		if err := cl.ProduceSync(ctx, &kgo.Record{Key: []byte("source1"), Value: []byte(value)}).FirstErr(); err != nil {
			return fmt.Errorf("produce an event: %w", err)
		}
	}
	return nil
}
