package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/metric"

	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/livetail"
)

// tailPath is where the admin port has the live tail. The public listener does not have it.
const tailPath = "/tail"

// openTail puts the live tail on the admin port and its metrics beside the others.
func (g *gateway) openTail() error {
	g.tap = livetail.New(strconv.FormatInt(time.Now().UnixNano(), 36))
	seen, err := observeTail(g.tel.Meter, g.tap)
	if err != nil {
		return fmt.Errorf("register metrics of the live tail: %w", err)
	}
	remove := g.tel.Page(tailPath, g.tap)
	g.untap = func() {
		remove()
		if err := seen.Unregister(); err != nil {
			g.tel.Log.Warn("metrics of the live tail could not be unregistered", "err", err)
		}
	}
	return nil
}

// ingested tells everybody who wants to know what became of a request.
func (g *gateway) ingested(o ingest.Outcome) {
	g.metrics.ingested(o)
	g.tap.Note(o)
}

func observeTail(meter metric.Meter, tap *livetail.Tap) (metric.Registration, error) {
	r := registrar{meter: meter}
	watchers := r.gauge("weir.gateway.livetail.watchers", "{watcher}", "Who watches the live tail.")
	events, err := meter.Int64ObservableCounter("weir.gateway.livetail.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events of the live tail while somebody watches: shown, passed_over because there were too many, missed by a watcher that was too slow."))
	r.note(err)
	shown, over, missed := metric.WithAttributes(some("outcome", "shown")...), metric.WithAttributes(some("outcome", "passed_over")...), metric.WithAttributes(some("outcome", "missed")...)
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		a, b, c := tap.Totals()
		o.ObserveInt64(watchers, int64(tap.Watchers()))
		o.ObserveInt64(events, a, shown)
		o.ObserveInt64(events, b, over)
		o.ObserveInt64(events, c, missed)
		return nil
	}, watchers, events)
	r.note(err)
	return registration, errors.Join(r.errs...)
}
