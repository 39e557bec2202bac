package gateway

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"weir/pkg/telemetry"
)

// registrar makes instruments and keeps the errors for one look at the end.
type registrar struct {
	meter metric.Meter
	errs  []error
}

func (r *registrar) note(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

func (r *registrar) counter(name, unit, help string) metric.Int64Counter {
	c, err := r.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(help))
	r.note(err)
	return c
}

func (r *registrar) upDown(name, unit, help string) metric.Int64UpDownCounter {
	c, err := r.meter.Int64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(help))
	r.note(err)
	return c
}

func (r *registrar) gauge(name, unit, help string) metric.Int64ObservableGauge {
	g, err := r.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(help))
	r.note(err)
	return g
}

func (r *registrar) histogram(name, unit, help string, buckets metric.HistogramOption) metric.Int64Histogram {
	h, err := r.meter.Int64Histogram(name, metric.WithUnit(unit), metric.WithDescription(help), buckets)
	r.note(err)
	return h
}

func (r *registrar) seconds(name, help string) metric.Float64Histogram {
	h, err := r.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(help), telemetry.RequestSeconds())
	r.note(err)
	return h
}

// some makes attributes of names and values, leaving out what is empty.
func some(pairs ...any) []attribute.KeyValue {
	var list []attribute.KeyValue
	for i := 0; i < len(pairs); i++ {
		if kv, ok := pairs[i].(attribute.KeyValue); ok {
			list = append(list, kv)
			continue
		}
		name, value := pairs[i].(string), pairs[i+1].(string)
		if i++; value != "" {
			list = append(list, attribute.String(name, value))
		}
	}
	return list
}
