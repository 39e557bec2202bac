package telemetry

import "go.opentelemetry.io/otel/metric"

// OpenTelemetry's default bounds are made for milliseconds: in them a flush of 1.2 s
// and a file of 128 MiB are both off the scale. Every histogram names its bounds.

// BucketsOf sets a histogram's bounds, in its unit.
func BucketsOf(bounds ...float64) metric.HistogramOption {
	return metric.WithExplicitBucketBoundaries(bounds...)
}

// RequestSeconds suits a request that is answered in milliseconds to seconds.
func RequestSeconds() metric.HistogramOption {
	return BucketsOf(.001, .0025, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10)
}

// AttemptSeconds suits one attempt at a remote store.
func AttemptSeconds() metric.HistogramOption {
	return BucketsOf(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)
}

// FlushSeconds suits a flush and its phases.
func FlushSeconds() metric.HistogramOption {
	return BucketsOf(.05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
}

// DelaySeconds suits what analysts wait for: the catalog's delay, end to end.
func DelaySeconds() metric.HistogramOption {
	return BucketsOf(1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
}

// FileBytes suits a file of the lake.
func FileBytes() metric.HistogramOption {
	const ki, mi = 1 << 10, 1 << 20
	return BucketsOf(64*ki, 256*ki, mi, 4*mi, 16*mi, 32*mi, 64*mi, 128*mi, 256*mi, 512*mi, 1024*mi)
}

// EventBytes suits one event or one request.
func EventBytes() metric.HistogramOption {
	const ki, mi = 1 << 10, 1 << 20
	return BucketsOf(256, 512, ki, 2*ki, 4*ki, 8*ki, 16*ki, 32*ki, 128*ki, 512*ki, mi, 4*mi, 16*mi)
}

// Counts suits how many of something stand together: events of a batch, rows of a file.
func Counts() metric.HistogramOption {
	return BucketsOf(1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, 10_000, 100_000, 1_000_000)
}
