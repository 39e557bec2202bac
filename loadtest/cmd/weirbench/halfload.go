package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// HalfLoad is how long requests took at half the rate that the closed loop reached on this machine, Kafka and the load
// beside it. The time counts from when a request was due, not from when it was sent.
type HalfLoad struct {
	PerSecond float64 `json:"events_per_s"`
	Requests  int     `json:"requests"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p99.9_ms"`
	Max       float64 `json:"max_ms"`
}

// summary sorts took.
func summary(perSecond float64, took []time.Duration) *HalfLoad {
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[min(int(q*float64(len(took))), len(took)-1)]) / float64(time.Millisecond)
	}
	return &HalfLoad{PerSecond: perSecond, Requests: len(took), P50: at(0.5), P99: at(0.99), P999: at(0.999), Max: at(1)}
}

func printHalfLoads(out io.Writer, results []Result) {
	if !slices.ContainsFunc(results, func(r Result) bool { return r.HalfLoad != nil }) {
		return
	}
	fmt.Fprintln(out, "\nAt half the rate that the closed loop reached, from when a request was due to its answer, ms:")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "name\tevents/s\trequests\tp50\tp99\tp99.9\tmax\t")
	for _, r := range results {
		if h := r.HalfLoad; h != nil {
			fmt.Fprintf(t, "%s\t%.0f\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", r.Name, h.PerSecond, h.Requests, h.P50, h.P99, h.P999, h.Max)
		}
	}
	t.Flush()
}

// printMemory shows the rows that ran long.
func printMemory(out io.Writer, results []Result) {
	for _, r := range results {
		if len(r.RSS) > 0 {
			fmt.Fprintf(out, "\n%s, RSS after each part, MiB: %.0f\n", r.Name, r.RSS)
		}
		if len(r.LongRSS) > 0 {
			fmt.Fprintf(out, "%s at half load, RSS after each tenth, MiB: %.0f\n", r.Name, r.LongRSS)
		}
	}
}
