package sink

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
)

// commits calls do for each offset commit whose metadata names phase, on the broker's
// side, until do says that it is enough.
func (w *world) commits(phase string, do func(*kmsg.OffsetCommitRequest) (err error, swallow, enough bool)) {
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req := r.(*kmsg.OffsetCommitRequest)
		if !strings.Contains(*req.Topics[0].Partitions[0].Metadata, " "+phase+" ") {
			return nil, nil, false
		}
		err, swallow, enough := do(req)
		if swallow && !enough {
			w.kafka.KeepControl()
		}
		if enough && !swallow {
			w.kafka.DropControl()
		}
		return nil, err, swallow
	})
}

// Every retriable answer to every commit: the flush goes on, once.
func TestRefusedCommits(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator} {
		t.Run(strings.ToLower(strings.ReplaceAll(answer.Message, "_", "-")), func(t *testing.T) {
			w := newWorld(t, 1)
			f := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: w.cfg.Topic, Err: answer, Count: 3})
			w.produceEvents(0, []string{"a"}, 10)
			w.start()
			w.awaitFlushed()
			require.Equal(t, 3, f.Hits())
			w.requireOnce()
		})
	}
}

// A commit that is not answered, in each phase, applied and not applied: the member is
// spent and replaced, and the rows stand once.
func TestUnansweredCommits(t *testing.T) {
	for _, phase := range []string{"intent", "done"} {
		t.Run(phase+"/applied", func(t *testing.T) {
			w := newWorld(t, 2)
			w.kafka.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: w.cfg.Topic, Err: kerr.RequestTimedOut, Count: 1,
				When: func(r kmsg.Request) bool {
					return strings.HasPrefix(*r.(*kmsg.OffsetCommitRequest).Topics[0].Partitions[0].Metadata, "weir1 1 "+phase)
				},
			})
			w.testRejoin()
		})
		t.Run(phase+"/lost", func(t *testing.T) {
			w := newWorld(t, 2)
			w.cfg.SessionTimeout = time.Second
			w.commits(phase, func(r *kmsg.OffsetCommitRequest) (error, bool, bool) {
				hit := strings.HasPrefix(*r.Topics[0].Partitions[0].Metadata, "weir1 1 ")
				return nil, hit, hit
			})
			w.testRejoin()
		})
		t.Run(phase+"/hung-up", func(t *testing.T) {
			w := newWorld(t, 2)
			w.commits(phase, func(r *kmsg.OffsetCommitRequest) (error, bool, bool) {
				if strings.HasPrefix(*r.Topics[0].Partitions[0].Metadata, "weir1 1 ") {
					return errors.New("hang up"), true, true
				}
				return nil, false, false
			})
			w.testRejoin()
		})
	}
}

func (w *world) testRejoin() {
	w.t.Helper()
	w.produceEvents(0, []string{"a"}, 20)
	w.produceEvents(1, []string{"b"}, 20)
	p := w.start()
	w.awaitFlushed()
	w.produceEvents(0, []string{"a"}, 20)
	w.awaitFlushed()
	require.Contains(w.t, p.log.String(), "joining anew")
	require.NoError(w.t, p.end())
	w.requireOnce()
}

// A commit that was held back lands after its member was replaced: it is refused, and
// the state does not go back.
func TestLateCommit(t *testing.T) {
	w := newWorld(t, 1)
	w.cfg.SessionTimeout = time.Second
	held := make(chan *kmsg.OffsetCommitRequest, 1)
	w.commits("intent", func(r *kmsg.OffsetCommitRequest) (error, bool, bool) {
		late := *r
		held <- &late
		return nil, true, true
	})
	w.produceEvents(0, []string{"a"}, 20)
	p := w.start()
	w.awaitFlushed()
	w.produceEvents(0, []string{"a"}, 20)
	w.awaitFlushed()
	before, _ := w.state(0)

	late := <-held
	late.Topics[0].TopicID = w.topicID()
	resp, err := late.RequestWith(t.Context(), w.client)
	require.NoError(t, err)
	require.ErrorIs(t, kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode), kerr.UnknownMemberID)
	after, _ := w.state(0)
	require.Equal(t, before, after)
	require.NoError(t, p.end())
	w.requireOnce()
}

