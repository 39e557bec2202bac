package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	seeds   = flag.Uint64("seeds", 30, "how many seeds to run")
	first   = flag.Uint64("seed", 1, "the first of them")
	traced  = flag.Bool("trace", false, "print the trace of every seed")
	only    = flag.String("only", "", "no faults but those whose names hold this")
	report  = flag.String("report", "", "write the table of faults to this file")
	logInfo = flag.Bool("info", false, "put what services log below a warning into the trace")
)

func TestMain(m *testing.M) {
	for k, v := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		_ = os.Setenv(k, v)
	}
	os.Exit(m.Run())
}

// emptyPools comes before each bubble: what libraries keep in pools was made in another one and is no use here. Two
// collections empty them.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// play runs one seed in a bubble of its own.
func play(t *testing.T, o Options) (r Report) {
	t.Helper()
	emptyPools()
	o.Dir, o.LogInfo = t.TempDir(), *logInfo
	defer func() {
		if p := recover(); p != nil { // the bubble did not become empty
			if left := stacks(); left != "" {
				r.Violations = append(r.Violations, fmt.Sprintf("goroutines were left behind: %v\n%s", p, left))
			}
			t.Log(p)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		var err error
		r, err = Run(o)
		require.NoError(t, err)
	})
	return r
}

// reportedGoroutines were left behind by earlier seeds.
var reportedGoroutines = map[string]bool{}

// stacks are those of the goroutines that are in a bubble, but for one that the Kafka client now and then forgets when it
// is closed: it waits for a poll that is over, and holds nothing but the client.
func stacks() string {
	buf := make([]byte, 1<<20)
	var left []string
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		id, _, _ := strings.Cut(g, " [")
		if strings.Contains(strings.SplitN(g, "\n", 2)[0], "synctest bubble") && !strings.Contains(g, "LeaveGroupContext") && !reportedGoroutines[id] {
			reportedGoroutines[id] = true // they stay until the program ends
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// Without faults everything is there at once, and the auditor is content.
func TestQuiet(t *testing.T) {
	r := play(t, Options{Seed: 1, Load: 20 * time.Second, Quiet: true})
	require.Empty(t, r.Violations, r.Trace)
	require.Positive(t, r.Stats.Acknowledged)
	require.Positive(t, r.Stats.DeadLetters)
}

// Each seed is a schedule of faults. A seed that fails prints how to run it again, and what happened.
func TestSeeds(t *testing.T) {
	tally := newTally()
	for seed := *first; seed < *first+*seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			began := time.Now()
			r := play(t, Options{Seed: seed, Load: time.Minute, Only: *only})
			tally.add(r)
			t.Logf("%.2fs %+v", time.Since(began).Seconds(), r.Stats)
			if len(r.Violations) > 0 || *traced {
				t.Logf("schedule:\n%s\ntrace:\n%s", strings.Join(r.Schedule, "\n"), r.Trace)
			}
			if len(r.Violations) > 0 {
				t.Errorf("%s\nagain: go test ./loadtest/sim -run TestSeeds -v -args -seed %d -seeds 1", strings.Join(r.Violations, "\n"), seed)
			}
		})
	}
	var never []string
	for _, f := range Faults() {
		if tally.times[f.Name] == 0 {
			never = append(never, f.Name)
		}
		t.Logf("%6d  %s", tally.times[f.Name], f.Name)
	}
	if *report != "" {
		require.NoError(t, os.WriteFile(*report, tally.page(*first, *seeds), 0o600))
	}
	// A fault is dealt about four times in thirty seeds, and may miss its moment each time. In two hundred none may.
	switch {
	case *seeds >= 200:
		require.Empty(t, never, "these faults never happened: the test has a hole")
	case *seeds >= 30:
		require.LessOrEqual(t, len(never), 20, "these faults never happened: %v", never)
	}
}
