package verify

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/verify/internal/account"
)

// longLake is a lake of one partition with many flushes of perFlush records each. It
// makes what it is asked for, and keeps nothing.
type longLake struct {
	owner   lake.Owner
	flushes uint64
	absent  uint64 // a flush whose manifest is not there; 0 = none
	block   uint64 // how many flushes' keys are listed at a time
	each    uint64 // every so many flushes there are attempts beside the decided one; 0 = none

	mu    sync.Mutex
	reads int
	live  uint64 // most bytes that were live at a reading
}

const perFlush = 100

func (s *longLake) key(seq uint64) string { return s.owner.ManifestKey(seq, fmt.Sprintf("m-%d", seq)) }

func (s *longLake) manifest(seq uint64) *flush.Manifest {
	m := &flush.Manifest{
		Key: s.key(seq), Format: flush.Format, ClusterID: "c", Group: s.owner.Group, Topic: s.owner.Topic, TopicID: s.owner.TopicID,
		Seq: seq, FlushID: fmt.Sprintf("m-%d", seq), Low: int64(seq-1) * perFlush, NextLow: int64(seq) * perFlush, CreatedAt: time.Unix(0, 0),
	}
	if seq > 1 {
		m.Predecessor = s.key(seq - 1)
	}
	for _, t := range tables() {
		p := longPartition(t)
		offsets := new(flush.Offsets)
		offsets.AddRange(m.Low, m.NextLow)
		m.Files = append(m.Files, flush.File{
			UploadID: "u",
			Table:    t.Name, Partition: p, Key: lake.ObjectKey(t, p, m.FlushID, 0), Rows: perFlush, Bytes: 1, Offsets: offsets,
			MinTime: time.Unix(0, 0), MaxTime: time.Unix(0, 0),
		})
	}
	return m
}

func (s *longLake) List(_ context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		first := uint64(1)
		if startAfter != "" {
			_, _ = fmt.Sscanf(strings.TrimPrefix(startAfter, prefix), "%020d", &first)
		}
		for seq := first; seq <= s.flushes; seq++ {
			for _, key := range s.listed(prefix, seq) {
				if key > startAfter && !yield(s3.Object{Key: key, Bytes: 1}, nil) {
					return
				}
			}
		}
	}
}

// listed are the keys under prefix that flush seq has put there.
func (s *longLake) listed(prefix string, seq uint64) []string {
	if prefix == s.owner.ManifestDir() {
		var keys []string
		attempts := s.each > 0 && seq%s.each == 0
		if attempts {
			keys = append(keys, s.owner.ManifestKey(seq, "a"))
		}
		if seq != s.absent {
			keys = append(keys, s.key(seq))
		}
		if attempts {
			keys = append(keys, s.owner.ManifestKey(seq, "z"))
		}
		return keys
	}
	for _, t := range tables() {
		if prefix == t.Dir+"/" {
			return []string{lake.ObjectKey(t, longPartition(t), fmt.Sprintf("m-%d", seq), 0)}
		}
	}
	return nil
}

func longPartition(t lake.Table) lake.Partition {
	return lake.Partition{Table: t.Name, SourceID: "a", Day: lake.DayOf(time.Unix(0, 0))}
}

func (s *longLake) Get(_ context.Context, key string) ([]byte, string, error) {
	s.weigh()
	_, seq, id, err := lake.ParseManifestKey(key)
	if err != nil {
		return nil, "", err
	}
	m := s.manifest(seq)
	m.FlushID = id
	body, err := codec.EncodeManifest(m)
	return body, "", err
}

// weigh looks now and then at what is live.
func (s *longLake) weigh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reads++; s.reads%500 == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		s.live = max(s.live, m.HeapAlloc)
	}
}

func (s *longLake) Head(context.Context, string) (s3.Object, error) {
	return s3.Object{}, s3.ErrNotFound
}

func (s *longLake) Reader(context.Context, string) (io.ReadCloser, error) {
	return nil, s3.ErrNotFound
}

// verify accounts for the lake as Run does, Kafka left out.
func (s *longLake) verify(t *testing.T) *Report {
	t.Helper()
	s.owner = lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}}
	spool, err := openSpool(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, spool.close()) }()
	cfg := DefaultConfig()
	cfg.Progress = func(string) {}
	v := &verifier{
		cfg: cfg, store: s, block: s.block, cluster: "c", topic: kafka.Topic{Name: "t", ID: s.owner.TopicID},
		spool: spool, pending: make(map[int32]int), report: newReport(cfg, kafka.Topic{}),
	}
	require.NoError(t, v.listObjects(t.Context()))
	low := int64(s.flushes) * perFlush
	p := account.Partition{
		Owner: s.owner, ClusterID: "c", Home: "h", Committed: true, LogStart: low, LogEnd: low,
		State: flush.State{Low: low, Seq: s.flushes, Manifest: s.key(s.flushes), Home: "h"},
	}
	require.NoError(t, v.partition(t.Context(), p))
	require.NoError(t, v.objects(t.Context()))
	v.report.add(v.ledgers[0])
	return v.report
}

// Ten times the flushes take hardly more memory: a bit for each record and table, and
// a part of the keys. (Held at once, these manifests are 17 MB.)
func TestMemoryIsNotThatOfTheManifests(t *testing.T) {
	short, long := &longLake{flushes: 1000, block: blockOfSeqs}, &longLake{flushes: 10_000, block: blockOfSeqs}
	for _, s := range []*longLake{short, long} {
		report := s.verify(t)
		require.Empty(t, report.Findings)
		require.Empty(t, report.Notes)
		require.Equal(t, int(s.flushes), report.Partitions[0].Tables[0].Files)
		require.Equal(t, int64(s.flushes)*perFlush, report.Partitions[0].Tables[1].Rows)
		require.GreaterOrEqual(t, s.reads, int(s.flushes))
	}
	const more = 4 << 20
	require.Less(t, long.live, short.live+more, "live: %d KiB with 1,000 flushes, %d KiB with 10,000", short.live>>10, long.live>>10)
	t.Logf("live: %d KiB with 1,000 flushes, %d KiB with 10,000", short.live>>10, long.live>>10)
}

// The chain is followed from block to block, past attempts on either side of the
// decided manifest of their seq.
func TestAttemptsInALongChain(t *testing.T) {
	s := &longLake{flushes: 2*40 + 7, block: 40, each: 10}
	report := s.verify(t)
	require.Empty(t, report.Findings)
	require.Len(t, report.Notes, 2*8)
	require.Equal(t, int(s.flushes), report.Partitions[0].Tables[0].Files)
}

// Wherever the chain breaks, that manifest is named, and the files below are no
// orphans.
func TestABreakInALongChain(t *testing.T) {
	for _, absent := range []uint64{1, 7, 8, 20, 47, 48, 2*40 + 7} {
		s := &longLake{flushes: 2*40 + 7, block: 40, absent: absent}
		report := s.verify(t)
		require.NotEmpty(t, report.Findings)
		require.Equal(t, account.Chain, report.Findings[len(report.Findings)-1].Kind)
		require.Equal(t, s.key(absent), report.Findings[len(report.Findings)-1].Key)
		for _, n := range report.Notes {
			require.NotEqual(t, account.Undecided, n.Kind, "%+v", n)
		}
		require.Len(t, report.Findings, 3, "its own two files are orphans, and no others: %d", absent)
		require.Equal(t, int(s.flushes-absent), report.Partitions[0].Tables[0].Files)
	}
}
