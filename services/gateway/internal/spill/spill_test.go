package spill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/spill/segment"
)

const wide = 1 << 30

func options(dir string) Options {
	return Options{Dir: dir, Size: wide, Observe: func(Commit) {}}
}

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	require.NoError(t, err)
	return l
}

// frameOf is a request of one record, whose value says which it is.
func frameOf(key, value string, open bool) []byte {
	b := segment.BeginRequest(nil, segment.Request{At: time.Now().UnixMilli(), Open: open, Key: []byte(key), Records: 1})
	return segment.End(segment.AppendRecord(b, "weir.events", 1, []byte(value), 0, false), 0)
}

func put(l *Log, key, value string) error {
	t, err := l.Put(frameOf(key, value, false), []byte(key), 1, false)
	if err != nil {
		return err
	}
	return l.Wait(t, nil)
}

// rest reads on to the end, and gives the values by key.
func rest(t *testing.T, l *Log) (entries []Entry, values map[string][]string) {
	t.Helper()
	values = map[string][]string{}
	for limit := 100; ; {
		list, end, need, err := l.Next(limit)
		require.NoError(t, err)
		for _, e := range list {
			var r segment.Record
			_, err := e.Request.Next(&r)
			require.NoError(t, err)
			values[e.Key] = append(values[e.Key], string(r.Value))
		}
		entries = append(entries, list...)
		if limit = 100; need > 0 {
			limit = need
		} else if end {
			return entries, values
		}
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.spill"))
	require.NoError(t, err)
	return list
}

// What is put comes back in order, once, over segments and starts; what is settled does not, and leaves no file behind.
func TestThereAndBack(t *testing.T) {
	o := options(t.TempDir())
	o.Size = 4 << 20 // segments of 256 KiB
	l := open(t, o)
	want := map[string][]string{}
	for i := range 40 {
		key, value := []string{"a", "b"}[i%2], fmt.Sprintf("%d-%s", i, make([]byte, 20_000))
		require.NoError(t, put(l, key, value))
		want[key] = append(want[key], value)
	}
	held, turn := l.Held([]byte("a"))
	require.True(t, held)
	require.Nil(t, turn)
	held, _ = l.Held([]byte("c"))
	require.False(t, held)
	require.Greater(t, len(segments(t, o.Dir)), 2)
	require.NoError(t, l.Close(t.Context()))

	l = open(t, o)
	require.Equal(t, 40, l.Stats().Requests)
	entries, got := rest(t, l)
	require.Equal(t, want, got)
	for _, e := range entries[:33] {
		require.NoError(t, l.Hand(t.Context(), []segment.ID{e.ID}))
		l.Settle(e.Ref, nil)
	}
	require.NoError(t, l.Close(t.Context()))

	l = open(t, o)
	require.Equal(t, 7, l.Stats().Requests, "what was settled stays so")
	entries, _ = rest(t, l)
	require.Len(t, entries, 7)
	for _, e := range entries {
		l.Settle(e.Ref, nil)
	}
	require.NoError(t, l.Close(t.Context()))
	require.Empty(t, segments(t, o.Dir))
	require.Zero(t, l.Stats().Bytes)
	held, _ = l.Held([]byte("a"))
	require.False(t, held)
}

// A folder belongs to one gateway.
func TestLock(t *testing.T) {
	o := options(t.TempDir())
	l := open(t, o)
	_, err := Open(o)
	require.ErrorContains(t, err, "another gateway")
	require.NoError(t, l.Close(t.Context()))
	require.NoError(t, open(t, o).Close(t.Context()))
}

// Many requests share one fsync.
func TestGroupCommit(t *testing.T) {
	o := options(t.TempDir())
	disk := &disk{gate: make(chan struct{}, 1000)}
	o.create = disk.create
	disk.gate <- struct{}{} // the head of the segment
	l := open(t, o)
	var group sync.WaitGroup
	first, err := l.Put(frameOf("a", "first", false), []byte("a"), 1, false)
	require.NoError(t, err)
	<-disk.syncing() // the first commit is at its fsync
	for i := range 100 {
		t1, err := l.Put(frameOf("a", fmt.Sprint(i), false), []byte("a"), 1, false)
		require.NoError(t, err)
		group.Go(func() { require.NoError(t, l.Wait(t1, nil)) })
	}
	disk.gate <- struct{}{}
	disk.gate <- struct{}{}
	require.NoError(t, l.Wait(first, nil))
	group.Wait()
	require.EqualValues(t, 3, disk.syncs.Load(), "the head, the first, and all others")
	disk.release()
	require.NoError(t, l.Close(t.Context()))
}

// Whoever waits too long is told so; the frame may still become durable.
func TestSlowDisk(t *testing.T) {
	o := options(t.TempDir())
	disk := &disk{gate: make(chan struct{}, 1000)}
	o.create = disk.create
	l := open(t, o)
	ticket, err := l.Put(frameOf("a", "slow", true), []byte("a"), 1, true)
	require.NoError(t, err)
	expired := make(chan time.Time)
	close(expired)
	require.ErrorIs(t, l.Wait(ticket, expired), ErrLate)
	l.Resolve(ticket, nil) // Kafka had it meanwhile
	disk.release()
	require.NoError(t, l.Wait(ticket, nil))
	require.NoError(t, l.Close(t.Context()))
	require.Zero(t, l.Stats().Requests)
	require.Empty(t, segments(t, o.Dir))
}

// What waits for a slow disk is bounded.
func TestQueue(t *testing.T) {
	o := options(t.TempDir())
	o.Queue = 10_000
	disk := &disk{gate: make(chan struct{})}
	o.create = disk.create
	l := open(t, o)
	var tickets []Ticket
	for {
		ticket, err := l.Put(frameOf("a", string(make([]byte, 1000)), false), []byte("a"), 1, false)
		if err != nil {
			require.ErrorIs(t, err, ErrFull)
			require.ErrorContains(t, err, "slow")
			break
		}
		tickets = append(tickets, ticket)
	}
	require.LessOrEqual(t, len(tickets), 20)
	disk.release()
	for _, ticket := range tickets {
		require.NoError(t, l.Wait(ticket, nil))
	}
	require.NoError(t, l.Able())
	require.NoError(t, l.Close(t.Context()))
}

func TestFull(t *testing.T) {
	o := options(t.TempDir())
	o.Size = 64 << 10
	l := open(t, o)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = put(l, "a", string(make([]byte, 5000)))
	}
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, l.Able(), ErrFull)
	require.Greater(t, n, 10)
	s := l.Stats()
	require.LessOrEqual(t, s.Bytes, o.Size)
	require.Equal(t, n-1, s.Records)
	entries, _ := rest(t, l)
	for _, e := range entries {
		l.Settle(e.Ref, nil)
	}
	require.NoError(t, l.Close(t.Context()))
	l = open(t, o)
	require.NoError(t, l.Able())
	require.NoError(t, put(l, "a", "again"))
	require.NoError(t, l.Close(t.Context()))
}

