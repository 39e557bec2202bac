package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	goruntime "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// startOTel wires metrics, traces and logs as the environment says. The Go SDK does not
// know OTEL_SDK_DISABLED, and falls back to an exporter that retries a collector on
// localhost; both are decided here.
func (t *Telemetry) startOTel(ctx context.Context, o Options) error {
	propagator, err := propagatorOf(os.Getenv("OTEL_PROPAGATORS"))
	if err != nil {
		return err
	}
	t.Propagator = propagator
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil
	}
	// A collector that is away is reported like everything else, and not too often.
	limited := NewLimiter(t.Log)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		limited.Warn(context.Background(), "telemetry", "telemetry was not exported", "err", err)
	}))
	build := ReadBuild()
	if o.Version != "" {
		build.Version = o.Version
	}
	res, err := resourceOf(ctx, o.Service, build.Version)
	if err != nil {
		return err
	}
	if err := t.startMetrics(ctx, res, build); err != nil {
		return err
	}
	if err := t.startTraces(ctx, res); err != nil {
		return err
	}
	return t.startLogs(ctx, res)
}

func resourceOf(ctx context.Context, service, version string) (*resource.Resource, error) {
	// The environment comes last: what it says wins.
	res, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "weir-"+service),
			attribute.String("service.version", version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return res, nil
}

func (t *Telemetry) startMetrics(ctx context.Context, res *resource.Resource, build Build) error {
	scrape, err := promexporter.New(promexporter.WithRegisterer(t.registry), promexporter.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("make the Prometheus exporter: %w", err)
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scrape)}
	if exported("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("export metrics as OTEL_METRICS_EXPORTER and OTEL_EXPORTER_OTLP_* say: %w", err)
		}
		opts = append(opts, sdkmetric.WithReader(reader))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.stop = append(t.stop, provider.Shutdown)
	t.Meter = provider.Meter(scope)
	if err := t.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return fmt.Errorf("register process metrics: %w", err)
	}
	if err := goruntime.Start(goruntime.WithMeterProvider(provider)); err != nil {
		return fmt.Errorf("start Go runtime metrics: %w", err)
	}
	return t.reportBuild(build)
}

func (t *Telemetry) reportBuild(b Build) error {
	attrs := metric.WithAttributes(attribute.String("version", b.Version),
		attribute.String("commit", b.Commit), attribute.String("go_version", runtime.Version()))
	_, err := t.Meter.Int64ObservableGauge("weir.build.info",
		metric.WithDescription("Always 1; its labels say what runs."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(1, attrs)
			return nil
		}))
	return err
}

func (t *Telemetry) startTraces(ctx context.Context, res *resource.Resource) error {
	if !exported("TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("export traces as OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_* say: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
	t.stop = append(t.stop, provider.Shutdown)
	t.Tracer = provider.Tracer(scope)
	return nil
}

// startLogs exports what is logged, beside writing it.
func (t *Telemetry) startLogs(ctx context.Context, res *resource.Resource) error {
	if !exported("LOGS") {
		return nil
	}
	exporter, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return fmt.Errorf("export logs as OTEL_LOGS_EXPORTER and OTEL_EXPORTER_OTLP_* say: %w", err)
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	t.stop = append(t.stop, provider.Shutdown)
	t.Log = slog.New(exportedToo(t.Log.Handler(), otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))))
	return nil
}

// exported says whether a signal leaves the process: its exporter is named, or an
// endpoint is. The exporter "prometheus" is /metrics on the admin port, which is
// there anyway.
func exported(signal string) bool {
	switch os.Getenv("OTEL_" + signal + "_EXPORTER") {
	case "none", "prometheus":
		return false
	case "":
		return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
			os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
	}
	return true
}

func propagatorOf(names string) (propagation.TextMapPropagator, error) {
	if names == "" {
		names = "tracecontext,baggage"
	}
	var list []propagation.TextMapPropagator
	for name := range strings.SplitSeq(names, ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			list = append(list, propagation.TraceContext{})
		case "baggage":
			list = append(list, propagation.Baggage{})
		case "none":
		default:
			return nil, fmt.Errorf("OTEL_PROPAGATORS: %q is not supported: want tracecontext, baggage or none", name)
		}
	}
	return propagation.NewCompositeTextMapPropagator(list...), nil
}
