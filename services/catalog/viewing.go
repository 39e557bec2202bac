package catalog

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/pkg/glue"
	"weir/pkg/s3"
	"weir/pkg/telemetry"
	"weir/services/catalog/internal/ledger"
	"weir/services/catalog/internal/views"
	"weir/services/catalog/internal/views/keep"
)

func (c Config) viewLimits() views.Limits {
	return views.Limits{Views: c.MaxViews, Columns: c.MaxViewColumns}
}

// newViews wires the keeper of views. It hears of every batch of the ledger, in which events are counted.
func newViews(cfg Config, store *s3.Store, g *glue.Catalog, m *metrics) *keep.Keeper {
	if cfg.MaxViews > 0 {
		m.health.Set(string(keep.Dependency), nil) // until something is wrong
	}
	s := keep.Settings{Database: cfg.Database, Limits: cfg.viewLimits()}
	return keep.NewKeeper(s, store, g, m.views.fact, m.fact)
}

// heard passes a ledger's facts on, and tells the views of new counts.
func heard(k *keep.Keeper, tell ledger.Observer) ledger.Observer {
	return func(f ledger.Fact) {
		if _, ok := f.(ledger.Written); ok {
			k.New()
		}
		tell(f)
	}
}

// viewMetrics turns the facts of the views' keeper into log lines and instruments. It belongs to that one's goroutine.
type viewMetrics struct {
	log     *slog.Logger
	views   metric.Int64Gauge
	unnoted metric.Int64Gauge
	logged  map[keep.Foreign]struct{}
}

// foreignLogged bounds how many names of others are told.
const foreignLogged = 1000

func newViewMetrics(tel *telemetry.Telemetry) (*viewMetrics, error) {
	m := &viewMetrics{log: tel.Log, logged: make(map[keep.Foreign]struct{})}
	var errs [2]error
	m.views, errs[0] = tel.Meter.Int64Gauge("weir.catalog.views", metric.WithUnit("{view}"),
		metric.WithDescription("Views over events: that there are, and events that have none because max-views is reached."))
	m.unnoted, errs[1] = tel.Meter.Int64Gauge("weir.catalog.views.unnoted", metric.WithUnit("{item}"),
		metric.WithDescription("Events, and values of properties, that were left out of what views are made from, since the lake began: there are too many names."))
	return m, errors.Join(errs[:]...)
}

func (m *viewMetrics) fact(f keep.Fact) {
	ctx := context.Background()
	of := func(kind string) metric.RecordOption { return metric.WithAttributes(attribute.String("kind", kind)) }
	switch f := f.(type) {
	case keep.Counted:
		m.views.Record(ctx, int64(f.Views), of("there"))
		m.views.Record(ctx, int64(f.Waiting), of("waiting"))
		m.unnoted.Record(ctx, f.Unnoted.Events, of("events"))
		m.unnoted.Record(ctx, f.Unnoted.Values, of("values"))
	case keep.Shown:
		text := "a view has new columns"
		if f.Made {
			text = "a view was made"
		}
		m.log.Info(text, "view", f.Name, "type", f.Event.Type, "event", f.Event.Name, "typed_columns", f.Columns)
	case keep.Foreign:
		m.foreign(f)
	case keep.Refused:
		m.log.Error("Glue refuses a view; the events can be queried in eventlogs", "view", f.Name, "type", f.Event.Type, "event", f.Event.Name, "err", f.Err)
	}
}

// foreign tells of each name once.
func (m *viewMetrics) foreign(f keep.Foreign) {
	if _, told := m.logged[f]; told || len(m.logged) == foreignLogged {
		return
	}
	m.logged[f] = struct{}{}
	if f.Column != "" {
		m.log.Warn("somebody has changed a column of a view; it is left as it is and gets no new columns", "view", f.Name, "column", f.Column,
			"type", f.Event.Type, "event", f.Event.Name)
		return
	}
	m.log.Warn("something of somebody else stands where a view belongs; it is left alone and there is no view", "name", f.Name, "kind", f.Kind,
		"type", f.Event.Type, "event", f.Event.Name)
}
