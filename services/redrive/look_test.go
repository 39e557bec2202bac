package redrive

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
)

func TestListTellsWhatBecameOfEach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letter(0, plain(0), event.NoType)
		w.letter(0, event.Record{Key: []byte("a"), Value: []byte("xyz")}, event.Malformed)
		w.next[0]--
		w.letter(0, event.Record{Key: []byte("a"), Value: []byte("xyz")}, event.Malformed)
		w.letter(1, event.Record{Key: []byte("b"), Headers: []event.Header{{Key: event.HeaderRedriveCount, Value: []byte("3")}}}, event.Empty)
		w.produce(lettersTopic, 2, event.Record{Value: []byte("?")})
		w.run(func(c *Config) { c.Source = []string{"source0"} })

		look := w.config().Look
		list, more, err := List(t.Context(), ListConfig{Look: look})
		require.NoError(t, err)
		require.False(t, more)
		type line struct {
			partition     int32
			offset        int64
			reason, src   string
			was           int64
			bytes, trials int
			state         State
		}
		var got []line
		for _, l := range list {
			require.Nil(t, l.Record.Value, "never what is in it")
			got = append(got, line{l.Partition, l.Offset, l.Reason, l.Source, l.Origin.Offset, l.Bytes, l.Attempts, l.State})
		}
		require.Equal(t, []line{
			{0, 0, "no_type", "source0", 0, 7, 0, Redriven},
			{0, 1, "malformed", "a", 1, 3, 0, Waiting},
			{0, 2, "malformed", "a", 1, 3, 0, Repeated},
			{1, 0, "empty", "b", 0, 0, 3, Quarantined},
			{2, 0, "", "", 0, 1, 0, Unreadable},
		}, got)

		list, more, err = List(t.Context(), ListConfig{Look: look, Max: 2})
		require.NoError(t, err)
		require.True(t, more)
		require.Len(t, list, 2)
		list, more, err = List(t.Context(), ListConfig{Look: look, Max: 1, States: []string{"quarantined"}})
		require.NoError(t, err)
		require.False(t, more)
		require.Len(t, list, 1)
		require.Len(t, ListConfig{Look: look, Max: -1, States: []string{"lost"}}.Validate(), 2)
	})
}

func TestShow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.letter(1, event.Record{Key: []byte("a"), Value: []byte("\x00 body")}, event.Malformed)
		w.produce(lettersTopic, 2, event.Record{Value: []byte("?")})
		show := func(partition int32, offset int64) (*Shown, error) {
			look := w.config().Look
			look.Partition, look.Offset = []int32{partition}, []int64{offset}
			return Show(t.Context(), look)
		}
		l, err := show(1, 0)
		require.NoError(t, err)
		require.Equal(t, first.Value, l.Record.Value)
		require.Equal(t, first.Timestamp, l.Record.Timestamp)
		require.Nil(t, l.Back)

		w.run(func(c *Config) { c.Source = []string{"a"} })
		l, err = show(1, 0)
		require.NoError(t, err)
		came := w.read(eventsTopic)[0]
		require.Equal(t, Entry{
			Topic: eventsTopic, Partition: came.Partition, Offset: came.Offset, Attempt: 1, Reason: "malformed", Source: "a", At: came.Timestamp.UTC(),
		}, *l.Back)

		l, err = show(2, 0)
		require.NoError(t, err)
		require.Error(t, l.Err)
		require.Equal(t, "?", string(l.Record.Value))
		_, err = show(1, 1)
		require.ErrorIs(t, err, ErrNoLetter)
	})
}
