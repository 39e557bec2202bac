package segment

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type rec struct {
	Topic   string
	At      int64
	Value   []byte
	Headers []Header
}

func frame(at int64, open bool, key string, list []rec) []byte {
	b := BeginRequest(nil, Request{At: at, Open: open, Key: []byte(key), Records: len(list)})
	for i, r := range list {
		shared := i > 0 && len(r.Headers) > 0 && len(r.Headers) == len(list[i-1].Headers) && &r.Headers[0] == &list[i-1].Headers[0]
		b = AppendRecord(b, r.Topic, r.At, r.Value, len(r.Headers), shared)
		if !shared {
			for _, h := range r.Headers {
				b = AppendHeader(b, string(h.Key), h.Value)
			}
		}
	}
	return End(b, 0)
}

func records(t require.TestingT, payload []byte) (Request, []rec) {
	r, err := ReadRequest(payload)
	require.NoError(t, err)
	head := r
	var list []rec
	var one Record
	for {
		ok, err := r.Next(&one)
		require.NoError(t, err)
		if !ok {
			return head, list
		}
		list = append(list, rec{string(one.Topic), one.At, one.Value, one.Headers})
	}
}

// What is read is what was written, byte for byte.
func TestRequests(t *testing.T) {
	bytesOf := rapid.SliceOf(rapid.Byte())
	rapid.Check(t, func(t *rapid.T) {
		shared := []Header{{[]byte("weir-received-at"), []byte("2026-11-29T09:00:00.000Z")}, {[]byte("weir-request-id"), bytesOf.Draw(t, "id")}}
		list := make([]rec, rapid.IntRange(0, 5).Draw(t, "records"))
		for i := range list {
			list[i] = rec{Topic: rapid.String().Draw(t, "topic"), At: rapid.Int64Range(0, 1<<60).Draw(t, "at"), Value: append([]byte{}, bytesOf.Draw(t, "value")...), Headers: shared}
			if rapid.Bool().Draw(t, "own headers") {
				list[i].Headers = []Header{{[]byte("own"), []byte{byte(i)}}}
			}
		}
		key, open := rapid.String().Draw(t, "key"), rapid.Bool().Draw(t, "open")
		data := frame(17, open, key, list)
		f, _, ok := First(data)
		require.True(t, ok)
		require.Equal(t, len(data), f.Size)
		require.Equal(t, KindRequest, f.Kind)
		head, got := records(t, f.Payload)
		require.Equal(t, key, string(head.Key))
		require.Equal(t, open, head.Open)
		require.EqualValues(t, 17, head.At)
		require.Equal(t, fmt.Sprint(list), fmt.Sprint(got))
	})
}