// The member is revoked while a flush is being decided: it finishes inside the
// callback.
func TestRevokedDuringAFlush(t *testing.T) {
	w := newWorld(t, 2)
	second := make(chan struct{})
	var holding sync.Once
	reached := make(chan struct{})
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		holding.Do(func() { close(reached) })
		w.kafka.SleepControl(func() { <-second })
		return nil, false, true
	})
	w.produceEvents(0, []string{"a"}, 20)
	w.produceEvents(1, []string{"a"}, 20)
	first := w.start()
	<-reached
	other := w.start()
	w.await("the second asks to join", func() bool {
		groups, err := w.admin().DescribeGroups(t.Context(), w.cfg.Group)
		return err == nil && len(groups[w.cfg.Group].Members) == 2
	})
	close(second)
	w.awaitFlushed()
	for p := range int32(2) {
		w.produceEvents(p, []string{"a"}, 20)
	}
	w.awaitFlushed()
	require.NoError(t, first.end())
	require.NoError(t, other.end())
	w.requireOnce()
}

// Uploads that vanish between the decision and their completion are written again.
func TestLostUploads(t *testing.T) {
	w := newWorld(t, 1)
	aborted := 0
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		w.kafka.SleepControl(func() { aborted += w.abortUploads() })
		return nil, false, true
	})
	w.produceLarge(0, "large")
	w.produceEvents(0, []string{"small"}, 30)
	p := w.start(inOneFlush)
	w.await("the records are read", func() bool { return w.position(p, 0) == w.sent[0] })
	require.NoError(t, p.end())
	require.GreaterOrEqual(t, aborted, 2)
	require.Equal(t, aborted, strings.Count(p.log.String(), "a lost upload was written again"))
	w.requireOnce()
}

// A leader that is behind for a moment denies offsets that the log has: a repair asks the log's bounds, and reads again.
func TestLostUploadsWhileTheLeaderIsBehind(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.OffsetOutOfRange, kerr.UnknownTopicID} {
		t.Run(answer.Message, func(t *testing.T) {
			w := newWorld(t, 1)
			var denied *kfake.FaultHandle
			w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
				w.kafka.SleepControl(func() {
					require.Positive(t, w.abortUploads())
					denied = w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: answer, Count: 3})
				})
				return nil, false, true
			})
			w.produceLarge(0, "large")
			p := w.start(inOneFlush)
			w.await("the records are read", func() bool { return w.position(p, 0) == w.sent[0] })
			require.NoError(t, p.end())
			require.Contains(t, p.log.String(), "a lost upload was written again")
			require.NotContains(t, p.log.String(), "partition stopped")
			require.EqualValues(t, 3, denied.Hits())
			w.requireOnce()
		})
	}
}

// The same, but the rows are gone from Kafka too: the partition stops and says which.
func TestLostUploadsBeyondRepair(t *testing.T) {
	w := newWorld(t, 2)
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		w.kafka.SleepControl(func() {
			w.abortUploads()
			w.deleteRecords(0, 10)
		})
		return nil, false, true
	})
	w.produceLarge(0, "a")
	p := w.start(inLargeFiles)
	w.await("the partition stops", func() bool { return strings.Contains(p.log.String(), "partition stopped") })
	require.Contains(t, p.log.String(), "weir sink recover")
	w.produceEvents(1, []string{"a"}, 5)
	w.awaitPartition(1)
	require.NoError(t, p.end())
}

// produceLarge produces events whose files in both tables are too large for a bundle.
func (w *world) produceLarge(p int32, source string) {
	for range 40 {
		value := slices.Concat([]byte(`{"type":"track","userId":"u","properties":{"x":"`), random(300<<10), []byte(`"}}`))
		w.produce(p, &kgo.Record{Key: []byte(source), Value: value})
	}
}

// inOneFlush leaves what produceLarge makes to the drain, which flushes all of it at
// once: each file is below the size of a cut, and above the part of it that is worth a flush.
func inOneFlush(c *Config) { c.FileSize, c.FileAge = 16*settings.MiB, time.Hour }