// disk is a file system with faults.
type disk struct {
	syncs atomic.Int64
	gate  chan struct{} // a token lets one fsync through; nil = all
	mu    sync.Mutex
	at    chan struct{}
	left  int          // bytes that have room; 0 = all
	sync  func() error // nil = the file's
	seen  func()       // after each effect
}

func (d *disk) create(path string) (file, error) {
	f, err := createFile(path)
	d.saw()
	return &faulty{f, d}, err
}

func (d *disk) saw() {
	if d.seen != nil {
		d.seen()
	}
}

// syncing is closed when an fsync beyond those with a token has begun.
func (d *disk) syncing() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = make(chan struct{})
	}
	return d.at
}

func (d *disk) release() { close(d.gate) }

type faulty struct {
	file
	d *disk
}

func (f *faulty) Write(p []byte) (int, error) {
	defer f.d.saw()
	if f.d.left > 0 {
		n := min(len(p), f.d.left)
		f.d.left -= n
		if n < len(p) || f.d.left == 0 {
			f.d.left = 1
			n, _ = f.file.Write(p[:n])
			return n, syscall.ENOSPC
		}
	}
	return f.file.Write(p)
}

func (f *faulty) Sync() error {
	if f.d.gate != nil {
		select {
		case <-f.d.gate:
		default:
			at := f.d.syncing()
			select {
			case <-at:
			default:
				close(at)
			}
			<-f.d.gate
		}
	}
	f.d.syncs.Add(1)
	if f.d.sync != nil {
		if err := f.d.sync(); err != nil {
			return err
		}
	}
	defer f.d.saw()
	return f.file.Sync()
}