func TestHeads(t *testing.T) {
	data := AppendHead(nil, Head{Number: 7, First: 99})
	f, _, ok := First(data)
	require.True(t, ok)
	h, err := ReadHead(f.Payload)
	require.NoError(t, err)
	require.Equal(t, Head{7, 99}, h)
	_, err = ReadHead(append(slices.Clone(f.Payload), 0))
	require.ErrorIs(t, err, ErrForm)

	for _, n := range []uint64{0, 1, 1<<64 - 1} {
		got, ok := NumberOf(Name(n))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	for _, name := range []string{"lock", "1.spill", "0000000000000000000x.spill", "99999999999999999999.spill", Name(1) + "x"} {
		_, ok := NumberOf(name)
		require.False(t, ok, name)
	}
	require.Less(t, Name(9), Name(10))
}

// three frames, and where each ends.
func three() (data []byte, ends []int) {
	data = AppendHead(nil, Head{Number: 1, First: 1})
	ends = append(ends, len(data))
	for i := range 2 {
		data = append(data, frame(1, false, "source1", []rec{{Topic: "weir.events", Value: fmt.Appendf(nil, `{"n":%d}`, i)}})...)
		ends = append(ends, len(data))
	}
	return data, ends
}

func scan(t *testing.T, data []byte) (valid, beyond, frames int) {
	t.Helper()
	valid, beyond, err := Scan(data, func(int, Frame) error { frames++; return nil })
	require.NoError(t, err)
	return valid, beyond, frames
}

// A segment that is cut off at any byte gives the frames before, and says that nothing follows.
func TestTornAtEveryByte(t *testing.T) {
	data, ends := three()
	for n := range len(data) + 1 {
		want := 0
		for _, e := range ends {
			if e <= n {
				want++
			}
		}
		for name, torn := range map[string][]byte{
			"cut":    data[:n],
			"zeroes": append(slices.Clone(data[:n]), make([]byte, len(data)-n)...), // a length that was made durable before the bytes
		} {
			valid, beyond, frames := scan(t, torn)
			if name == "zeroes" && n < len(data) && bytes.Equal(torn, data) {
				continue // the byte was a zero
			}
			require.GreaterOrEqual(t, frames, want, "%s at %d", name, n)
			require.Equal(t, -1, beyond, "%s at %d", name, n)
			if name == "cut" {
				require.Equal(t, want, frames)
				require.Equal(t, append([]int{0}, ends...)[want], valid)
			}
		}
	}
}

// A byte that changed is never taken for what was written, and what follows it is found.
func TestDamageAtEveryByte(t *testing.T) {
	data, ends := three()
	for n := range data {
		bad := slices.Clone(data)
		bad[n] ^= 0x40
		hit := slices.IndexFunc(ends, func(e int) bool { return n < e })
		valid, beyond, frames := scan(t, bad)
		require.Equal(t, hit, frames, "at %d", n)
		require.Equal(t, append([]int{0}, ends...)[hit], valid)
		if hit == len(ends)-1 {
			require.Equal(t, -1, beyond)
			continue
		}
		require.Equal(t, ends[hit], beyond, "the frame behind is there: this was no unfinished write")
	}
}

func TestBook(t *testing.T) {
	b := NewBook()
	refs := []Ref{{1, "a", 2}, {2, "b", 1}, {3, "a", 70}}
	for _, r := range refs {
		require.True(t, b.Hold(r))
	}
	requests, n := b.Held()
	require.Equal(t, []int{3, 73}, []int{requests, n})
	require.Equal(t, 2, b.Of("a"))

	var m Missing
	for _, i := range []int{0, 69} {
		m = m.Add(i, 70)
	}
	require.False(t, b.Settle(refs[2], m))
	got, all, settled := b.Lacks(3)
	require.Equal(t, []bool{false, false}, []bool{all, settled})
	for i := range 70 {
		require.Equal(t, i == 0 || i == 69, got.Has(i))
	}
	require.True(t, b.Settle(refs[2], nil))
	_, _, settled = b.Lacks(3)
	require.True(t, settled)
	_, all, _ = b.Lacks(1)
	require.True(t, all)
	require.Equal(t, 1, b.Of("a"))
	require.True(t, b.Settle(refs[0], nil))
	require.False(t, b.Settle(refs[0], nil), "once")
	require.Zero(t, b.Of("a"))
	require.True(t, b.Settle(refs[1], Missing{0}), "no bit is set")
	requests, n = b.Held()
	require.Equal(t, []int{0, 0}, []int{requests, n})
}

// Segments are read from the newest to the oldest: the newest note of a request counts.
func TestNotes(t *testing.T) {
	notes := AppendNote(nil, 7, Missing{5, 0})
	notes = AppendNote(notes, 300, nil)
	notes = AppendNote(notes, 7, Missing{4, 0})
	type note struct {
		id ID
		m  Missing
	}
	var list []note
	require.NoError(t, ReadNotes(notes, func(id ID, m Missing) { list = append(list, note{id, m}) }))
	require.Equal(t, []note{{7, Missing{5, 0}}, {300, nil}, {7, Missing{4, 0}}}, list)
	b := NewBook()
	for _, n := range slices.Backward(list) {
		b.Note(n.id, n.m)
	}
	require.False(t, b.Hold(Ref{ID: 300, Key: "a", Records: 1}))
	require.True(t, b.Hold(Ref{ID: 7, Key: "a", Records: 66}))
	m, _, _ := b.Lacks(7)
	require.Equal(t, Missing{4, 0}, m)
	for n := range notes {
		if n != len(AppendNote(nil, 7, Missing{5, 0})) && n > 0 {
			err := ReadNotes(notes[:n], func(ID, Missing) {})
			require.True(t, err == nil || err == ErrForm)
		}
	}
	b.Forget(1 << 13)
	_, _, settled := b.Lacks(300)
	require.False(t, settled, "its page is gone")
}

// What was handed is in doubt unless a newer note says what became of it. Frames are read from the newest on.
func TestDoubts(t *testing.T) {
	var ids []ID
	require.NoError(t, ReadHanded(AppendHanded(AppendHanded(nil, 7), 300), func(id ID) { ids = append(ids, id) }))
	require.Equal(t, []ID{7, 300}, ids)
	require.ErrorIs(t, ReadHanded([]byte{0x80}, func(ID) {}), ErrForm)

	b := NewBook()
	b.Handed(4)           // handed again after its note
	b.Note(3, nil)        // settled after it was handed
	b.Note(2, Missing{1}) // failed after it was handed
	b.Note(4, Missing{2}) // failed the first time
	for _, id := range []ID{1, 2, 3, 4} {
		b.Handed(id)
	}
	for id, want := range map[ID]bool{1: true, 2: false, 3: false, 4: true, 5: false} {
		require.Equal(t, want, b.Doubted(id), "request %d", id)
	}
	require.Equal(t, 2, b.Doubts())
	require.True(t, b.Hold(Ref{1, "a", 1}))
	b.Settle(Ref{1, "a", 1}, Missing{1})
	require.False(t, b.Doubted(1))
}

// FuzzScan: whatever a disk gives back, nothing panics, and what decodes is encoded alike.
func FuzzScan(f *testing.F) {
	data, _ := three()
	f.Add(data)
	f.Add(data[:len(data)-3])
	f.Add(append(slices.Clone(data), make([]byte, 40)...))
	f.Add(End(append(Begin(nil, KindNotes), AppendNote(nil, 5, Missing{1})...), 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		valid, beyond, err := Scan(data, func(_ int, f Frame) error {
			switch f.Kind {
			case KindHead:
				if h, err := ReadHead(f.Payload); err == nil {
					require.Equal(t, f.Payload, AppendHead(nil, h)[headSize:])
				}
			case KindRequest:
				readAgain(t, f.Payload)
			case KindNotes:
				_ = ReadNotes(f.Payload, func(ID, Missing) {})
			case KindHanded:
				_ = ReadHanded(f.Payload, func(ID) {})
			}
			return nil
		})
		require.NoError(t, err)
		require.LessOrEqual(t, valid, len(data))
		require.True(t, beyond == -1 || beyond > valid && beyond < len(data))
	})
}

// FuzzRequest reads payloads of which the checksum was right.
func FuzzRequest(f *testing.F) {
	f.Add(frame(9, true, "k", []rec{{Topic: "t", Value: []byte("v"), Headers: []Header{{[]byte("a"), []byte("b")}}}, {Topic: "t", At: 1}})[headSize:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		readAgain(t, payload)
		_ = ReadNotes(payload, func(ID, Missing) {})
		_, _ = ReadHead(payload)
	})
}

// readAgain reads a payload, writes what it read, and reads that.
func readAgain(t *testing.T, payload []byte) {
	r, err := ReadRequest(payload)
	if err != nil {
		return
	}
	head := r
	var list []rec
	var one Record
	for {
		ok, err := r.Next(&one)
		if err != nil {
			return
		}
		if !ok {
			break
		}
		list = append(list, rec{string(one.Topic), one.At, one.Value, one.Headers})
	}
	again, listAgain := records(t, frame(head.At, head.Open, string(head.Key), list)[headSize:])
	require.Equal(t, head.Key, again.Key)
	require.Equal(t, fmt.Sprint(list), fmt.Sprint(listAgain))
}
