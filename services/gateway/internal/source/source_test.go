package source

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, text string) *Index {
	t.Helper()
	x, err := Parse("sources.yaml", []byte(text), nil)
	require.NoError(t, err)
	return x
}

func TestLookup(t *testing.T) {
	x := parse(t, `
sources:
  - id: web
    name: The web site
    write_keys: [wk-web, wk-web-2, "`+HashKey("pepper", "wk-web-hashed")+`"]
  - id: app
    enabled: false
    write_keys: ["`+HashKey("salt", "wk-app")+`"]
  - {id: idle, enabled: false}
`)
	require.Len(t, x.Sources(), 3)
	for range 3 { // the second time from what is remembered
		for key, id := range map[string]string{"wk-web": "web", "wk-web-2": "web", "wk-web-hashed": "web", "wk-app": "app"} {
			s, ok := x.Lookup([]byte(key))
			require.True(t, ok, key)
			require.Equal(t, id, s.ID)
			require.Equal(t, id, string(s.Key))
			require.Equal(t, id == "web", s.Enabled)
		}
		for _, key := range []string{"", "wk", "web", "WK-WEB", HashKey("salt", "wk-app"), "saltwk-app"} {
			_, ok := x.Lookup([]byte(key))
			require.False(t, ok, key)
		}
	}
}

func TestUnknownKeysAreRememberedUpToABound(t *testing.T) {
	x := parse(t, "sources: [{id: a, write_keys: ['"+HashKey("s", "k")+"']}]")
	for range maxMisses + 100 {
		_, ok := x.Lookup([]byte(rand.Text()))
		require.False(t, ok)
	}
	n := 0
	x.found.Range(func(any, any) bool { n++; return true })
	require.Equal(t, maxMisses, n)
	_, ok := x.Lookup([]byte("k"))
	require.True(t, ok)
}

// A key that is too long is unknown before anything is hashed or remembered, and none such can be given to a source.
func TestLongKeys(t *testing.T) {
	longest := strings.Repeat("k", maxKey)
	x := parse(t, "sources: [{id: a, write_keys: ["+longest+", '"+HashKey("s", longest+"k")+"', '"+HashKey("s", "x"+longest[1:])+"']}]")
	for _, key := range []string{longest, "x" + longest[1:]} {
		_, ok := x.Lookup([]byte(key))
		require.True(t, ok)
	}
	x.found.Clear()
	_, ok := x.Lookup([]byte(longest + "k"))
	require.False(t, ok, "though its sum stands there")
	x.found.Range(func(any, any) bool { t.Fatal("it was looked for"); return false })
	_, err := Parse("s.yaml", []byte("sources: [{id: a, write_keys: [ok, "+longest+"k]}]"), nil)
	require.EqualError(t, err, `s.yaml:1: source 1 (id "a"): write key 2 is longer than 512 bytes`)
}

