package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/embedded"
	"weir/pkg/kafka"
	"weir/pkg/s3/s3test"
	"weir/pkg/telemetry"
	"weir/services/gateway"
	"weir/services/verify"
)

// asides is a Kafka with a gateway before it and a sink behind it, in this process.
type asides struct {
	t       *testing.T
	brokers string
	gateway string
	client  *kgo.Client
}

func newAsides(t *testing.T) *asides {
	t.Helper()
	dir := clean(t)
	store, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	proxy := s3test.NewProxy(t, store.Addr()) // keeps no connection open, for which Close would wait
	broker, err := embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = broker.Close() })
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": proxy.URL(), "AWS_REGION": embedded.Region, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
		"WEIR_KAFKA_BROKERS": broker.Addr(), "WEIR_TOPIC_REPLICATION": "1", "WEIR_TOPIC_PARTITIONS": "1",
	} {
		t.Setenv(name, value)
	}
	a := &asides{t: t, brokers: broker.Addr()}
	a.client, err = kgo.NewClient(kgo.SeedBrokers(a.brokers), kgo.ProducerLinger(0))
	require.NoError(t, err)
	t.Cleanup(a.client.Close)
	a.startGateway(dir)
	a.startSink()
	return a
}

// startGateway lets a batch have one event: the others are rejected.
func (a *asides) startGateway(dir string) {
	a.t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Brokers, cfg.Listen, cfg.MaxEvents = []string{a.brokers}, "127.0.0.1:0", 1
	cfg.TopicPartitions, cfg.TopicReplication = 1, 1
	cfg.Sources = filepath.Join(dir, "sources.yaml")
	require.NoError(a.t, os.WriteFile(cfg.Sources, []byte("sources: [{id: web, enabled: true, write_keys: [key]}]\n"), 0o600))
	ctx, stop := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan string, 1)
	go func() { ended <- gateway.Run(ctx, cfg, telemetry.Discard(), func(addr string) { ready <- addr }) }()
	a.t.Cleanup(func() {
		stop()
		require.NoError(a.t, <-ended)
	})
	select {
	case a.gateway = <-ready:
	case err := <-ended:
		ended <- err
		require.NoError(a.t, err)
	}
}

func (a *asides) startSink() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"sink", "--file-age", "200ms", "--admin", "127.0.0.1:0"}, stdio{out: io.Discard, err: io.Discard})
	}()
	a.t.Cleanup(func() {
		stop()
		require.Equal(a.t, exitDone, <-ended)
	})
}

// produce writes an event as its own producer does.
func (a *asides) produce(key, value string) {
	a.t.Helper()
	r := &kgo.Record{Topic: "weir.events", Key: []byte(key), Value: []byte(value)}
	require.NoError(a.t, a.client.ProduceSync(a.t.Context(), r).FirstErr())
}

// await waits until a topic has so many records.
func (a *asides) await(topic string, n int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	require.NoError(a.t, kafka.EnsureTopics(ctx, a.client, []kafka.TopicSpec{kafka.Layout{Partitions: 1, Replication: 1, Retention: kafka.Forever}.Aside(topic, 1<<20)}))
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(a.t, err)
	defer cl.Close()
	for n > 0 {
		fetches := cl.PollFetches(ctx)
		require.NoError(a.t, fetches.Err(), "%d records of %s are missing", n, topic)
		n -= fetches.NumRecords()
	}
}

// awaitRows asks verify until so many events are in the lake, and it finds nothing wrong.
func (a *asides) awaitRows(rows int64) {
	a.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		code, out, errs := invokeWeir(a.t, "", "verify", "--output", "json")
		var report verify.Report
		if code == exitDone {
			require.NoError(a.t, json.Unmarshal([]byte(out), &report))
			if p := report.Partitions[0]; len(p.Tables) > 0 && p.Tables[0].Rows == rows && !p.InProgress {
				return
			}
		}
		require.True(a.t, time.Now().Before(deadline), "%s%s", out, errs)
	}
}

