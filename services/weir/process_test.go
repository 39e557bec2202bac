//go:build duckdb

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/dev"
)

// binary is the program under test: the one that WEIR_BIN names, or one that is
// built once.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "weir-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "weir")
	out, err := exec.Command("go", "build", "-tags", "duckdb", "-o", bin, "weir/services/weir").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv("WEIR_BIN") == "" {
		if bin, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(bin))
		}
	}
	os.Exit(code)
}

// devProcess is a weir dev in a process of its own.
type devProcess struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	out    bytes.Buffer // read it after the process has ended
	ended  chan struct{}
	listen dev.Addresses
}

func devArgs(dir string, more ...string) []string {
	args := []string{"dev", "--dir", dir, "--file-age", "500ms"}
	for _, part := range []string{"gateway", "admin", "kafka", "s3", "glue"} {
		args = append(args, "--"+part+"-addr", "127.0.0.1:0")
	}
	return append(args, more...)
}

// startDev starts one and waits until it says where it is.
func startDev(t *testing.T, dir string) *devProcess {
	t.Helper()
	bin, err := binary()
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "addresses.json"))) // a kill -9 leaves it
	p := &devProcess{t: t, dir: dir, cmd: exec.Command(bin, devArgs(dir)...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	p.poll(30*time.Second, func() error {
		p.listen, err = dev.ReadAddresses(dir)
		return err
	})
	return p
}

// poll asks again and again: another process's progress has no other sign.
func (p *devProcess) poll(limit time.Duration, ask func() error) {
	p.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(limit)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			require.FailNow(p.t, "weir dev ended by itself", p.out.String())
		case <-giveUp:
			require.NoError(p.t, err)
		}
	}
}

func (p *devProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// terminate asks it to stop, and says how it ended.
func (p *devProcess) terminate() int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		require.FailNow(p.t, "weir dev does not stop")
	}
	return p.cmd.ProcessState.ExitCode()
}

// sender sends events one batch after another and keeps the ids of those that
// were acknowledged. It never sends an id twice.
type sender struct {
	gateway      string
	n            int
	acknowledged []string
}

func (s *sender) post(ctx context.Context) {
	var ids []string
	var events []map[string]any
	for range 20 {
		s.n++
		id := fmt.Sprintf("kill-%06d", s.n)
		ids = append(ids, id)
		events = append(events, map[string]any{"type": "track", "event": "Kill", "userId": "u", "messageId": id})
	}
	body, _ := json.Marshal(map[string]any{"batch": events})
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.gateway+"/v1/batch", bytes.NewReader(body))
	req.SetBasicAuth("dev-write-key", "")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		s.acknowledged = append(s.acknowledged, ids...)
	}
}

// sendUntil sends at a visible pace until stop.
func (s *sender) sendUntil(stop <-chan time.Time) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.post(context.Background())
		}
	}
}

// ask asks by the program itself, over its standard input, and reads its JSON.
func ask(dir, sql string) ([]map[string]any, error) {
	bin, err := binary()
	if err != nil {
		return nil, err
	}
	var errs bytes.Buffer
	cmd := exec.Command(bin, "query", "--dir", dir, "--output", "json")
	cmd.Stdin, cmd.Stderr = strings.NewReader(sql), &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	if !strings.Contains(errs.String(), "visible through 20") {
		return nil, fmt.Errorf("no freshness line: %s", errs.String())
	}
	var rows []map[string]any
	return rows, json.Unmarshal(out, &rows)
}

// mustAsk is ask for one row of a lake that has its tables.
func mustAsk(t *testing.T, dir, sql string) map[string]any {
	t.Helper()
	rows, err := ask(dir, sql)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	return rows[0]
}

