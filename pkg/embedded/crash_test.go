package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
)

// childDir is set in a process of this binary that serves instead of testing.
const childDir = "WEIR_EMBEDDED_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs Kafka and Glue until it is killed.
func serve(dir string) error {
	k, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir + "/kafka", Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	g, err := embedded.StartGlue(embedded.GlueOptions{Dir: dir + "/glue", Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	fmt.Println(k.Addr(), g.Addr())
	_, err = os.Stdin.Read(make([]byte, 1)) // the end of the parent is the end of this
	return err
}

type child struct {
	cmd         *exec.Cmd
	kafka, glue string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), childDir+"="+dir)
	c.cmd.Stderr = os.Stderr
	_, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	addrs := strings.Fields(line)
	require.Len(t, addrs, 2)
	c.kafka, c.glue = addrs[0], addrs[1]
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// TestAKillLosesNothing kills the process that serves, several times, in the
// middle of writes, and then asks for all that was acknowledged.
func TestAKillLosesNothing(t *testing.T) {
	ctx := within(t, 2*time.Minute)
	dir := t.TempDir()
	c := startChild(t, dir)
	cl := kafkaClient(t, c.kafka)
	adm := kadm.NewClient(cl)
	_, err := adm.CreateTopic(ctx, 1, 1, nil, "t")
	require.NoError(t, err)
	cl.Close()
	mustAsk(t, c.glue, "CreateDatabase", `{"DatabaseInput":{"Name":"weir"}}`)
	mustAsk(t, c.glue, "CreateTable", `{"DatabaseName":"weir","TableInput":{"Name":"t","PartitionKeys":[{"Name":"n","Type":"int"}]}}`)

	var acked written
	for round := range 3 {
		acked.add(ctx, t, c, round)
		c = startChild(t, dir)
		acked.check(t, c)
	}
}

// written is what was acknowledged.
type written struct {
	records, commits, partitions int
}

// add writes to Kafka and Glue until the process is gone: it is killed in the
// middle of it.
func (w *written) add(ctx context.Context, t *testing.T, c *child, round int) {
	t.Helper()
	// A record in flight is given up with the context: this client is not used again.
	cl := kafkaClient(t, c.kafka, kgo.AllowIdempotentProduceCancellation())
	defer cl.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	enough := make(chan struct{})
	go func() {
		<-enough
		c.kill()
		stop()
	}()
	for n := 0; ; n++ {
		if n == 20+7*round {
			close(enough)
		}
		if cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(strconv.Itoa(w.records))}).FirstErr() != nil {
			return
		}
		w.records++
		var o kadm.Offsets
		o.Add(kadm.Offset{Topic: "t", At: int64(w.records), Metadata: "weir1 " + strconv.Itoa(w.records)})
		if kadm.NewClient(cl).CommitAllOffsets(ctx, "g", o) != nil {
			return
		}
		w.commits = w.records
		status, answer, err := ask(c.glue, "BatchCreatePartition", fmt.Sprintf(
			`{"DatabaseName":"weir","TableName":"t","PartitionInputList":[{"Values":["%d"]}]}`, w.partitions))
		if err != nil {
			return
		}
		require.Equal(t, http.StatusOK, status)
		if answer["Errors"] != nil { // landed in the round before, without an answer
			require.Contains(t, fmt.Sprint(answer), "AlreadyExistsException")
		}
		w.partitions++
	}
}

func (w *written) check(t *testing.T, c *child) {
	t.Helper()
	ctx := t.Context()
	cl := kafkaClient(t, c.kafka, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, "t")
	require.NoError(t, err)
	end, _ := ends.Lookup("t", 0)
	seen := map[string]bool{}
	for read := int64(0); read < end.Offset; {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			seen[string(r.Value)] = true
			read = r.Offset + 1
		})
	}
	for n := range w.records {
		require.True(t, seen[strconv.Itoa(n)], "record %d is lost", n)
	}
	w.records = int(max(end.Offset, int64(w.records))) // one may have landed without an answer

	offsets, err := adm.FetchOffsets(ctx, "g")
	require.NoError(t, err)
	committed, ok := offsets.Lookup("t", 0)
	require.True(t, ok)
	require.GreaterOrEqual(t, committed.At, int64(w.commits))
	require.Equal(t, fmt.Sprintf("weir1 %d", committed.At), committed.Metadata)

	for n := range w.partitions {
		status, answer, err := ask(c.glue, "GetPartition", fmt.Sprintf(`{"DatabaseName":"weir","TableName":"t","PartitionValues":["%d"]}`, n))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, "partition %d: %v", n, answer)
	}
	require.Positive(t, w.partitions)
}
