package source

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocuments(t *testing.T) {
	const list = `sources:
  # the web
  - id: web
    write_keys: [key-web] # by hand
    limits: {events_per_second: 10}
  - {id: app, write_keys: [key-app]}
`
	d, err := Split([]byte(list))
	require.NoError(t, err)
	require.Len(t, d, 2)
	text, err := d.List()
	require.NoError(t, err)
	require.Equal(t, "web", owner(t, string(text), "key-web"))
	require.EqualValues(t, 10, parse(t, string(text)).Sources()[1].Limits.EventsPerSecond)
	require.Contains(t, string(text), "# by hand")
	again, err := Split(text)
	require.NoError(t, err)
	require.Equal(t, d, again)

	changed, err := d.Edit("topic", Rotate("app", Secret{"key-2", "salt"}))
	require.NoError(t, err)
	require.Equal(t, []string{"app"}, slices.Collect(maps.Keys(changed)), "one record for one source")
	d.Set("app", changed["app"])
	text, err = d.List()
	require.NoError(t, err)
	require.Equal(t, "app", owner(t, string(text), "key-2"))
	require.Equal(t, "app", owner(t, string(text), "key-app"))

	changed, err = d.Edit("topic", Add("new", "", Secret{"key-3", "salt"}))
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, slices.Collect(maps.Keys(changed)))
	d.Set("web", nil)
	sources, err := d.Sources("topic")
	require.NoError(t, err)
	require.Len(t, sources, 1)

	empty, err := Split(nil)
	require.NoError(t, err)
	require.Empty(t, empty)
	changed, err = empty.Edit("topic", Add("first", "", NewSecret()))
	require.NoError(t, err)
	require.Len(t, changed, 1)
	_, err = empty.Edit("topic", Retire("first"))
	require.ErrorContains(t, err, "there is no source first")
}

func TestRecordsThatAreNoSources(t *testing.T) {
	for value, want := range map[string]string{
		"":                              "is no source",
		"[secret":                       "is no source",
		"- secret":                      "is no source",
		"{id: b, write_keys: [secret]}": "another id",
		"{write_keys: [secret]}":        "another id",
	} {
		d := Documents{"a": []byte(value)}
		_, err := d.List()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "secret")
		_, err = d.Edit("topic", Add("c", "", NewSecret()))
		require.ErrorContains(t, err, want)
	}
}