// inLargeFiles cuts what produceLarge makes by size, above a part, however slow the machine is.
func inLargeFiles(c *Config) { c.FileSize, c.FileAge = 10*settings.MiB, 15*time.Second }

func (w *world) abortUploads() int {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	require.NoError(w.t, err)
	cl := awss3.NewFromConfig(cfg, func(o *awss3.Options) { o.UsePathStyle = true })
	bucket := aws.String(w.store.Location().Bucket)
	list, err := cl.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: bucket})
	require.NoError(w.t, err)
	for _, u := range list.Uploads {
		_, err := cl.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: bucket, Key: u.Key, UploadId: u.UploadId})
		require.NoError(w.t, err)
	}
	return len(list.Uploads)
}

func (w *world) deleteRecords(p int32, below int64) {
	_, err := w.admin().DeleteRecords(context.Background(), kadm.Offsets{w.cfg.Topic: {p: {Topic: w.cfg.Topic, Partition: p, At: below}}})
	require.NoError(w.t, err)
}

// Whatever makes the committed offset untrue stops that partition, with an error that
// says what and how to recover, in the log once and in /readyz; others go on, and
// nothing is read again in silence.
func TestPartitionsThatStop(t *testing.T) {
	for _, c := range []struct {
		name, says string
		harm       func(w *world)
	}{
		{"reset-by-another-tool", "another tool", func(w *world) {
			w.commitOffset(0, 3, "")
		}},
		{"moved-but-kept", "another tool", func(w *world) { // the tool kept the metadata
			s, _ := w.state(0)
			w.commitOffset(0, 3, s.Metadata())
		}},
		{"expired", "holds no committed offset", func(w *world) {
			_, err := w.admin().DeleteOffsets(w.t.Context(), w.cfg.Group, kadm.TopicsSet{w.cfg.Topic: {0: {}}})
			require.NoError(w.t, err)
		}},
		{"retention", "deleted by retention", func(w *world) {
			w.produceEvents(0, []string{"a"}, 10)
			w.deleteRecords(0, 25)
		}},
		{"manifest-gone", "manifest of flush", func(w *world) {
			s, _ := w.state(0)
			s.Phase = 1
			w.commitOffset(0, s.Low, s.Metadata())
			require.NoError(w.t, os.Remove(theS3.Root()+"/"+w.store.Location().Bucket+"/"+w.store.Location().Key(s.Manifest)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.produceEvents(0, []string{"a"}, 20)
			w.produceEvents(1, []string{"a"}, 20)
			p := w.start()
			w.awaitFlushed()
			require.NoError(t, p.end())
			rows := w.rows()

			c.harm(w)
			p = w.start()
			w.await("it stops", func() bool { return strings.Contains(p.log.String(), "partition stopped") })
			w.produceEvents(1, []string{"b"}, 5)
			w.awaitPartition(1)
			require.Contains(t, p.log.String(), c.says)
			require.Contains(t, p.log.String(), "weir sink recover")
			require.Equal(t, 1, strings.Count(p.log.String(), "partition stopped"))
			report := p.tel.Health.Report()
			require.True(t, report.Ready, "a stopped partition makes no process unready")
			require.Contains(t, dependencies(report), "partition weir.events/0 down")
			require.NoError(t, p.end())
			require.Len(t, w.rows(), len(rows)+5)
		})
	}
}

func (w *world) commitOffset(p int32, offset int64, metadata string) {
	o := kadm.Offsets{}
	o.Add(kadm.Offset{Topic: w.cfg.Topic, Partition: p, At: offset, LeaderEpoch: -1, Metadata: metadata})
	_, err := w.admin().CommitOffsets(w.t.Context(), w.cfg.Group, o)
	require.NoError(w.t, err)
}

// Retention takes records while the sink runs and has not read them yet.
func TestRetentionOvertakesARunningSink(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 5)
	p := w.start()
	w.awaitFlushed()
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	w.kafka.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		held <- struct{}{}
		w.kafka.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	<-held // every fetch from now on
	w.produceEvents(0, []string{"a"}, 20)
	w.deleteRecords(0, 15)
	close(hold)
	w.await("it stops", func() bool { return strings.Contains(p.log.String(), "partition stopped") })
	require.Contains(t, p.log.String(), "OFFSET_OUT_OF_RANGE")
	require.Contains(t, p.log.String(), "weir sink recover")
	stopped, ok := p.metric("weir_sink_partitions_stopped")
	require.True(t, ok)
	require.Equal(t, 1.0, stopped)
	require.Len(t, w.rows(), 5)
}

func TestRefusedAtStart(t *testing.T) {
	t.Run("another-group", func(t *testing.T) {
		w := newWorld(t, 1)
		w.produceEvents(0, []string{"a"}, 1)
		w.start()
		w.awaitFlushed()
		p := w.start(func(c *Config) { c.Group = "second" })
		<-p.done
		require.ErrorContains(t, p.err, "topic weir.events is written into")
		require.ErrorContains(t, p.err, "by group weir-sink")
		w.requireOnce()
	})
	t.Run("compacted", func(t *testing.T) {
		w := newWorld(t, 1)
		w.cfg.Topic = "compacted"
		require.NoError(t, kafka.EnsureTopics(t.Context(), w.client, []kafka.TopicSpec{
			{Name: "compacted", Partitions: 1, Replication: 1, Config: map[string]string{"cleanup.policy": "compact"}},
		}))
		p := w.start()
		<-p.done
		require.ErrorContains(t, p.err, "topic compacted is compacted")
	})
	t.Run("another-lake", func(t *testing.T) { // under the same group: `home` differs
		w := newWorld(t, 1)
		w.produceEvents(0, []string{"a"}, 1)
		p := w.start()
		w.awaitFlushed()
		require.NoError(t, p.end())
		p = w.start(func(c *Config) { c.Lake += "/two" })
		w.await("it stops", func() bool { return strings.Contains(p.log.String(), "another lake") })
	})
	t.Run("store-without-conditions", func(t *testing.T) {
		w := newSerialWorld(t, 1)
		proxy := newProxy(t)
		proxy.agree.Store(true)
		p := w.start()
		<-p.done
		require.ErrorContains(t, p.err, "the store cannot keep the flush protocol")
	})
}

// A topic that is deleted and created again is another topic, also to brokers that know
// topics by their names only when an offset is committed.
func TestTopicIsCreatedAgain(t *testing.T) {
	for name, opts := range map[string][]kfake.Opt{"by-id": nil, "by-name": {kfake.MaxVersions(kversion.V3_9_0())}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, opts...)
			w.produceEvents(0, []string{"a"}, 10)
			p := w.start()
			w.awaitFlushed()
			w.recreateTopic()
			w.produceEvents(0, []string{"a"}, 7)
			w.awaitFlushed()
			require.NoError(t, p.end())
			require.Len(t, w.rows(), 17)
			require.Contains(t, p.log.String(), "was deleted")
		})
	}
}

