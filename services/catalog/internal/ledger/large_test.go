package ledger

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	reader "weir/pkg/ledger"
	"weir/pkg/s3"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
)

// files of the lake that TestLargeLedger makes up: go test -run TestLargeLedger -v -args -files 10000000
var files = flag.Int("files", 4_800, "files of the lake of TestLargeLedger")

// A year of flushes of twelve partitions and five hundred sources.
const (
	largePartitions = 12
	largeSources    = 500
	largeDays       = 365
	flushFiles      = 200
)

// large is a lake whose manifests are made up whenever they are read, and whose other objects stand on disk.
type large struct {
	t       *testing.T
	dir     string
	flushes uint64   // of each partition
	models  []string // by partition and variant
	etags   map[string]int
	gets    atomic.Int64
}

func (l *large) gate() []byte {
	g := flush.Gate{Marks: make(map[int32]flush.Mark)}
	for p := range int32(largePartitions) {
		g.Marks[p] = flush.Mark{Group: "g", Seq: l.flushes, Manifest: owner(p).ManifestKey(l.flushes, "f")}
	}
	body, err := codec.EncodeGate(&g)
	require.NoError(l.t, err)
	return body
}

// Manifests are made of one whose seq and day are written over: making ten million entries would take longer than reading
// them.
const (
	modelSeq = 7_777_777
	modelDay = today
)

// model is a flush of a hundred sources with a file of each table; fifty-two columns of eventlogs have bytes.
func (l *large) model(o lake.Owner, variant int) string {
	m := manifest(o.Partition, modelSeq, 0)
	m.CreatedAt = modelDay.Time().Add(time.Hour)
	for i := range flushFiles / 2 {
		source := fmt.Sprintf("source-%03d", (variant*7+i*5+int(o.Partition))%largeSources)
		offsets := new(flush.Offsets)
		for n := range int64(50) {
			offsets.Add(int64(i) + n*100)
		}
		for _, table := range []lake.Table{lake.EventLogs(), lake.EventLogsRaw("zstd")} {
			p := lake.Partition{Table: table.Name, SourceID: source, Day: modelDay}
			f := flush.File{
				Table: table.Name, Partition: p, UploadID: "u", Rows: 50, Bytes: 40_000 + int64(i), Offsets: offsets, MinTime: modelDay.Time(), MaxTime: m.CreatedAt,
				Key: lake.ObjectKey(table, p, fmt.Sprintf("0193577a-6c2e-7c3e-9f6b-%04d%08d", o.Partition, modelSeq), i),
			}
			if table.Format == lake.Parquet {
				for c := range 52 {
					f.Columns = append(f.Columns, lake.ColumnBytes{Name: fmt.Sprintf("column_%02d", c), Bytes: int64(100 + c*i)})
				}
			}
			m.Files = append(m.Files, f)
		}
	}
	body, err := codec.EncodeManifest(m)
	require.NoError(l.t, err)
	return string(body)
}

// variants are the sets of sources that take turns.
const variants = 8

func (l *large) manifest(o lake.Owner, seq uint64) []byte {
	day := today + lake.Day(seq*largeDays/(l.flushes+1))
	predecessor := fmt.Sprintf("%020d", seq-1)
	model := l.models[int(o.Partition)*variants+int(seq%variants)]
	if seq == 1 {
		model = strings.Replace(model, owner(o.Partition).ManifestKey(modelSeq-1, "f"), "", 1)
	}
	return []byte(strings.NewReplacer(
		fmt.Sprintf("%020d", modelSeq-1), predecessor, fmt.Sprintf("%08d", modelSeq), fmt.Sprintf("%08d", seq),
		fmt.Sprintf(`"%d"`, modelSeq), fmt.Sprintf(`"%d"`, seq), modelDay.String(), day.String(),
	).Replace(model))
}

func (l *large) Get(_ context.Context, key string) ([]byte, string, error) {
	l.gets.Add(1)
	if o, seq, _, err := lake.ParseManifestKey(key); err == nil {
		return l.manifest(o, seq), "m", nil
	}
	if key == lake.GateKey("db", topicID) {
		return l.gate(), "g", nil
	}
	n, ok := l.etags[key]
	if !ok {
		return nil, "", s3.ErrNotFound
	}
	body, err := os.ReadFile(filepath.Join(l.dir, key))
	return body, strconv.Itoa(n), err
}

func (l *large) Head(_ context.Context, key string) (s3.Object, error) {
	if _, ok := l.etags[key]; !ok {
		return s3.Object{}, s3.ErrNotFound
	}
	return s3.Object{Key: key}, nil
}