// A write that found no room is taken back: what was durable stays, nothing of it is acknowledged, and once there is
// room the spill takes requests again.
func TestNoRoomOnDisk(t *testing.T) {
	for left := 1; left < 600; left += 7 {
		o := options(t.TempDir())
		d := &disk{left: left}
		o.create = d.create
		l := open(t, o)
		var kept []string
		for i := range 10 {
			value := fmt.Sprint("value ", i)
			err := put(l, "a", value)
			if err == nil {
				kept = append(kept, value)
				continue
			}
			require.ErrorIs(t, err, ErrFull)
			require.ErrorIs(t, l.Able(), ErrFull)
		}
		d.left = 0
		require.NoError(t, put(l, "a", "after"))
		require.NoError(t, l.Able())
		kept = append(kept, "after")
		_, got := rest(t, l)
		require.Equal(t, kept, got["a"], "with room for %d bytes", left)
		require.NoError(t, l.Close(t.Context()))
		l = open(t, options(o.Dir))
		_, got = rest(t, l)
		require.Equal(t, kept, got["a"])
		require.NoError(t, l.Close(t.Context()))
	}
}

// An fsync that failed is never taken for one that did not, neither then nor later.
func TestFsyncFails(t *testing.T) {
	o := options(t.TempDir())
	d := &disk{}
	o.create = d.create
	l := open(t, o)
	require.NoError(t, put(l, "a", "before"))
	broken := errors.New("broken")
	d.sync = func() error { return broken }
	require.ErrorIs(t, put(l, "a", "during"), broken)
	d.sync = nil
	err := put(l, "a", "after")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, l.Able(), broken)
	entries, got := rest(t, l)
	require.Equal(t, []string{"before"}, got["a"], "what was durable is given back")
	l.Settle(entries[0].Ref, nil)
	require.ErrorIs(t, l.Close(t.Context()), broken)
	held, _ := l.Held([]byte("a"))
	require.False(t, held)
}

// The folder is copied after every effect of a run, as a kill would leave it. Each copy opens, and holds everything that
// was acknowledged and not settled by then, in order.
func TestKillAtEveryEffect(t *testing.T) {
	o := options(t.TempDir())
	o.Size = 1 << 20 // segments of 64 KiB
	type moment struct {
		dir            string
		acked, settled int // when it was taken; what is under way may be there too
	}
	var moments []moment
	var acked, settled, begun atomic.Int64
	begunAt := map[string]int{}
	copies := t.TempDir()
	d := &disk{}
	d.seen = func() {
		m := moment{filepath.Join(copies, fmt.Sprint(len(moments))), int(acked.Load()), int(begun.Load())}
		begunAt[m.dir] = int(settled.Load())
		require.NoError(t, os.CopyFS(m.dir, os.DirFS(o.Dir)))
		moments = append(moments, m)
	}
	o.create = d.create
	l := open(t, o)
	value := func(i int) string { return fmt.Sprintf("%03d%s", i, make([]byte, 4000)) }
	const n = 60
	for i := range n {
		require.NoError(t, put(l, "a", value(i)))
		acked.Add(1)
		if i%3 != 2 {
			continue
		}
		list, _, _, err := l.Next(5000)
		require.NoError(t, err)
		for _, e := range list {
			begun.Add(1)
			l.Settle(e.Ref, nil)
		}
	}
	require.NoError(t, l.Close(t.Context()))
	require.Greater(t, len(moments), 2*n)
	for _, m := range moments {
		l := open(t, options(m.dir))
		_, got := rest(t, l)
		first := 0
		if len(got["a"]) > 0 {
			_, err := fmt.Sscanf(got["a"][0][:3], "%d", &first)
			require.NoError(t, err)
		}
		require.LessOrEqual(t, first, m.settled, "nothing is missing at the front")
		for i, v := range got["a"] {
			require.Equal(t, value(first+i), v)
		}
		require.GreaterOrEqual(t, first+len(got["a"]), m.acked, "nothing is missing at the end")
		require.NoError(t, l.Close(t.Context()))
	}
}

// The newest segment, cut off at every byte of its last frames: what was whole comes back, and the spill goes on.
func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	l := open(t, options(dir))
	for i := range 3 {
		require.NoError(t, put(l, "a", fmt.Sprint(i)))
	}
	require.NoError(t, l.Close(t.Context()))
	path := segments(t, dir)[0]
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range len(data) {
		require.NoError(t, os.WriteFile(path, data[:n], 0o600))
		l := open(t, options(dir))
		_, got := rest(t, l)
		require.LessOrEqual(t, len(got["a"]), 2)
		require.NoError(t, put(l, "a", "new"))
		require.NoError(t, l.Close(t.Context()))
		l = open(t, options(dir))
		_, again := rest(t, l)
		require.Equal(t, append(got["a"], "new"), again["a"], "cut at %d", n)
		require.NoError(t, l.Close(t.Context()))
		for _, path := range segments(t, dir) {
			require.NoError(t, os.Remove(path))
		}
	}
}

