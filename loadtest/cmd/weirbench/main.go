// Weirbench measures what an event costs weir, beside the usual Go way in the same run: the sink's path from Kafka
// to Parquet, the whole sink with the raw copy, uploads and protocol, and the gateway's from HTTP to Kafka.
// Each row is a process of its own on one core (GOMAXPROCS=1) whose CPU time is counted; Kafka, S3, Glue and the
// load stand in the parent. Then each gateway gets half of the load that it took, by a schedule, to see how long requests
// take. It prints its tables and writes bench.json.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"

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

	HalfLoad *HalfLoad `json:"half_load,omitempty"`
	RSS      []float64 `json:"rss_mib,omitempty"`      // after each part of a row that has several
	LongRSS  []float64 `json:"long_rss_mib,omitempty"` // after each tenth of -long

	reached float64 // events a second of the closed loop on this machine, Kafka and the load beside it
}

// row is one thing to measure. run is the child's part; load is what the parent does meanwhile.
type row struct {
	name   string
	events int    // how many are measured, of the corpus in turn
	naive  string // the row of the same work in the usual way; "" = the plain one of its kind
	run    func(ctx context.Context, c child) (int64, error)
	load   *load                                                 // nil = the process finds its events itself
	parts  int                                                   // the load stops so often to look at the memory; 0 = never
	fill   func(ctx context.Context, w *world, events int) error // before the process starts; nil = the corpus is there already
}

var rows = slices.Concat(encodeRows, sinkRows, gatewayRows)

var encodeRows = []row{
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
}

var sinkRows = []row{
	{name: "sink/naive", events: 100_000, run: runNaiveSink},
	{name: "sink/parquet", events: 200_000, run: runParquet},
	{name: "sink/naive/raw", events: 100_000, naive: "sink/naive/raw", run: runNaiveSinkRaw},
	{name: "sink/parquet+raw", events: 200_000, naive: "sink/naive/raw", run: runParquetRaw},
	{name: "sink/parquet+raw/whole", events: 200_000, naive: "sink/naive/raw", run: runSink(wholeSink)},
	{name: "sink/parquet+raw/1000 partitions", events: 4_000_000, naive: "sink/naive/raw", run: runSink(manySink), fill: fillMany},
}

// gatewayRows stand beside net/http that only reads and answers (floor), and the usual way (naive).
var gatewayRows = []row{
	{name: "gateway/floor/batch100", events: 400_000, naive: "gateway/naive/batch100", run: runFloor, load: posts(100, batchSenders)},
	{name: "gateway/naive/batch100", events: 100_000, naive: "gateway/naive/batch100", run: runNaiveGateway, load: posts(100, batchSenders)},
	{name: "gateway/batch100", events: 200_000, naive: "gateway/naive/batch100", run: runGateway, load: posts(100, batchSenders)},
	{name: "gateway/naive/batch100/gzip", events: 100_000, naive: "gateway/naive/batch100/gzip", run: runNaiveGateway, load: postsGzip(100, batchSenders)},
	{name: "gateway/batch100/gzip", events: 200_000, naive: "gateway/naive/batch100/gzip", run: runGateway, load: postsGzip(100, batchSenders)},
	{name: "gateway/connect", events: 200_000, naive: "gateway/naive/batch100", run: runGateway, load: calls(100, batchSenders)},
	{name: "gateway/connect/stream", events: 200_000, naive: "gateway/naive/batch100", run: runGateway, load: streams(100, streamSenders)},
	{name: "gateway/grpc/stream", events: 200_000, naive: "gateway/naive/batch100", run: runGateway, load: streams(100, streamSenders, connect.WithGRPC())},
	{name: "gateway/floor/batch10", events: 100_000, naive: "gateway/naive/batch10", run: runFloor, load: posts(10, batchSenders)},
	{name: "gateway/naive/batch10", events: 50_000, naive: "gateway/naive/batch10", run: runNaiveGateway, load: posts(10, batchSenders)},
	{name: "gateway/batch10", events: 100_000, naive: "gateway/naive/batch10", run: runGateway, load: posts(10, batchSenders)},
	{name: "gateway/floor/single/64", events: 40_000, naive: "gateway/naive/single/64", run: runFloor, load: posts(1, 64)},
	{name: "gateway/naive/single/8", events: 10_000, naive: "gateway/naive/single/8", run: runNaiveGateway, load: posts(1, 8)},
	{name: "gateway/single/8", events: 10_000, naive: "gateway/naive/single/8", run: runGateway, load: posts(1, 8)},
	{name: "gateway/naive/single/64", events: 20_000, naive: "gateway/naive/single/64", run: runNaiveGateway, load: posts(1, 64)},
	{name: "gateway/single/64", events: 40_000, naive: "gateway/naive/single/64", run: runGateway, load: posts(1, 64)},
	{name: "gateway/naive/single/512", events: 40_000, naive: "gateway/naive/single/512", run: runNaiveGateway, load: posts(1, 512)},
	{name: "gateway/single/512", events: 80_000, naive: "gateway/naive/single/512", run: runGateway, load: posts(1, 512)},
	{name: "gateway/long", events: 2_000_000, naive: "gateway/naive/batch100", run: runGateway, load: posts(100, batchSenders), parts: 4},
}