// weir runs a command, and wants its exit code.
func (a *asides) weir(code int, args ...string) (out, errs string) {
	a.t.Helper()
	got, out, errs := invokeWeir(a.t, "", args...)
	require.Equal(a.t, code, got, "%v: %s%s", args, out, errs)
	return out, errs
}

// states lists a topic, without what differs between runs.
func (a *asides) states(topic string) string {
	a.t.Helper()
	out, _ := a.weir(exitDone, topic, "list", "--output", "csv")
	return regexp.MustCompile(`20\d\d-[^,]*,\d+[smh],`).ReplaceAllString(out, "")
}

// A dead letter whose cause is still there becomes one again, with one attempt more; one
// that is mended becomes an event; and the lake has each once.
func TestDeadLettersComeBack(t *testing.T) {
	a := newAsides(t)
	a.produce("web", `{"type":"track","event":"e","messageId":"m0"}`)
	a.produce("web", `{"n":1}`)
	a.produce("not a source", `{"type":"track","event":"e","messageId":"m2"}`)
	a.await("weir.deadletters", 2)
	before := "partition,offset,reason,source,at,age,bytes,attempts,state,was\n" +
		"0,0,no_type,web,7,0,waiting,weir.events/0/1\n" +
		"0,1,bad_source,not a source,45,0,waiting,weir.events/0/2\n"
	require.Equal(t, before, a.states("deadletters"))

	out, errs := a.weir(exitDone, "deadletters", "redrive", "--dry-run", "--output", "csv")
	require.Equal(t, "result,reason,source,target,becomes,records,bytes\n"+
		"would be redriven,bad_source,not a source,weir.events,dead letter: bad_source,1,45\n"+
		"would be redriven,no_type,web,weir.events,dead letter: no_type,1,7\n", out)
	require.Equal(t, "2 records would come back to weir.events; nothing was changed\n", errs)
	require.Equal(t, before, a.states("deadletters"))

	_, errs = a.weir(exitDone, "deadletters", "redrive", "--reason", "no_type")
	require.Equal(t, "1 records are back in weir.events\n", errs)
	a.await("weir.deadletters", 3)
	_, errs = a.weir(exitDone, "deadletters", "redrive", "--source", "not a source", "--as-source", "web")
	require.Equal(t, "1 records are back in weir.events\n", errs)
	list := a.states("deadletters")
	require.Contains(t, list, "0,0,no_type,web,7,0,redriven,weir.events/0/1\n0,1,bad_source,not a source,45,0,redriven,weir.events/0/2\n")
	require.Regexp(t, `(?m)^0,2,no_type,web,7,1,waiting,weir\.events/0/\d+$`, list)

	out, errs = a.weir(exitDone, "deadletters", "show", "0", "2")
	require.Equal(t, `{"n":1}`, out)
	require.Contains(t, errs, "attempts  1\n")
	require.Contains(t, errs, `header    weir-redrive-count: "1"`)
	_, errs = a.weir(exitDone, "deadletters", "show", "0", "0")
	require.Regexp(t, `redriven  to weir\.events/0 offset \d+ at 20`, errs)

	require.NoError(t, os.WriteFile("mended.json", []byte(`{"type":"track","event":"e","messageId":"m1","n":1}`), 0o600))
	out, _ = a.weir(exitDone, "deadletters", "redrive", "--partition", "0", "--offset", "2", "--value", "mended.json", "--output", "csv")
	require.Contains(t, out, "redriven,no_type,web,weir.events,event,1,7\n")
	a.awaitRows(3)
	out, _ = a.weir(exitDone, "deadletters", "redrive", "--output", "csv")
	require.Equal(t, "result,reason,source,target,becomes,records,bytes\n"+
		"redriven before,no_type,web,,,2,14\nredriven before,bad_source,not a source,,,1,45\n", out)
	a.awaitRows(3)
}