// Damage that no unfinished write explains stops the start, and says where it is and what can be done.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.Size = 1 << 20
	l := open(t, o)
	for i := range 40 {
		require.NoError(t, put(l, "a", fmt.Sprint(i, string(make([]byte, 4000)))))
	}
	require.NoError(t, l.Close(t.Context()))
	paths := segments(t, dir)
	require.Len(t, paths, 3)
	last := len(paths) - 1
	for name, c := range map[string]struct {
		n    int
		harm func(data []byte) []byte
		want string
	}{
		"the middle of the newest": {last, func(d []byte) []byte { d[len(d)/2] ^= 1; return d }, paths[last]},
		"the end of an older one":  {0, func(d []byte) []byte { return d[:len(d)-1] }, paths[0]},
		"a segment is gone":        {1, nil, "missing"},
		"another version":          {last, func(d []byte) []byte { return segment.AppendHead(nil, segment.Head{Number: 99}) }, "version"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(paths[c.n])
			require.NoError(t, err)
			defer func() { require.NoError(t, os.WriteFile(paths[c.n], data, 0o600)) }()
			if c.harm == nil {
				require.NoError(t, os.Remove(paths[c.n]))
			} else {
				require.NoError(t, os.WriteFile(paths[c.n], c.harm(slices.Clone(data)), 0o600))
			}
			_, err = Open(o)
			require.ErrorContains(t, err, c.want)
		})
	}
	l = open(t, o)
	require.Equal(t, 40, l.Stats().Requests, "nothing of it was cut off")
	require.NoError(t, l.Close(t.Context()))
}

// A part of a request that came back stays so over a start.
func TestParts(t *testing.T) {
	o := options(t.TempDir())
	l := open(t, o)
	b := segment.BeginRequest(nil, segment.Request{Key: []byte("a"), Records: 3})
	for i := range 3 {
		b = segment.AppendRecord(b, "weir.events", 1, fmt.Append(nil, i), 0, false)
	}
	ticket, err := l.Put(segment.End(b, 0), []byte("a"), 3, true)
	require.NoError(t, err)
	require.NoError(t, l.Wait(ticket, nil))
	entries, _ := rest(t, l)
	require.True(t, entries[0].Open)
	held, err := l.Load(&entries[0])
	require.NoError(t, err)
	require.True(t, held)
	l.Resolve(ticket, segment.Missing(nil).Add(1, 3))
	require.NoError(t, l.Close(t.Context()))
	l = open(t, o)
	entries, _ = rest(t, l)
	require.Len(t, entries, 1)
	require.False(t, entries[0].All)
	require.False(t, entries[0].Open)
	for i := range 3 {
		require.Equal(t, i == 1, entries[0].Lacks.Has(i))
	}
	held, err = l.Load(&entries[0])
	require.NoError(t, err)
	require.True(t, held)
	l.Settle(entries[0].Ref, nil)
	held, err = l.Load(&entries[0])
	require.NoError(t, err)
	require.False(t, held)
	require.NoError(t, l.Close(t.Context()))
	require.Empty(t, segments(t, o.Dir))
}

// What was handed and not settled is in doubt at the next start, and so is what was put as open; what is known is not.
func TestDoubts(t *testing.T) {
	o := options(t.TempDir())
	l := open(t, o)
	ticket, err := l.Put(frameOf("a", "open", true), []byte("a"), 1, true)
	require.NoError(t, err)
	require.NoError(t, l.Wait(ticket, nil))
	for i := range 4 {
		require.NoError(t, put(l, "a", fmt.Sprint(i)))
	}
	entries, _ := rest(t, l)
	require.Zero(t, l.Doubts(), "this process knows what it handed")
	require.NoError(t, l.Hand(t.Context(), []segment.ID{entries[1].ID, entries[2].ID, entries[3].ID}))
	l.Settle(entries[1].Ref, nil)
	l.Settle(entries[2].Ref, segment.Missing(nil).Add(0, 1))
	require.NoError(t, l.Close(t.Context()))
	for range 2 { // nothing was found out: it stays so
		l = open(t, o)
		require.Equal(t, 2, l.Doubts())
		entries, _ = rest(t, l)
		l.Rewind()
		again, _ := rest(t, l)
		require.Equal(t, entries, again)
		doubts := map[segment.ID]bool{}
		for _, e := range entries {
			doubts[e.ID] = e.Doubt
		}
		require.Equal(t, map[segment.ID]bool{1: true, 3: false, 4: true, 5: false}, doubts)
		require.NoError(t, l.Close(t.Context()))
	}
}