func main() {
	out := flag.String("out", "bench.json", "file of the results")
	only := flag.String("only", "", "measure only rows whose name starts with this")
	rounds := flag.Int("rounds", 1, "measure each row so often and keep the median by CPU")
	halfLoad := flag.Duration("half-load", 5*time.Second, "measure how long requests to a gateway take at half load for so long; 0 = not")
	long := flag.Duration("long", 0, "keep gateways whose memory is looked at on half load for so long besides, and look ten times; 0 = not")
	profiles := flag.String("profiles", "", "write a CPU profile of each row into this folder")
	asChild := flag.String("child", "", "internal: be the process of this row")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *profiles != "" {
		os.Setenv("WEIRBENCH_PROFILES", *profiles) // for the rows' processes
		*halfLoad = 0                              // what comes last would stand in the profile
	}
	err := func() error {
		if *asChild != "" {
			return beChild(ctx, *asChild)
		}
		return measureAll(ctx, *out, *only, *rounds, spans{half: *halfLoad, long: *long})
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		os.Exit(1)
	}
}

// spans are how long gateways stand under half of their load: those whose time counts, and those whose memory does.
type spans struct{ half, long time.Duration }

func measureAll(ctx context.Context, out, only string, rounds int, under spans) error {
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
		result, err := measureRow(ctx, w, r, rounds, under)
		if err != nil {
			return fmt.Errorf("measure %s: %w", r.name, err)
		}
		results = append(results, result)
		fmt.Fprintf(os.Stderr, "%s done\n", r.name)
	}
	print(results)
	printHalfLoads(os.Stdout, results)
	printMemory(os.Stdout, results)
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	return os.WriteFile(out, append(text, '\n'), 0o644)
}

// measureRow keeps the median by CPU of the rounds, and puts half of that round's load on a process of its own.
func measureRow(ctx context.Context, w *world, r row, rounds int, under spans) (Result, error) {
	var tries []Result
	for range rounds {
		result, err := w.measure(ctx, r)
		if err != nil {
			return Result{}, err
		}
		tries = append(tries, result)
	}
	slices.SortFunc(tries, func(a, b Result) int { return cmp.Compare(a.Micros, b.Micros) })
	median := tries[len(tries)/2]
	var err error
	switch {
	case r.load == nil:
	case r.parts > 0 && under.long > 0:
		_, err = w.process(ctx, r, func(addr string, pid int) (err error) {
			median.LongRSS, err = w.memory(ctx, r, addr, pid, median.reached, under.long)
			return err
		})
	case r.parts == 0 && under.half > 0:
		_, err = w.process(ctx, r, func(addr string, _ int) (err error) {
			median.HalfLoad, err = w.halfLoad(ctx, r, addr, median.reached, under.half)
			return err
		})
	}
	return median, err
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
	kind, _, _ := strings.Cut(r.Name, "/")
	naive := kind + "/naive"
	if i := slices.IndexFunc(rows, func(row row) bool { return row.name == r.Name }); i >= 0 {
		naive = cmp.Or(rows[i].naive, naive)
	}
	for _, n := range results {
		if n.Name == naive {
			return fmt.Sprintf("%.2f×", n.Micros/r.Micros)
		}
	}
	return ""
}
