package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/sim/bucket"
)

// data finds an object of a table.
func (w *World) data(t *testing.T, dir string) bucket.Object {
	t.Helper()
	for _, o := range w.bucket.Objects() {
		if strings.HasPrefix(o.Key, lakePrefix+"/"+dir+"/") {
			return o
		}
	}
	require.Fail(t, "no object", dir)
	return bucket.Object{}
}

// inLane writes an acknowledged event of user u3, whose lane of two is 0, with such a header, so many partitions from that of its key.
func (w *World) inLane(t *testing.T, header string, further int, id string) {
	t.Helper()
	client, err := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topicEvents))
	require.NoError(t, err)
	defer client.Close()
	r := &kgo.Record{Key: []byte("alpha"), Headers: []kgo.RecordHeader{{Key: "weir-fanout", Value: []byte(header)}}}
	r.Value = fmt.Appendf(nil, `{"type":"track","event":"E","messageId":%q,"userId":"u3"}`, id)
	n := int(w.shape.Partitions)
	r.Partition = int32((kgo.StickyKeyPartitioner(nil).ForTopic(topicEvents).Partition(r, n) + further) % n)
	w.ledger.send(id, false)
	w.ledger.told(acknowledged, id)
	require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
}

// The auditor notices each kind of harm, and says which.
func TestTheAuditNotices(t *testing.T) {
	for _, c := range []struct {
		name, says string
		harm       func(t *testing.T, w *World)
	}{
		{"a lost object", "has 0 rows instead of 1", func(t *testing.T, w *World) { w.bucket.Remove(w.data(t, "eventlogs").Key) }},
		{"a doubled object", "has 2 rows instead of 1", func(t *testing.T, w *World) {
			o := w.data(t, "eventlogs")
			w.bucket.Put(strings.Replace(o.Key, ".parquet", "-9.parquet", 1), o.Body)
		}},
		{"an object that nobody decided", "is named by 0 manifests", func(t *testing.T, w *World) {
			o := w.data(t, "raw")
			w.bucket.Put(o.Key+"2", o.Body)
		}},
		{"a row of the ledger twice", "stands in weir_files more than once", func(t *testing.T, w *World) {
			o := w.data(t, "weir_files")
			w.bucket.Put(strings.Replace(o.Key, ".parquet", "9.parquet", 1), o.Body)
		}},
		{"a lost object of the ledger", "does not stand in weir_files", func(t *testing.T, w *World) { w.bucket.Remove(w.data(t, "weir_files").Key) }},
		{"lost sums", "the sums lack", func(t *testing.T, w *World) { w.bucket.Remove(w.data(t, "_weir/catalog/weir/sums").Key) }},
		{"a replaced object", "was replaced", func(t *testing.T, w *World) {
			o := w.data(t, "eventlogs")
			w.bucket.Put(o.Key, o.Body)
		}},
		{"a lost raw copy", "the raw copy has a line -1 times", func(t *testing.T, w *World) { w.bucket.Remove(w.data(t, "raw").Key) }},
		{"a lost acknowledged event", "was acknowledged and is not in Kafka", func(_ *testing.T, w *World) {
			w.ledger.send("nobody/1", false)
			w.ledger.told(acknowledged, "nobody/1")
		}},
		{"a refused event that is there", "was refused and is in Kafka", func(_ *testing.T, w *World) { w.ledger.told(refused, "last/0") }},
		{"an event for a dead letter", "dead letter false, must be true", func(_ *testing.T, w *World) { w.ledger.sent["last/0"].letter = true }},
		{"an upload left behind", "left behind", func(_ *testing.T, w *World) { w.bucket.Begin("lake/eventlogs/x") }},
		{"a gate that fell behind", "the gate stands at", func(_ *testing.T, w *World) {
			for _, o := range w.bucket.Objects() {
				if strings.Contains(o.Key, "/gate/") {
					w.bucket.Put(o.Key, bytes.Replace(o.Body, []byte(`"seq":"`), []byte(`"seq":"9`), 1))
				}
			}
		}},
		{"a directory that Glue does not know", "Glue's table eventlogs_raw has the partitions", func(_ *testing.T, w *World) {
			w.bucket.Put("lake/raw/sourceid=nobody/dt=1999-12-31/x", nil)
		}},
		{"a record in a partition that is not its lane's", "belongs to partition", func(t *testing.T, w *World) { w.inLane(t, "1/2/7", 0, "web-9/1") }},
		{"a record of another user's lane", "is of lane", func(t *testing.T, w *World) { w.inLane(t, "1/2/7", 1, "web-9/1") }},
		{"two fan-outs of an epoch", "has fan-outs of", func(t *testing.T, w *World) {
			w.inLane(t, "0/1/7", 0, "web-9/1")
			w.inLane(t, "0/2/7", 0, "web-9/2")
		}},
		{"a user's events in another order", "do not stand in their order", func(t *testing.T, w *World) {
			w.inLane(t, "0/2/7", 0, "web-9/2")
			w.inLane(t, "0/2/7", 0, "web-9/1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			emptyPools()
			var r Report
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var err error
				r, err = Run(Options{Seed: 7, Dir: dir, Load: 10 * time.Second, Quiet: true, harm: func(w *World) { c.harm(t, w) }})
				require.NoError(t, err)
			})
			require.True(t, slices.ContainsFunc(r.Violations, func(v string) bool { return strings.Contains(v, c.says) }), "%q", r.Violations)
		})
	}
}