// Who waits for a turn goes on once the last of the key is in Kafka, or when the turn is called off.
func TestTurn(t *testing.T) {
	l := open(t, options(t.TempDir()))
	l.Turn("a")
	_, turn := l.Held([]byte("a"))
	require.Nil(t, turn, "nothing of it is held")
	require.NoError(t, put(l, "a", "1"))
	l.Turn("a")
	_, turn = l.Held([]byte("a"))
	l.Return("a")
	<-turn
	l.Turn("a")
	held, turn := l.Held([]byte("a"))
	require.True(t, held)
	entries, _ := rest(t, l)
	l.Settle(entries[0].Ref, nil)
	<-turn
	held, turn = l.Held([]byte("a"))
	require.False(t, held)
	require.Nil(t, turn)
	require.NoError(t, l.Close(t.Context()))
}

// A segment may go while it is about to be read, because late acknowledgements settled all of it.
func TestReadWhatGoes(t *testing.T) {
	l := open(t, options(t.TempDir()))
	var resolving sync.WaitGroup
	for range 300 {
		ticket, err := l.Put(frameOf("a", "open", true), []byte("a"), 1, true)
		require.NoError(t, err)
		require.NoError(t, l.Wait(ticket, nil))
		resolving.Go(func() { l.Resolve(ticket, nil) })
		list, _, _, err := l.Next(wide)
		require.NoError(t, err)
		for i := range list {
			_, err := l.Load(&list[i])
			require.NoError(t, err)
		}
	}
	resolving.Wait()
	require.NoError(t, put(l, "a", "stays"))
	_, _ = rest(t, l)
	newest := l.pieces[len(l.pieces)-1].number
	require.NoError(t, l.readFailed(newest+1, os.ErrNotExist))
	require.NoError(t, l.Able())
	require.ErrorIs(t, l.readFailed(newest, os.ErrNotExist), os.ErrNotExist)
	require.ErrorIs(t, l.Able(), os.ErrNotExist, "it was not given back, and cannot be read")
	require.Error(t, l.Close(t.Context()))
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ waiting, events int }{{1, 1}, {64, 1}, {64, 20}, {256, 20}} {
		b.Run(fmt.Sprintf("%d waiting/%d events", c.waiting, c.events), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir(), Size: 64 << 30, Observe: func(Commit) {}})
			require.NoError(b, err)
			value := make([]byte, 935)
			frame := segment.BeginRequest(nil, segment.Request{Key: []byte("source1"), Records: c.events})
			for range c.events {
				frame = segment.AppendRecord(frame, "weir.events", 1, value, 0, false)
			}
			frame = segment.End(frame, 0)
			b.SetBytes(int64(len(frame)))
			b.SetParallelism(c.waiting)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					ticket, err := l.Put(frame, []byte("source1"), c.events, false)
					if err == nil {
						err = l.Wait(ticket, nil)
					}
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(c.events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			require.NoError(b, l.Close(b.Context()))
		})
	}
}

// A disk without room takes no mark: nothing is handed then. The mark is written once there is room.
func TestNoRoomForAMark(t *testing.T) {
	o := options(t.TempDir())
	d := &disk{}
	o.create = d.create
	l := open(t, o)
	require.NoError(t, put(l, "a", "first"))
	d.left = 1
	require.ErrorIs(t, l.Hand(t.Context(), []segment.ID{1}), ErrFull)
	entries, _ := rest(t, l)
	require.Len(t, entries, 1)
	require.False(t, entries[0].Open)
	d.left = 0
	require.NoError(t, put(l, "a", "second"))
	require.NoError(t, l.Close(t.Context()))
	l = open(t, options(o.Dir))
	require.Equal(t, 1, l.Doubts(), "the mark stands")
	l.Rewind()
	require.NoError(t, l.Close(t.Context()))
}

// A disk that hangs holds nobody up who gives back, once his time is over.
func TestAHungDiskHoldsUpNoHand(t *testing.T) {
	o := options(t.TempDir())
	d := &disk{gate: make(chan struct{}, 2)}
	d.gate <- struct{}{} // the head's
	d.gate <- struct{}{}
	o.create = d.create
	l := open(t, o)
	require.NoError(t, put(l, "a", "first"))
	at := d.syncing()
	_, err := l.Put(frameOf("a", "second", false), []byte("a"), 1, false)
	require.NoError(t, err)
	<-at
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Hand(ctx, []segment.ID{1}), context.Canceled)
	d.release()
	require.NoError(t, l.Close(t.Context()))
}