func (w *world) recreateTopic() {
	w.t.Helper()
	_, err := w.admin().DeleteTopics(context.Background(), w.cfg.Topic)
	require.NoError(w.t, err)
	w.reconnect()
	w.createTopic()
	w.sent[0] = 0
}

// It is created again while a flush of the old one is being published, to brokers that
// commit by name: the new topic does not get the old one's offset.
func TestTopicIsCreatedAgainDuringAFlush(t *testing.T) {
	w := newWorld(t, 1, kfake.MaxVersions(kversion.V3_9_0()))
	w.produceEvents(0, []string{"a"}, 20)
	w.commits("intent", func(*kmsg.OffsetCommitRequest) (error, bool, bool) {
		w.kafka.SleepControl(w.recreateTopic)
		return nil, false, true
	})
	p := w.start()
	w.await("its end is noticed", func() bool { return strings.Contains(p.log.String(), "was deleted") })
	w.produceEvents(0, []string{"b"}, 7)
	w.awaitFlushed()
	require.NotContains(t, p.log.String(), "partition stopped")
	require.NoError(t, p.end())
	s, _ := w.state(0)
	require.Equal(t, int64(7), s.Low)
}

// A partition that was added later starts at its first record.
func TestPartitionsAreAdded(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 10)
	p := w.start()
	w.awaitFlushed()
	require.NoError(t, p.end())
	_, err := w.admin().CreatePartitions(t.Context(), 1, w.cfg.Topic)
	require.NoError(t, err)
	w.reconnect()
	w.produceEvents(1, []string{"a"}, 10)
	w.start()
	w.awaitFlushed()
	w.requireOnce()
}