func (l *large) List(_ context.Context, prefix, after string) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		if prefix == lake.GateDir("db") {
			yield(s3.Object{Key: lake.GateKey("db", topicID)}, nil)
			return
		}
		for p := range int32(largePartitions) {
			if owner(p).ManifestDir() != prefix {
				continue
			}
			from, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(after, prefix), "."), 10, 64)
			require.NoError(l.t, err)
			for seq := from + 1; seq <= l.flushes; seq++ {
				if !yield(s3.Object{Key: owner(p).ManifestKey(seq, "f")}, nil) {
					return
				}
			}
			return
		}
		for _, key := range slices.Sorted(maps.Keys(l.etags)) {
			if strings.HasPrefix(key, prefix) && key > after && !yield(s3.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (l *large) PutIfMatch(_ context.Context, key string, body []byte, etag string) (string, error) {
	if n, ok := l.etags[key]; ok != (etag != "") || ok && strconv.Itoa(n) != etag {
		return "", s3.ErrChanged
	}
	l.etags[key]++
	path := filepath.Join(l.dir, key)
	require.NoError(l.t, os.MkdirAll(filepath.Dir(path), 0o755))
	return strconv.Itoa(l.etags[key]), os.WriteFile(path, body, 0o600)
}

func (l *large) Register(context.Context, change.Spec, []change.Partition) error { return nil }

func (l *large) Move(context.Context, change.Spec, change.Partition) error { return nil }

// peak is the most memory that the process had since it was asked last; "" where the system does not tell.
func peak() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ = strings.Cut(line, "\n")
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	return strings.TrimSpace(line)
}

func (l *large) tell(doing string, began time.Time) {
	l.t.Logf("%-40s %8.2fs, peak memory %s, %d objects read", doing, time.Since(began).Seconds(), peak(), l.gets.Swap(0))
}

// The ledger of a lake of many files: how long it takes, and how much memory, to write all of it, to read sums of it and to
// start again on it.
func TestLargeLedger(t *testing.T) {
	l := &large{t: t, dir: t.TempDir(), flushes: uint64(*files / flushFiles / largePartitions), etags: make(map[string]int)}
	for p := range int32(largePartitions) {
		for v := range variants {
			l.models = append(l.models, l.model(owner(p), v))
		}
	}
	keeper := func() *Keeper {
		return New(Settings{Database: "db", Every: time.Minute}, l, l, func(Fact) {}, func(follow.Fact) {})
	}
	count := int64(l.flushes * flushFiles * largePartitions)
	peak()
	began := time.Now()
	k := keeper()
	for more := true; more; {
		var err error
		more, err = k.round(t.Context())
		require.NoError(t, err)
	}
	l.tell(fmt.Sprintf("wrote %d rows in %d batches", count, k.journal.Number), began)

	began = time.Now()
	again := keeper()
	again.tidied = began // not yet
	more, err := again.round(t.Context())
	require.NoError(t, err)
	require.False(t, more)
	l.tell("started again", began)

	began = time.Now()
	again.tidied = time.Time{}
	for more = true; more; {
		more, err = again.round(t.Context())
		require.NoError(t, err)
	}
	l.tell(fmt.Sprintf("merged %d days", len(again.journal.Places)), began)

	ledger := reader.Open(l, "db")
	began = time.Now()
	week, err := ledger.Sums(t.Context(), lake.EventLogsName, reader.Filter{Sources: []string{"source-007"}, From: today + 100, To: today + 106})
	require.NoError(t, err)
	require.LessOrEqual(t, len(week), 7)
	l.tell(fmt.Sprintf("estimated a source's week, %d sums", len(week)), began)

	began = time.Now()
	sum, sums := reader.Sum{}, 0
	for s, err := range ledger.Each(t.Context(), "", reader.Filter{}) {
		require.NoError(t, err)
		sum.Add(s)
		sums++
	}
	l.tell(fmt.Sprintf("estimated everything, %d sums", sums), began)
	require.Equal(t, []int64{count, count * 50}, []int64{sum.Files, sum.Rows})

	var objects, bytes int64
	require.NoError(t, filepath.Walk(filepath.Join(l.dir, lake.FilesName+"_merged"), func(_ string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			objects, bytes = objects+1, bytes+i.Size()
		}
		return err
	}))
	t.Logf("%d objects of merged days, %.1f bytes a row", objects, float64(bytes)/float64(count))
}