// A killed process may have left marks of its newest segment in the page cache only: they are on the disk before anything
// follows them, and where they cannot be, nothing does.
func TestTheLastSegmentIsSyncedAtTheStart(t *testing.T) {
	o := options(t.TempDir())
	o.Size = 1 << 20 // segments of 64 KiB
	l := open(t, o)
	for i := range 3 {
		require.NoError(t, put(l, "a", fmt.Sprint(i, strings.Repeat("x", 50<<10))))
	}
	require.NoError(t, l.Close(t.Context()))
	all := segments(t, o.Dir)
	require.Len(t, all, 3)
	var synced []string
	o.sync = func(path string) error {
		synced = append(synced, path)
		return syncFile(path)
	}
	l = open(t, o)
	require.Equal(t, all[2:], synced)
	require.NoError(t, l.Close(t.Context()))

	broken := errors.New("the disk is broken")
	o.sync = func(string) error { return broken }
	_, err := Open(o)
	require.ErrorIs(t, err, broken)
	require.Equal(t, all, segments(t, o.Dir))
}

// A disk that hangs does not hold up the end of its gateway for ever, and the folder is not another's until it goes on.
func TestAHungDiskIsLeft(t *testing.T) {
	o := options(t.TempDir())
	d := &disk{gate: make(chan struct{}, 1)}
	d.gate <- struct{}{} // the head's
	o.create = d.create
	l := open(t, o)
	at := d.syncing()
	ticket, err := l.Put(frameOf("a", "first", false), []byte("a"), 1, false)
	require.NoError(t, err)
	<-at
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = l.Close(ctx)
	require.ErrorIs(t, err, ErrLate)
	require.ErrorContains(t, err, o.Dir)
	_, err = l.Put(frameOf("a", "late", false), []byte("a"), 1, false)
	require.ErrorIs(t, err, ErrClosed)
	_, err = Open(options(o.Dir))
	require.ErrorContains(t, err, "another gateway uses it")
	d.release()
	require.NoError(t, l.Close(t.Context()))
	require.NoError(t, l.Wait(ticket, nil))
	require.NoError(t, open(t, options(o.Dir)).Close(t.Context()))
}

// A segment that cannot be opened for a while, to read or to write, ends nothing.
func TestNoHandle(t *testing.T) {
	o := options(t.TempDir())
	none := &atomic.Bool{}
	o.create = func(path string) (file, error) {
		if none.Load() {
			return nil, syscall.EMFILE
		}
		return createFile(path)
	}
	l := open(t, o)
	none.Store(true)
	require.ErrorIs(t, put(l, "a", "refused"), syscall.EMFILE)
	none.Store(false)
	require.NoError(t, put(l, "a", "first"))
	path := segments(t, o.Dir)[0]
	require.NoError(t, os.Rename(path, path+".away"))
	require.NoError(t, os.Symlink(path, path)) // which cannot be opened
	_, _, _, err := l.Next(1 << 20)
	require.ErrorIs(t, err, ErrUnread)
	require.ErrorIs(t, l.Unread(), ErrUnread)
	require.NoError(t, put(l, "a", "second"))
	require.NoError(t, os.Rename(path+".away", path))
	l.Rewind()
	_, got := rest(t, l)
	require.Equal(t, []string{"first", "second"}, got["a"])
	require.NoError(t, l.Unread())
	require.NoError(t, l.Close(t.Context()))
}

// What could not be read is not missed once Kafka has had it from its client.
func TestNothingIsLeftUnread(t *testing.T) {
	o := options(t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		l := open(t, o)
		require.NoError(t, put(l, "a", "late"))
		entries, _ := rest(t, l)
		path := segments(t, o.Dir)[0]
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Symlink(path, path)) // which cannot be opened
		l.Rewind()
		_, _, _, err := l.Next(1 << 20)
		require.ErrorIs(t, err, ErrUnread)
		l.Settle(entries[0].Ref, nil)
		synctest.Wait()
		require.Empty(t, segments(t, o.Dir))
		_, end, _, err := l.Next(1 << 20)
		require.NoError(t, err)
		require.True(t, end)
		require.NoError(t, l.Unread())
		require.NoError(t, l.Close(t.Context()))
	})
}
