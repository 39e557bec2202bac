// Package question asks the question that weir exists to answer: the query of its contract, verbatim, over
// events of yesterday and today from two sources that went in through the gateway and straight into Kafka.
// It knows the right answer from what it sent, and nothing of how weir works.
package question

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
)

// SQL is asked verbatim of every engine.
const SQL = `select type, count(messageid) from eventlogs where sourceid='source1' and date_trunc('day', timestamp) = current_date group by 1 order by 2 desc`

// Sources is the sources.yaml of this question.
const Sources = `sources:
- {id: source1, enabled: true, write_keys: [key-one]}
- {id: source2, enabled: true, write_keys: [key-two]}
`

type sent struct {
	source, kind string
	at           time.Time
}

// Day holds what was sent.
type Day struct{ events []sent }

// Send puts the day's events in: source1's through the gateway, source2's through Kafka.
func Send(ctx context.Context, f *fleet.Fleet, broker string) (Day, error) {
	now := time.Now().UTC()
	yesterday := now.AddDate(0, 0, -1)
	var d Day
	for kind, n := range map[string]int{"track": 5, "page": 3, "identify": 2} {
		d.add("source1", kind, now, n)
	}
	d.add("source1", "track", yesterday, 4)
	d.add("source2", "track", now, 7)
	d.add("source2", "page", yesterday, 6)
	if err := d.post(ctx, f.Gateway, now); err != nil {
		return d, err
	}
	return d, d.produce(ctx, broker, now)
}

func (d *Day) add(source, kind string, at time.Time, n int) {
	for range n {
		d.events = append(d.events, sent{source, kind, at})
	}
}

func (d Day) of(source string, sentAt time.Time) []json.RawMessage {
	var all []json.RawMessage
	for i, e := range d.events {
		if e.source == source {
			all = append(all, fmt.Appendf(nil, `{"type":%q,"event":"Asked","userId":"u%d","messageId":"q-%d","timestamp":%q,"sentAt":%q,"context":{"page":{"path":"/%d"}}}`,
				e.kind, i, i, e.at.Format(time.RFC3339Nano), sentAt.Format(time.RFC3339Nano), i))
		}
	}
	return all
}

func (d Day) post(ctx context.Context, gateway string, now time.Time) error {
	body, err := json.Marshal(map[string]any{"batch": d.of("source1", now)})
	if err != nil {
		return fmt.Errorf("make the batch: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+gateway+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth("key-one", "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("post the batch: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answered %s", resp.Status)
	}
	return nil
}

func (d Day) produce(ctx context.Context, broker string, now time.Time) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic))
	if err != nil {
		return fmt.Errorf("open a producer: %w", err)
	}
	defer cl.Close()
	for _, value := range d.of("source2", now) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Key: []byte("source2"), Value: value}).FirstErr(); err != nil {
			return fmt.Errorf("produce an event: %w", err)
		}
	}
	return nil
}

// Count is one row of the answer.
type Count struct {
	Type string
	N    int
}

// Answer is what SQL must return at the given moment.
func (d Day) Answer(at time.Time) []Count {
	n := map[string]int{}
	for _, e := range d.events {
		if e.source == "source1" && e.at.Format(time.DateOnly) == at.UTC().Format(time.DateOnly) {
			n[e.kind]++
		}
	}
	answer := make([]Count, 0, len(n))
	for kind, count := range n {
		answer = append(answer, Count{kind, count})
	}
	slices.SortFunc(answer, func(a, b Count) int { return cmp.Compare(b.N, a.N) })
	return answer
}

// Total is how many rows the table must have.
func (d Day) Total() int { return len(d.events) }
