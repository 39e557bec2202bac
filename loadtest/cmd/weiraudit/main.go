//go:build duckdb

// Weiraudit judges a chaos run from outside: it reads what the producers were told (the run's ledgers), what Kafka
// holds, the objects with DuckDB, and Glue; and says whether every acknowledged event stands exactly once in the table
// and in the raw copy, every indeterminate one at most once, every rejected one not at all, and nothing else stands
// there. It shares no code with weir: what it knows of it is the layout that everybody's SQL relies on. It ends with
// 0 where every promise held, 3 where one did not, 1 where it could not judge, 2 on wrong usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"weir/loadtest/audit"
	"weir/loadtest/chaos/record"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	asJSON := flag.Bool("json", false, "print the verdict as JSON")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: weiraudit [--json] folder-of-the-record")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	verdict, err := judgeRun(ctx, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "weiraudit:", err)
		os.Exit(exitFailed)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(verdict)
	} else {
		print(verdict)
	}
	if !verdict.OK {
		os.Exit(exitFound)
	}
}

func judgeRun(ctx context.Context, dir string) (record.Verdict, error) {
	run, err := record.ReadRun(dir)
	if err != nil {
		return record.Verdict{}, err
	}
	e := evidence{run: run}
	if e.fates, err = readFates(dir); err != nil {
		return record.Verdict{}, err
	}
	if e.actions, err = record.ReadActions(dir); err != nil {
		return record.Verdict{}, err
	}
	if e.seen, err = record.ReadSeen(dir); err != nil {
		return record.Verdict{}, err
	}
	if e.state, err = readState(ctx, run, e.fates); err != nil {
		return record.Verdict{}, err
	}
	if e.table, e.objects, err = readLake(ctx, run); err != nil {
		return record.Verdict{}, err
	}
	if e.glue, err = readGlue(ctx, run); err != nil {
		return record.Verdict{}, err
	}
	return judge(e), nil
}

// readState reads what loadtest/audit compares: Kafka, the lake, and what the producers were told.
func readState(ctx context.Context, run record.Run, fates map[record.ID]fate) (s audit.State, err error) {
	s.Sent = sent(run, fates)
	if s.Lake, err = audit.ReadLake(ctx, run.Lake, run.Topic); err != nil {
		return s, err
	}
	if s.Log, err = audit.ReadLog(ctx, run.Brokers, run.Topic); err != nil {
		return s, err
	}
	s.DeadLetters, err = audit.ReadDeadLetters(ctx, run.Brokers, run.DeadLetterTopic, s.Log)
	return s, err
}

func print(v record.Verdict) {
	fmt.Printf("acknowledged %d, indeterminate %d (%d of them in the table), rejected %d\n", v.Acked, v.Indeterminate, v.IndeterminateInTable, v.Rejected)
	fmt.Printf("in Kafka %d, in the table %d, in the raw copy %d, dead letters %d (%d produced again)\n", v.InKafka, v.InTable, v.InRaw, v.DeadLetters, v.DeadLettersRepeated)
	fmt.Printf("missing %d, doubled %d, faults %d\n", v.Missing, v.Doubled, v.Faults)
	for _, f := range v.FaultList {
		fmt.Printf("  %d × %s: %v\n", f.Count, f.Kind, f.First)
	}
	fmt.Printf("in the table after p50 %.1f s, p99 %.1f s, worst %.1f s\n", v.Freshness.P50, v.Freshness.P99, v.Freshness.Max)
}
