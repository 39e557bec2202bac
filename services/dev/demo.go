package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"weir/pkg/lake"
	"weir/services/dev/internal/sample"
	"weir/services/dev/screen"
	"weir/services/query"
	"weir/services/query/rows"
)

// visibleWithin is how long the demo waits for its last event, beyond file-age:
// three times what outside.md promises.
const visibleWithin = 30 * time.Second

// batchEvents is how many events the demo sends in one request.
const batchEvents = 50

// demo is one run of sample traffic.
type demo struct {
	cfg     Config
	gateway string // host:port
	sender  sender
	lake    *query.Lake
	out     *screen.Screen
	run     string // names this run's events
	client  *http.Client
}

// play sends the events, waits until SQL finds every one of them, and shows the
// answer of the table's first query.
func (d *demo) play(ctx context.Context) error {
	if err := d.send(ctx); err != nil {
		return fmt.Errorf("send the sample events: %w", err)
	}
	sent := time.Now()
	if err := d.await(ctx); err != nil {
		return err
	}
	d.out.Line("All %d events can be queried, %.1f s after the last was sent.", d.cfg.DemoEvents, time.Since(sent).Seconds())
	return d.answer(ctx)
}

func (d *demo) send(ctx context.Context) error {
	events := sample.Events(d.run, d.cfg.DemoEvents, time.Now())
	pace := time.NewTicker(time.Second * batchEvents / time.Duration(d.cfg.DemoRate))
	defer pace.Stop()
	for from := 0; from < len(events); from += batchEvents {
		to := min(from+batchEvents, len(events))
		if err := d.post(ctx, events[from:to]); err != nil {
			return err
		}
		d.out.Progress("Sent %d of %d sample events to http://%s/v1/batch", to, len(events), d.gateway)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
	}
	d.out.Done()
	return nil
}

// post sends one batch; a gateway that is full says when to come again.
func (d *demo) post(ctx context.Context, events []sample.Event) error {
	body, err := json.Marshal(map[string]any{"batch": events, "sentAt": time.Now().UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		wait, err := d.postOnce(ctx, body)
		if err == nil || wait == 0 || attempt == 20 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// postOnce says after which time another attempt makes sense; 0 = none does.
func (d *demo) postOnce(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.gateway+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(d.sender.WriteKey, "")
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return time.Second, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return time.Second, err
	}
	if resp.StatusCode == http.StatusOK {
		return 0, nil
	}
	err = fmt.Errorf("the gateway answers %s: %s", resp.Status, bytes.TrimSpace(answer))
	if resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return max(time.Duration(seconds)*time.Second, 100*time.Millisecond), err
	}
	return 0, err
}

// await polls the count of this run's events.
func (d *demo) await(ctx context.Context) error {
	limit := d.cfg.FileAge + visibleWithin
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(250 * time.Millisecond)
	defer poll.Stop()
	found := 0
	for {
		n, err := d.count(ctx)
		switch {
		case err == nil:
			found = n
		case ctx.Err() == nil && !errors.Is(err, query.ErrNoDatabase) && !errors.Is(err, query.ErrNoTable):
			return fmt.Errorf("count the sample events: %w", err)
		}
		d.out.Progress("Waiting until they can be queried: %d of %d", found, d.cfg.DemoEvents)
		if found == d.cfg.DemoEvents {
			d.out.Done()
			return nil
		}
		select {
		case <-ctx.Done():
			d.out.Done()
			return fmt.Errorf("after %s SQL finds %d of the %d events that the gateway accepted: %w", limit, found, d.cfg.DemoEvents, ctx.Err())
		case <-poll.C:
		}
	}
}

func (d *demo) count(ctx context.Context) (int, error) {
	result, err := d.lake.Query(ctx, fmt.Sprintf("select count(*) from eventlogs where sourceid='%s' and starts_with(messageid, '%s')",
		d.sender.ID, sample.Prefix(d.run)))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fmt.Sprint(result.Values[0][0]))
}

// firstQuery is outside.md's, with the source that sent the events.
func firstQuery(source string) string {
	return "select type, count(messageid) from eventlogs where sourceid='" + source +
		"' and date_trunc('day', timestamp) = current_date group by 1 order by 2 desc"
}

func (d *demo) answer(ctx context.Context) error {
	question := firstQuery(d.sender.ID)
	result, err := d.lake.Query(ctx, question)
	if err != nil {
		return err
	}
	d.out.Line("\n%s\n", question)
	if err := result.Write(d.out, rows.Table); err != nil {
		return err
	}
	fresh, err := d.lake.Freshness(ctx, lake.EventLogsName)
	if err != nil {
		return err
	}
	d.out.Line("\n%s", fresh[0])
	return nil
}