// S3 answers nothing but 503 for a while: nothing is lost, nothing doubled, /readyz
// names it.
func TestS3IsDown(t *testing.T) {
	w := newSerialWorld(t, 1)
	proxy := newProxy(t)
	p := w.start()
	w.produceEvents(0, []string{"a"}, 10)
	w.awaitFlushed()
	proxy.down.Store(true)
	w.produceEvents(0, []string{"a", "b"}, 10)
	w.await("health says so", func() bool {
		return strings.Contains(dependencies(p.tel.Health.Report()), "s3 down")
	})
	require.True(t, p.tel.Health.Report().Ready)
	proxy.down.Store(false)
	w.awaitFlushed()
	require.Contains(t, dependencies(p.tel.Health.Report()), "s3 up")
	w.requireOnce()
}

// A request that took effect and whose answer was lost, each kind once.
func TestS3AnswersAreLost(t *testing.T) {
	w := newSerialWorld(t, 1)
	proxy := newProxy(t)
	seen := map[string]bool{}
	proxy.lose = func(r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/eventlogs/") && !strings.Contains(r.URL.Path, ".json") {
			return false
		}
		kind := r.Method + " " + strings.Join([]string{first(r.URL.Query()["uploads"]), first(r.URL.Query()["partNumber"])}, ",")
		if strings.Contains(r.URL.RawQuery, "uploadId") {
			kind += " upload"
		}
		if strings.HasSuffix(r.URL.Path, lake.ColumnsKey(lake.EventLogsName)) {
			kind += " columns"
		}
		if r.Method == http.MethodGet || seen[kind] {
			return false
		}
		seen[kind] = true
		return true
	}
	w.produceEvents(0, []string{"small"}, 10)
	w.produceLarge(0, "large")
	p := w.start(inOneFlush)
	w.await("the records are read", func() bool { return w.position(p, 0) == w.sent[0] })
	require.NoError(t, p.end())
	proxy.mu.Lock()
	require.GreaterOrEqual(t, len(seen), 5, "one of each kind: %v", seen)
	require.Contains(t, seen, "PUT , columns")
	require.Contains(t, seen, "PUT ,", "a manifest's")
	proxy.mu.Unlock()
	w.requireOnce()
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// proxy stands between a sink and S3.
type proxy struct {
	down  atomic.Bool
	agree atomic.Bool // what S3 refuses by a condition is answered as done

	mu   sync.Mutex
	lose func(*http.Request) bool // called after the request was performed
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	target, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL_S3"))
	require.NoError(t, err)
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the signature covers it
		},
		ModifyResponse: func(r *http.Response) error {
			if p.agree.Load() && r.StatusCode == http.StatusPreconditionFailed {
				r.StatusCode, r.Status, r.Body, r.ContentLength = http.StatusOK, "200 OK", http.NoBody, 0
				r.Header.Set("Content-Length", "0")
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.lose != nil && p.lose(r.Request) {
				return errors.New("lost")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
	return p
}

func dependencies(r telemetry.Report) string {
	var b strings.Builder
	for _, d := range r.Dependencies {
		b.WriteString(d.Name + " " + d.State + "\n")
	}
	return b.String()
}

// A member that its group refuses whatever it does ends, and says so: somebody has to look.
func TestRefusedForGood(t *testing.T) {
	w := newWorld(t, 1)
	w.produceEvents(0, []string{"a"}, 10)
	p := w.start(func(c *Config) { c.SessionTimeout = time.Second })
	w.awaitFlushed()
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup}, Err: kerr.FencedInstanceID, Count: -1})
	<-p.done
	require.ErrorContains(t, p.err, "refused by group weir-sink for ")
	w.requireOnce()
}