func TestEveryFaultIsReportedAndNoKeyIsShown(t *testing.T) {
	_, err := Parse("sources.yaml", []byte(`
sources:
  - {id: "a/b", write_keys: [secret-1]}
  - {id: ok, write_keys: [secret-1, "", "sha256:nosum", "sha256:salt:abcd", "sha256::`+strings.Repeat("0", 64)+`"]}
  - {id: ok, write_keys: []}
  - {id: "..", write_keys: [secret-2]}
  - {id: hidden, write_keys: ["`+HashKey("x", "secret-2")+`"]}
`), nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
	for _, want := range []string{
		`sources.yaml:3: source 1 (id "a/b"): an id has`,
		`sources.yaml:4: source 2 (id "ok"): write key 1 stands at source 1 too`,
		`sources.yaml:4: source 2 (id "ok"): write key 2 is empty`,
		`sources.yaml:4: source 2 (id "ok"): write key 3: want sha256:`,
		`sources.yaml:4: source 2 (id "ok"): write key 4: want 64 hex digits`,
		`sources.yaml:4: source 2 (id "ok"): write key 5: want sha256:`,
		`sources.yaml:5: source 3 (id "ok"): source 2 has the same id`,
		`sources.yaml:5: source 3 (id "ok"): write_keys is empty`,
		`sources.yaml:6: source 4 (id ".."): an id has`,
		`sources.yaml:6: source 4 (id ".."): one of its write keys stands, salted, at source 5 too`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestAFaultOfTheFormHidesNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sources.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
secret-9: true
sources:
  - id: a
    write_keys: secret-key
  - secret-1
  - id: [b]
    enabled: perhaps
    writeKeys: [secret-2]
  - id: c
    id: d
    write_keys:
      - {secret-3: 1}
      - secret-4
      - ""
  - id: ../e
`), 0o600))
	var got []string
	for _, err := range Check(path) {
		got = append(got, strings.TrimPrefix(err.Error(), path+":"))
	}
	require.Equal(t, []string{
		`2: unknown field: want sources`,
		`5: source 1: write_keys: want a list`,
		`6: want id, name, enabled, write_keys, limits, allowed_origins, ip, drop, hmac, blocked_events, suppressed_users`,
		`7: source 3: id: want a text`,
		`8: source 3: enabled: want true or false`,
		`9: unknown field: want id, name, enabled, write_keys, limits, allowed_origins, ip, drop, hmac, blocked_events, suppressed_users`,
		`11: id is set twice`,
		`13: source 4: write key 1: want a text`,
		`15: source 4 (id "c"): write key 3 is empty`,
		`16: source 5 (id "../e"): an id has 1 to 128 characters of A-Z a-z 0-9 . _ - and is neither . nor ..`,
		`16: source 5 (id "../e"): write_keys is empty: nobody could send for it`,
	}, got)
	require.NoError(t, os.WriteFile(path, []byte("sources: []\n"), 0o600))
	none := Check(path)
	require.Len(t, none, 1)
	require.ErrorIs(t, none[0], ErrNone)
	missing := Check(path + "x")
	require.Len(t, missing, 1)
	require.ErrorIs(t, missing[0], os.ErrNotExist)
}

func TestFaultsAreBounded(t *testing.T) {
	_, err := Parse("s.yaml", []byte("sources:\n"+strings.Repeat("- {id: /, enabled: false}\n", 1000)), nil)
	var faults Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, maxFaults+1)
	require.EqualError(t, faults[maxFaults], "s.yaml: and 1899 faults more", "1000 ids, 999 of them again")
}

func TestWrongShapes(t *testing.T) {
	for _, text := range []string{
		"sources: [{id: a, write_keys: secret-key}]",
		"sources: [{id: a, writekeys: [secret-key]}]",
		"sources: {secret-key: 1}",
		"secret-key",
		"sources: [",
		"sources:\n- id: a\n  write_keys: [*secret-key]",
		"sources:\n- id: a\n\twrite_keys: [secret-key]",
	} {
		_, err := Parse("sources.yaml", []byte(text), nil)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "secret")
	}
	for _, text := range []string{"", "sources: []", "# nobody yet\n", "sources:\n", "---\n"} {
		require.Empty(t, parse(t, text).Sources())
	}
	const one = "---\nsources: [{id: a, write_keys: [k]}]\n"
	require.Len(t, parse(t, one+"...\n# the end\n").Sources(), 1)
	for more, want := range map[string]string{
		"---\nsources: [{id: b, write_keys: [secret]}]\n": "s.yaml:3: another YAML document begins here: want one, with all sources", "---\n": "s.yaml:3: another",
		"---\n[\n": "s.yaml:", "---\n- \tsecret: {": "s.yaml:",
	} {
		_, err := Parse("s.yaml", []byte(one+more), nil)
		require.ErrorContains(t, err, want, more)
		require.NotContains(t, err.Error(), "secret")
		_, err = Apply("s.yaml", []byte(one+more), Retire("a"))
		require.Error(t, err, "an edit would lose it")
	}
	_, err := Parse("s.yaml", []byte("sources:\n- id: a\n  write_keys: [k\n- id: b\n"), nil)
	require.Regexp(t, `^s\.yaml:\d: did not find expected ',' or '\]'$`, err.Error())
	x := parse(t, "sources: [{id: 7, name: &n yes, enabled: on, write_keys: [8, *n]}, {id: b, enabled: off}]")
	require.Equal(t, "7", x.Sources()[0].ID)
	require.True(t, x.Sources()[0].Enabled)
	require.False(t, x.Sources()[1].Enabled)
	for _, key := range []string{"8", "yes"} {
		_, ok := x.Lookup([]byte(key))
		require.True(t, ok, key)
	}
}

// write replaces the file as an editor does, and makes sure that its time moves.
func write(t *testing.T, path, text string, at time.Time) {
	t.Helper()
	next := path + ".next"
	require.NoError(t, os.WriteFile(next, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(next, at, at))
	require.NoError(t, os.Rename(next, path))
}

// settle looks until the file rests.
func settle(w *Watcher) (Reload, bool) {
	w.look()
	return w.look()
}

func TestWatcherKeepsTheLastGoodSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sources.yaml")
	_, err := Open(path)
	require.ErrorIs(t, err, os.ErrNotExist)

	at := time.Now()
	write(t, path, "sources: [{id: a, write_keys: [k1]}]", at)
	w, err := Open(path)
	require.NoError(t, err)
	_, changed := w.look()
	require.False(t, changed)

	write(t, path, "sources: [{id: a, write_keys: [k1, k2]}, {id: b, write_keys: [k3]}]", at.Add(time.Second))
	r, changed := settle(w)
	require.True(t, changed)
	require.NoError(t, r.Err)
	require.Equal(t, 2, r.Sources)

	write(t, path, "sources: [{id: a}, oops]", at.Add(2*time.Second))
	r, changed = settle(w)
	require.True(t, changed)
	require.Error(t, r.Err)
	require.Equal(t, 2, r.Sources)
	_, ok := w.Lookup([]byte("k3"))
	require.True(t, ok, "the last good sources stay in force")
	_, changed = w.look()
	require.False(t, changed, "a refused file is reported once")

	require.NoError(t, os.Remove(path))
	r, changed = settle(w)
	require.True(t, changed)
	require.ErrorIs(t, r.Err, os.ErrNotExist)
	_, ok = w.Lookup([]byte("k1"))
	require.True(t, ok)

	write(t, path, "sources: [{id: b, write_keys: [k3]}]", at.Add(3*time.Second))
	r, changed = settle(w)
	require.True(t, changed)
	require.NoError(t, r.Err)
	_, ok = w.Lookup([]byte("k1"))
	require.False(t, ok, "a revoked key is refused")
}

// A file that is written in its place is empty at first, and then a part of itself: neither takes sources away.
func TestAFileThatIsWrittenInItsPlace(t *testing.T) {
	const list = "sources:\n- {id: a, write_keys: [k1]}\n- {id: b, write_keys: [k2]}\n"
	path := filepath.Join(t.TempDir(), "sources.yaml")
	at := time.Now()
	put := func(text string) { // the file stays the same one
		at = at.Add(time.Second)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
	}
	put(list)
	w, err := Open(path)
	require.NoError(t, err)
	for _, part := range []string{"", list[:len(list)/2+1], list} {
		put(part)
		_, changed := w.look()
		require.False(t, changed, "%q", part)
		require.Len(t, w.Index().Sources(), 2)
	}
	r, changed := w.look()
	require.True(t, changed)
	require.Equal(t, Reload{Sources: 2}, r)

	for _, empty := range []string{"", "# nobody\n", "sources: []\n"} { // for good
		put(empty)
		r, changed = settle(w)
		require.True(t, changed)
		require.ErrorIs(t, r.Err, ErrNone)
		require.Equal(t, 2, r.Sources, "the last good ones stay in force")
		_, changed = w.look()
		require.False(t, changed, "it is reported once")
	}

	put(list)
	settle(w)
	for i := range longestMove {
		put(fmt.Sprintf("sources: [{id: a, write_keys: [k1]}] # %d", i))
		_, changed = w.look()
		require.False(t, changed)
	}
	put("sources: [{id: a, write_keys: [k1]}]")
	r, changed = w.look()
	require.True(t, changed, "it moves for too long")
	require.Equal(t, 1, r.Sources)
}

// Nobody starts by a list without a source; a copy is waited for.
func TestStartingWithoutASource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sources.yaml")
	for _, text := range []string{"", "sources: []\n"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := Open(path)
		require.ErrorIs(t, err, ErrNone)
		w, err := OpenCopy(path)
		require.NoError(t, err)
		require.False(t, w.Known())
		_, changed := settle(w)
		require.False(t, changed, "nothing is wrong yet")
		require.NoError(t, EditFile(path, Add("a", "", NewSecret())))
		r, changed := settle(w)
		require.True(t, changed)
		require.Equal(t, Reload{Sources: 1}, r)
		require.True(t, w.Known())
		_, err = Open(path)
		require.NoError(t, err)
	}
}

func TestFollowReportsChangesWhileOthersLookUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sources.yaml")
	at := time.Now()
	write(t, path, "sources: [{id: a, write_keys: [k0]}]", at)
	w, err := Open(path)
	require.NoError(t, err)
	reports := make(chan Reload)
	ctx := t.Context()
	var readers sync.WaitGroup
	defer readers.Wait()
	done := make(chan struct{})
	defer close(done)
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				w.Lookup([]byte("k1"))
			}
		}
	})
	go w.Follow(ctx, time.Millisecond, func(r Reload) { reports <- r })
	for i := 1; i <= 3; i++ {
		write(t, path, fmt.Sprintf("sources: [{id: a, write_keys: [k%d]}]", i), at.Add(time.Duration(i)*time.Second))
		r := <-reports
		require.NoError(t, r.Err)
		_, ok := w.Lookup(fmt.Appendf(nil, "k%d", i))
		require.True(t, ok)
	}
}

// Who keeps a key for long hears when other sources come into force, and not of a file that is refused.
func TestReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sources.yaml")
	at := time.Now()
	write(t, path, "sources: [{id: a, write_keys: [k0]}]", at)
	w, err := Open(path)
	require.NoError(t, err)
	first := w.Replaced()
	isClosed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	write(t, path, "sources: [{id: a, write_keys: []", at.Add(time.Second))
	settle(w)
	require.False(t, isClosed(first))
	write(t, path, "sources: [{id: a, write_keys: [k1]}]", at.Add(2*time.Second))
	settle(w)
	require.True(t, isClosed(first))
	require.False(t, isClosed(w.Replaced()))
}

func BenchmarkLookup(b *testing.B) {
	x, err := Parse("sources.yaml", []byte("sources: [{id: a, write_keys: [plain-key-of-usual-length, '"+HashKey("salt", "salted-key-of-usual-length")+"']}]"), nil)
	require.NoError(b, err)
	for _, key := range []string{"plain-key-of-usual-length", "salted-key-of-usual-length"} {
		b.Run(key[:5], func(b *testing.B) {
			k := []byte(key)
			b.ReportAllocs()
			for b.Loop() {
				x.Lookup(k)
			}
		})
	}
}