// What the gateway refused comes back if its rules take it now, alone.
func TestRejectedEventsComeBack(t *testing.T) {
	a := newAsides(t)
	body := `{"batch":[{"type":"page","userId":"u","messageId":"m0"},{"type":"page","userId":"u"},{"type":"page"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.gateway+"/v1/batch", strings.NewReader(body))
	require.NoError(t, err)
	req.SetBasicAuth("key", "")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "partition,offset,reason,source,at,age,bytes,attempts,state\n"+
		"0,0,too_many_events,web,28,0,waiting\n0,1,too_many_events,web,15,0,waiting\n", a.states("rejected"))

	out, errs := a.weir(exitFailed, "rejected", "redrive", "--output", "csv")
	require.Equal(t, "result,reason,source,target,becomes,records,bytes\n"+
		"redriven,too_many_events,web,weir.events,event,1,28\n"+
		"refused,too_many_events,web,,rejected: no_user_anon_id,1,15\n", out)
	require.Contains(t, errs, "not everything that was asked for comes back")
	a.awaitRows(2)
	out, _ = a.weir(exitDone, "rejected", "show", "0", "1")
	require.Equal(t, `{"type":"page"}`, out)
	code, out, errs := invokeWeir(t, `{"type":"page","userId":"u2"}`, "rejected", "redrive", "--partition", "0", "--offset", "1", "--value", "-", "--output", "csv")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "redriven,too_many_events,web,weir.events,event,1,15\n")
	a.awaitRows(3)
	require.Contains(t, a.states("rejected"), "0,0,too_many_events,web,28,0,redriven\n0,1,too_many_events,web,15,0,redriven\n")
}

func TestWhatARedriveRefusesToBegin(t *testing.T) {
	dir := clean(t)
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct {
		args string
		code int
		errs string
	}{
		{"deadletters", exitUsage, `expected one of "list", "show", "redrive"`},
		{"deadletters show 1", exitUsage, `expected "<offset>"`},
		{"deadletters list --since tomorrow --state lost", exitUsage, `since: "tomorrow" is no time`},
		{"deadletters list --since tomorrow --state lost", exitUsage, `state: "lost" does not exist`},
		{"deadletters redrive --rate -1 --topic weir.deadletters", exitUsage, "rate: -1 is negative"},
		{"deadletters redrive --rate -1 --topic weir.deadletters", exitUsage, `topic: "weir.deadletters" is dead-letter-topic already`},
		{"deadletters redrive --value x", exitUsage, "value: is the value of one record: name it with partition and offset"},
		{"deadletters redrive --value nowhere --partition 0 --offset 1", exitUsage, "value: open nowhere"},
		{"deadletters redrive --value " + empty + " --partition 0 --offset 1", exitUsage, "is empty"},
		{"rejected redrive --max-event 1", exitUsage, "max-event: 1 is not between"},
		{"rejected redrive --dir nothing-here", exitFailed, "no directory of weir dev"},
	} {
		code, out, errs := invokeWeir(t, "", strings.Fields(c.args)...)
		require.Equal(t, c.code, code, "%s: %s", c.args, errs)
		require.Contains(t, errs, c.errs, c.args)
		require.Empty(t, out)
	}
}

func TestAValueCannotSteerATerminal(t *testing.T) {
	var out strings.Builder
	require.NoError(t, body(stdio{out: &out, terminal: true}, []byte("a\x1b[31m\té\xff\n")))
	require.Equal(t, "a\\x1b[31m\té\ufffd\n\n", out.String())
	out.Reset()
	require.NoError(t, body(stdio{out: &out}, []byte("a\x1b\xff")))
	require.Equal(t, "a\x1b\xff", out.String())
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 119 * time.Minute: "1h", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		require.Equal(t, want, age(d), fmt.Sprint(d))
	}
}
