// Weirbench measures what an event costs weir, beside the usual Go way in the same run: the sink's path from Kafka
// to Parquet, the whole sink with the raw copy, uploads and protocol, and the gateway's from HTTP to Kafka.
// Each row is a process of its own on one core (GOMAXPROCS=1) whose CPU time is counted; Kafka, S3, Glue and the
// load stand in the parent. It prints a table and writes bench.json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"

	"weir/pkg/columnar"
)

// Result is one row of bench.json.
type Result struct {
	Name        string  `json:"name"`
	Micros      float64 `json:"us_per_event"` // CPU of the process under test
	PerSecond   float64 `json:"events_per_s"` // of one core: 1e6 / us_per_event
	Bytes       float64 `json:"bytes_per_event"`
	Allocations float64 `json:"allocs_per_event"`
	PeakRSS     float64 `json:"peak_rss_mib"`
}

// row is one thing to measure. run is the child's part; drive is what the parent does meanwhile.
type row struct {
	name   string
	events int // how many are measured, of the corpus in turn
	run    func(ctx context.Context, c child) (int64, error)
	drive  func(ctx context.Context, addr string, corpus [][]byte, events int) error
	fill   func(ctx context.Context, w *world, events int) error // before the process starts; nil = the corpus is there already
}

var rows = []row{
	{name: "encode/naive", events: 100_000, run: runNaiveEncode},
	{name: "encode/parquet-go", events: 200_000, run: runParquetGo},
	{name: "encode/arrow-go", events: 200_000, run: runArrow},
	{name: "encode/weir", events: 200_000, run: runEncode(plainMaps(columnar.Options{}))},
	{name: "encode/weir/bare", events: 200_000, run: runEncode(plainMaps(columnar.Options{Plain: true}))},
	{name: "encode/weir/promoted", events: 200_000, run: runEncode(mapsAndPromoted())},
	{name: "encode/weir/typed", events: 200_000, run: runEncode(typedAlone())},
	{name: "encode/weir/1000 files", events: 4_000_000, run: runManyFiles(plainMaps(columnar.Options{}))},
	{name: "encode/weir/1000 files/promoted", events: 4_000_000, run: runManyFiles(mapsAndPromoted())},
	{name: "encode/weir/1 GiB", events: 7_500_000, run: runEncode(plainMaps(columnar.Options{}))},
	{name: "sink/naive", events: 100_000, run: runNaiveSink},
	{name: "sink/parquet", events: 200_000, run: runParquet},
	{name: "sink/naive/raw", events: 100_000, run: runNaiveSinkRaw},
	{name: "sink/parquet+raw", events: 200_000, run: runParquetRaw},
	{name: "sink/parquet+raw/whole", events: 200_000, run: runSink(wholeSink)},
	{name: "sink/parquet+raw/1000 partitions", events: 4_000_000, run: runSink(manySink), fill: fillMany},
	{name: "gateway/naive/batch100", events: 100_000, run: runNaiveGateway, drive: drive(100)},
	{name: "gateway/batch100", events: 200_000, run: runGateway, drive: drive(100)},
	{name: "gateway/naive/single", events: 20_000, run: runNaiveGateway, drive: drive(1)},
	{name: "gateway/single", events: 40_000, run: runGateway, drive: drive(1)},
}

func main() {
	out := flag.String("out", "bench.json", "file of the results")
	only := flag.String("only", "", "measure only rows whose name starts with this")
	rounds := flag.Int("rounds", 1, "measure each row so often and keep the median by CPU")
	profiles := flag.String("profiles", "", "write a CPU profile of each row into this folder")
	asChild := flag.String("child", "", "internal: be the process of this row")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *profiles != "" {
		os.Setenv("WEIRBENCH_PROFILES", *profiles) // for the rows' processes
	}
	err := func() error {
		if *asChild != "" {
			return beChild(ctx, *asChild)
		}
		return measureAll(ctx, *out, *only, *rounds)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		os.Exit(1)
	}
}

func measureAll(ctx context.Context, out, only string, rounds int) error {
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	var results []Result
	for _, r := range rows {
		if !strings.HasPrefix(r.name, only) {
			continue
		}
		var tries []Result
		for range rounds {
			result, err := w.measure(ctx, r)
			if err != nil {
				return fmt.Errorf("measure %s: %w", r.name, err)
			}
			tries = append(tries, result)
		}
		slices.SortFunc(tries, func(a, b Result) int { return int(1e6*a.Micros) - int(1e6*b.Micros) })
		results = append(results, tries[len(tries)/2])
		fmt.Fprintf(os.Stderr, "%s done\n", r.name)
	}
	print(results)
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

func print(results []Result) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "name\tµs CPU/event\tevents/s/core\tbytes/event\tallocs/event\tpeak RSS MiB\tagainst naive\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.2f\t%.0f\t%.0f\t%.2f\t%.0f\t%s\t\n", r.Name, r.Micros, r.PerSecond, r.Bytes, r.Allocations, r.PeakRSS, against(r, results))
	}
	t.Flush()
}

// against compares a row with the naive row of the same work.
func against(r Result, results []Result) string {
	kind, rest, _ := strings.Cut(r.Name, "/")
	naive := kind + "/naive"
	switch {
	case kind == "gateway":
		naive += "/" + strings.TrimPrefix(rest, "naive/")
	case strings.Contains(rest, "raw"):
		naive += "/raw"
	}
	for _, n := range results {
		if n.Name == naive {
			return fmt.Sprintf("%.2f×", n.Micros/r.Micros)
		}
	}
	return ""
}
