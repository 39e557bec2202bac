package source

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func apply(t *testing.T, old string, edits ...Edit) string {
	t.Helper()
	for _, e := range edits {
		text, err := Apply("sources.yaml", []byte(old), e)
		require.NoError(t, err)
		old = string(text)
	}
	return old
}

func owner(t *testing.T, text, key string) string {
	t.Helper()
	s, ok := parse(t, text).Lookup([]byte(key))
	if !ok {
		return ""
	}
	return s.ID
}

func TestAdd(t *testing.T) {
	for name, old := range map[string]string{
		"no file": "", "null": "sources:\n", "nothing": "# who\nsources: []\n", "comment": "# none yet\n",
		"one": "sources:\n- {id: old, write_keys: [plain-key]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			text := apply(t, old, Add("shop", "The shop: 1", Secret{"key-1", "salt"}), Add("123", "", Secret{"key-2", "other"}))
			require.Equal(t, "shop", owner(t, text, "key-1"))
			require.Equal(t, "123", owner(t, text, "key-2"))
			require.NotContains(t, text, "key-1")
			require.NotContains(t, text, "other", "one salt is enough")
			require.Equal(t, strings.Contains(old, "# who"), strings.Contains(text, "# who"))
			require.Equal(t, strings.Contains(old, "plain-key"), owner(t, text, "plain-key") == "old")
		})
	}
	_, err := Apply("s", []byte("sources: [{id: a, write_keys: [k]}]"), Add("a", "", Secret{"k2", "s"}))
	require.ErrorContains(t, err, "there already")
	_, err = Apply("s", nil, Add("a/b", "", Secret{"k", "s"}))
	require.ErrorContains(t, err, "an id has")
}

// A rotation leaves the new key and the newest old one; every key that is gone is gone.
func TestRotate(t *testing.T) {
	const old = `# the sources
sources:
  # the web
  - id: web # first
    write_keys: [key-0, key-1]
    limits: {events_per_second: 10}
  - {id: app, write_keys: [key-a]} # second
`
	text := apply(t, old, Rotate("web", Secret{"key-2", "salt"}))
	require.Empty(t, owner(t, text, "key-0"))
	require.Equal(t, "web", owner(t, text, "key-1"))
	require.Equal(t, "web", owner(t, text, "key-2"))
	for _, comment := range []string{"# the sources", "# the web", "# first", "# second"} {
		require.Contains(t, text, comment)
	}
	text = apply(t, text, Rotate("web", Secret{"key-3", "salt"}), Rotate("app", Secret{"key-b", "salt"}))
	require.Empty(t, owner(t, text, "key-1"))
	require.Equal(t, "web", owner(t, text, "key-2"))
	require.Equal(t, "app", owner(t, text, "key-a"))
	text = apply(t, text, Retire("web"), Retire("app"))
	require.Empty(t, owner(t, text, "key-2"))
	require.Empty(t, owner(t, text, "key-a"))
	require.Equal(t, "web", owner(t, text, "key-3"))
	require.Equal(t, "app", owner(t, text, "key-b"))
	require.EqualValues(t, 10, parse(t, text).Sources()[0].Limits.EventsPerSecond)
}

func TestEnable(t *testing.T) {
	const old = "sources: [{id: a, write_keys: [k]}, {id: b, enabled: false}]"
	text := apply(t, old, Enable("a", false))
	require.False(t, parse(t, text).Sources()[0].Enabled)
	require.True(t, parse(t, apply(t, text, Enable("a", true))).Sources()[0].Enabled)
	_, err := Apply("s.yaml", []byte(old), Enable("b", true))
	require.ErrorContains(t, err, "write_keys is empty")
}

func TestWhatIsNotEdited(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		edit Edit
		want string
	}{
		"an unknown source":     {"sources: [{id: a, write_keys: [k]}]", Retire("b"), "there is no source b"},
		"a file that is wrong":  {"sources: [{id: a, write_keys: [k], keys: 1}]", Retire("a"), "unknown field"},
		"no YAML":               {"sources: [", Retire("a"), "s.yaml:1"},
		"an alias":              {"sources: [{id: a, write_keys: &k [x]}, {id: b, enabled: false, write_keys: *k}]", Retire("b"), "stands at source 1 too"},
		"the keys of an alias":  {"sources: [{id: a, write_keys: [k], blocked_events: &k [x]}, {id: b, write_keys: *k}]", Retire("b"), "by an alias"},
		"a source by an alias":  {"sources: [&a {id: a, write_keys: [k]}, *a]", Retire("b"), "has the same id"},
		"the HMAC's key is not": {"sources: [{id: a, write_keys: [k], hmac: {paths: [userId], key_env: WEIR_NOWHERE}}]", Retire("b"), "there is no source b"},
	} {
		_, err := Apply("s.yaml", []byte(c.text), c.edit)
		require.ErrorContains(t, err, c.want, name)
	}
}

// Edits at the same time wait for each other, through a link too; the file stays as it was
// but for its text.
func TestEditFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "sources.yaml"), filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.WriteFile(path, nil, 0o640))
	require.NoError(t, os.Symlink(path, link))
	const n = 20
	var edits sync.WaitGroup
	for i := range n {
		edits.Go(func() {
			require.NoError(t, EditFile([]string{path, link}[i%2], Add("s"+string(rune('a'+i)), "", NewSecret())))
		})
	}
	edits.Wait()
	list, err := LoadList(path)
	require.NoError(t, err)
	require.Len(t, list, n)
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o640, info.Mode())
	info, err = os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing else is left")

	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Error(t, EditFile(path, Retire("nobody")))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	fresh := filepath.Join(dir, "new.yaml")
	require.NoError(t, EditFile(fresh, Add("a", "", NewSecret())))
	info, err = os.Stat(fresh)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode())
	require.Error(t, EditFile(filepath.Join(dir, "none", "s.yaml"), Add("a", "", NewSecret())))
}

func TestNewSecret(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	require.Len(t, a.Key, 32, "five bits each: 160")
	require.NotEqual(t, a.Key, b.Key)
	require.NotEqual(t, a.Salt, b.Salt)
	require.Regexp(t, `^[a-z2-7]+$`, a.Key)
}