func TestDevSurvivesKillAndRestart(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	send := &sender{}
	for range 4 { // the last one is not killed
		p := startDev(t, dir)
		send.gateway = p.listen.Gateway
		send.sendUntil(time.After(time.Duration(700+rng.IntN(1500)) * time.Millisecond))
		p.kill()
	}
	require.NotEmpty(t, send.acknowledged)

	p := startDev(t, dir)
	last := len(send.acknowledged)
	send.gateway = p.listen.Gateway
	send.post(t.Context())
	require.Greater(t, len(send.acknowledged), last)
	want := fmt.Sprintf("'%s'", strings.Join(send.acknowledged, "','"))
	count := fmt.Sprintf("select count(*) as n, count(distinct messageid) as ids, count(*) filter (messageid in (%s)) as acknowledged from eventlogs", want)
	p.poll(time.Minute, func() error {
		rows, err := ask(dir, count)
		if err == nil && rows[0]["acknowledged"].(float64) < float64(len(send.acknowledged)) {
			err = fmt.Errorf("%v of %d acknowledged events can be queried", rows[0], len(send.acknowledged))
		}
		return err
	})
	got := mustAsk(t, dir, count)
	require.EqualValues(t, len(send.acknowledged), got["acknowledged"], "none is doubled")
	require.Equal(t, got["ids"], got["n"], "no other event is doubled either")
	raw := mustAsk(t, dir, "select count(*) as n, count(distinct messageid) as ids from eventlogs_raw")
	require.Equal(t, got["n"], raw["n"], "the raw copy has the same events")
	require.Equal(t, got["ids"], raw["ids"])

	bin, err := binary()
	require.NoError(t, err)
	out, err := exec.Command(bin, "catalog", "partitions", "--dir", dir, "--output", "csv", "eventlogs").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "source1,"+time.Now().UTC().Format(time.DateOnly)+",s3://weir/lake/eventlogs/sourceid=source1/dt=")
	out, err = exec.Command(bin, "verify", "--dir", dir, "--rows").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "nothing is missing, nothing is doubled")
	p.ledgerAgrees(int(got["n"].(float64)))
	for flag, says := range map[string]string{"--group": `that is group "weir-sink"`, "--topic": `there is no topic "typo"`} {
		cmd := exec.Command(bin, "verify", "--dir", dir, flag, "typo")
		out, err = cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, exitUsage, cmd.ProcessState.ExitCode(), string(out))
		require.Contains(t, string(out), says)
	}

	require.Equal(t, exitDone, p.terminate(), "a SIGTERM is no failure")
	_, err = dev.ReadAddresses(dir)
	require.ErrorIs(t, err, dev.ErrNotRunning)

	p = startDev(t, dir) // a clean stop is taken up too
	require.Equal(t, got["n"], mustAsk(t, dir, count)["n"])
	require.Equal(t, exitDone, p.terminate())
}

// ledgerAgrees waits until the table of files has caught up, and looks whether it says what the tables hold.
func (p *devProcess) ledgerAgrees(events int) {
	p.t.Helper()
	const sums = "select table_name, sum(rows) as n, count(*) - count(distinct key) as doubled, sum(bytes) as bytes, " +
		"sum(list_sum(map_values(column_bytes))) as columns, count(visible_at) as seen, min(first_offset) as least, " +
		"bool_and(min_time <= max_time and max_time <= flushed_at and dt = strftime(min_time, '%Y-%m-%d')) as timely " +
		"from weir_files group by 1 order by 1"
	var rows []map[string]any
	p.poll(time.Minute, func() (err error) {
		rows, err = ask(p.dir, sums)
		if err == nil && (len(rows) < 2 || rows[0]["n"].(float64) < float64(events)) {
			err = fmt.Errorf("weir_files holds %v of %d rows", rows, events)
		}
		return err
	})
	for i, table := range []string{"eventlogs", "eventlogs_raw"} {
		require.Equal(p.t, table, rows[i]["table_name"])
		require.EqualValues(p.t, events, rows[i]["n"])
		require.EqualValues(p.t, 0, rows[i]["doubled"])
		require.EqualValues(p.t, 0, rows[i]["least"])
		require.Positive(p.t, rows[i]["seen"])
		require.Equal(p.t, true, rows[i]["timely"])
	}
	require.Nil(p.t, rows[1]["columns"])
	share := rows[0]["columns"].(float64) / rows[0]["bytes"].(float64)
	require.True(p.t, share > 0.2 && share < 1, "columns are %f of the objects", share) // small files are footer for the most part

	bin, err := binary()
	require.NoError(p.t, err)
	out, err := exec.Command(bin, "catalog", "history", "--dir", p.dir, "--output", "json", "eventlogs").Output()
	require.NoError(p.t, err)
	var history []map[string]any
	require.NoError(p.t, json.Unmarshal(out, &history))
	total := 0.0
	for _, day := range history {
		require.Equal(p.t, "eventlogs", day["table"])
		total += day["rows"].(float64)
	}
	require.EqualValues(p.t, events, total)
}

