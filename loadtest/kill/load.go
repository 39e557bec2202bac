//go:build duckdb

// Package kill kills weir's processes at random moments under load and counts afterwards. A Load writes events
// through the gateway and straight into Kafka and keeps what was acknowledged; loadtest/fleet owns the
// processes; loadtest/audit gives the verdict.
package kill

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
)

const (
	writeKey = "kill-write-key"
	sources  = "sources: [{id: source1, name: kill test, enabled: true, write_keys: [" + writeKey + "]}]\n"
)

// Load writes events with unique messageIds until its context ends, and remembers which were acknowledged.
// What was sent and not acknowledged may be in Kafka once or not at all: it is never sent again.
type Load struct {
	mu    sync.Mutex
	acked []string
	group sync.WaitGroup
}

// Pace of one writer: a batch of 20 events every 20 ms through the gateway, 5 records every 20 ms into Kafka.
const (
	pace         = 20 * time.Millisecond
	batchEvents  = 20
	directEvents = 5
)

// Start runs two writers through the gateway and one straight into Kafka.
func (l *Load) Start(ctx context.Context, gateway, broker string) error {
	direct, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(fleet.Topic), kgo.RecordDeliveryTimeout(20*time.Second))
	if err != nil {
		return fmt.Errorf("open the direct producer: %w", err)
	}
	for w := range 2 {
		l.group.Go(func() { l.gatewayWriter(ctx, fmt.Sprintf("gw%d", w), "http://"+gateway+"/v1/batch") })
	}
	l.group.Go(func() {
		defer direct.Close()
		l.directWriter(ctx, direct)
	})
	return nil
}

// Wait returns once every writer has ended and every answer is in.
func (l *Load) Wait() { l.group.Wait() }

// Acknowledged returns the messageIds that a producer may rely on.
func (l *Load) Acknowledged() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

func (l *Load) ack(ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, ids...)
}

func (l *Load) gatewayWriter(ctx context.Context, name, url string) {
	client := &http.Client{Timeout: 8 * time.Second}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ids := make([]string, batchEvents)
		body := []byte(`{"writeKey":"` + writeKey + `","batch":[`)
		for i := range ids {
			ids[i] = fmt.Sprintf("%s-%d-%d", name, n, i)
			if i > 0 {
				body = append(body, ',')
			}
			body = appendEvent(body, ids[i])
		}
		if postOK(client, url, append(body, ']', '}')) {
			l.ack(ids...)
		}
	}
}

func appendEvent(dst []byte, id string) []byte {
	return fmt.Appendf(dst, `{"type":"track","event":"Order Completed","userId":"u-%s","messageId":"%s","properties":{"revenue":12.5,"note":"killed or not"}}`, id, id)
}

func postOK(client *http.Client, url string, body []byte) bool {
	resp, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// directWriter is a Kafka producer of its own; every hundredth record is no event and must be a dead letter.
func (l *Load) directWriter(ctx context.Context, cl *kgo.Client) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			_ = cl.Flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
		if n%20 == 0 {
			cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Key: []byte("source2"), Value: fmt.Appendf(nil, "no event %d", n)}, nil)
		}
		for i := range directEvents {
			id := fmt.Sprintf("direct-%d-%d", n, i)
			record := &kgo.Record{Key: fmt.Appendf(nil, "source%d", 2+i), Value: appendEvent(nil, id)}
			cl.Produce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
				if err == nil {
					l.ack(id)
				}
			})
		}
	}
}