func TestDevOnceOnADirectory(t *testing.T) {
	dir := t.TempDir()
	startDev(t, dir)
	code, _, errs := invokeWeir(t, "", devArgs(dir)...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "runs on "+dir+" already (process ")
}

func TestDevNamesTheFlagOfABusyPort(t *testing.T) {
	bin, err := binary()
	require.NoError(t, err)
	busy := startDev(t, t.TempDir())
	for part, addr := range map[string]string{
		"gateway": busy.listen.Gateway, "admin": busy.listen.Admin, "kafka": busy.listen.Kafka, "s3": busy.listen.S3, "glue": busy.listen.Glue,
	} {
		out, err := exec.Command(bin, devArgs(t.TempDir(), "--"+part+"-addr", addr)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "move it with --"+part+"-addr", "%s", out)
		require.Contains(t, string(out), addr)
	}
}

func TestDemoOnce(t *testing.T) {
	bin, err := binary()
	require.NoError(t, err)
	dir := t.TempDir()
	for run := 1; run <= 2; run++ { // the second goes on where the first stopped
		started := time.Now()
		cmd := exec.Command(bin, devArgs(dir, "--demo", "--once", "--demo-events", "1500", "--file-age", "1s")...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Less(t, time.Since(started), time.Minute)
		text := string(out)
		for _, want := range []string{
			"http://127.0.0.1:", "dev-write-key", "curl -u dev-write-key: ",
			"All 1500 events can be queried",
			"select type, count(messageid) from eventlogs where sourceid='source1' and date_trunc('day', timestamp) = current_date group by 1 order by 2 desc",
			"visible through 20", ", lag ",
		} {
			require.Contains(t, text, want)
		}
		require.Regexp(t, `(?m)^track +\d+$`, text)
		require.Equal(t, 1000*run, sum(t, text), "two thirds of the events are of today:\n%s", text)
	}
}

// sum adds up the counts of the demo's answer.
func sum(t *testing.T, text string) (total int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var typ string
		var n int
		if c, err := fmt.Sscanf(line, "%s %d\n", &typ, &n); err == nil && c == 2 {
			total += n
		}
	}
	return total
}

func TestCurlLineWorksAsPrinted(t *testing.T) {
	dir := t.TempDir()
	p := startDev(t, dir)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	require.Equal(t, exitDone, p.terminate())
	var line string
	for l := range strings.Lines(p.out.String()) {
		if strings.Contains(l, "curl -u") {
			line = strings.TrimSpace(l)
		}
	}
	p = startDev(t, dir)
	line = line[:strings.LastIndex(line, "http://")] + "http://" + p.listen.Gateway + "/v1/track"
	out, err := exec.Command("sh", "-c", line).Output()
	require.NoError(t, err)
	require.JSONEq(t, `{"success":true}`, string(out))
	p.poll(30*time.Second, func() error {
		rows, err := ask(dir, "select event, userid, properties['plan'] as plan from eventlogs")
		if err != nil || len(rows) == 0 {
			return fmt.Errorf("the event is not visible yet: %v %w", rows, err)
		}
		require.Equal(t, []map[string]any{{"event": "Signed Up", "userid": "u1", "plan": "pro"}}, rows)
		return nil
	})
}
