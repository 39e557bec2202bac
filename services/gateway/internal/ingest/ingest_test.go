package ingest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
)

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	at := time.UnixMilli(0x0123_4567_89ab)
	seen := map[string]bool{}
	for range 10_000 {
		id := NewRequestID(at)
		require.Regexp(t, form, id)
		require.True(t, strings.HasPrefix(id, "01234567-89ab-7"), id)
		require.False(t, seen[id])
		seen[id] = true
	}
	require.Less(t, NewRequestID(at), NewRequestID(at.Add(time.Millisecond)))
	require.Regexp(t, form, string(appendMessageID([]byte{})))
	require.Equal(t, "x", string(appendMessageID([]byte("x"))[:1]))
}

func TestAuthorize(t *testing.T) {
	g := New(Options{Lookup: func(key []byte) (*source.Source, bool) {
		switch string(key) {
		case "good":
			return &source.Source{ID: "a", Enabled: true}, true
		case "off":
			return &source.Source{ID: "b"}, true
		}
		return nil, false
	}})
	s, err := g.Authorize([]byte("good"), "")
	require.NoError(t, err)
	require.Equal(t, "a", s.ID)
	for key, kind := range map[string]Kind{"": Unauthorized, "bad": Unauthorized, "off": Disabled} {
		_, err := g.Authorize([]byte(key), "")
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, kind, refusal.Kind, key)
	}
}

func TestRefusals(t *testing.T) {
	cause := errors.New("broken")
	for _, c := range []struct {
		err  error
		kind Kind
		code string
	}{
		{&intake.Error{Class: intake.Unusable, Code: "c"}, Unusable, "c"},
		{&intake.Error{Class: intake.TooLarge, Code: "c"}, TooLarge, "c"},
		{&intake.Error{Class: intake.Unauthorized, Code: "c"}, Unauthorized, "c"},
		{fmt.Errorf("x: %w", produce.ErrFull), Overloaded, "overloaded"},
		{fmt.Errorf("x: %w", produce.ErrLate), Late, "unavailable"},
		{cause, Unavailable, "unavailable"},
		{&Refusal{Kind: Disabled, Code: "c"}, Disabled, "c"},
	} {
		r := refusalOf(c.err)
		require.Equal(t, c.kind, r.Kind)
		require.Equal(t, c.code, r.Code)
		require.NotContains(t, r.Message, "broken", "what went wrong inside is not the client's")
	}
	require.ErrorIs(t, refusalOf(cause), cause)
}

// A client is told to come no sooner than its wait is over, up to a minute, and clients are not all told the same.
func TestAgain(t *testing.T) {
	for wait, least := range map[time.Duration]int{0: 1, time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2, 50 * time.Second: 50, time.Hour: 57} {
		told := map[int]bool{}
		for range 1000 {
			told[Again(wait)] = true
		}
		require.Len(t, told, 4)
		for seconds := range told {
			require.GreaterOrEqual(t, seconds, least)
			require.Less(t, seconds, least+4)
		}
	}
}

// Every event ends as a record or as a rejection, by what the topic takes.
func TestSetAside(t *testing.T) {
	g := New(Options{})
	g.SetMaxima(frame+10, frame+100)
	in := &intake.Intake{
		Events: []intake.Event{
			{Index: 0, Value: []byte("0123456789")}, {Index: 1, Value: []byte("0123456789x"), MessageID: []byte("m")}, {Index: 2, Value: []byte("short")},
		},
		Rejected: []intake.Rejection{{Index: 3, Original: []byte("1234")}},
	}
	require.EqualValues(t, 10+11+5+4, g.maxima.setAside(in))
	require.Len(t, in.Events, 2)
	require.Equal(t, 2, in.Events[1].Index)
	require.Len(t, in.Rejected, 2)
	require.Equal(t, "0123456789x", string(in.Rejected[1].Original))
	require.Equal(t, intake.CodeTooLarge, in.Rejected[1].Code)
	require.Equal(t, 1, in.Rejected[1].Index)
}

// A short body whose events inherit much, or are many, is refused before anything is copied.
func TestWhatABodyMultipliesTo(t *testing.T) {
	g := New(Options{Topic: "events", Rejected: "rejected"})
	g.SetMaxima(1<<20, 1<<20)
	s := &source.Source{ID: "a", Enabled: true}
	for name, body := range map[string]string{
		"inherited": `{"context":{"x":"` + strings.Repeat("x", 20_000) + `"},"batch":[` + strings.Repeat(`{},`, 699) + `{}]}`,
		"elements":  `{"batch":[` + strings.Repeat(`{},`, 9_999) + `{}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := produce.NewHangar(4 << 20)
			f, ok := h.Begin("a", len(body))
			require.True(t, ok)
			defer f.Release()
			require.NoError(t, f.Fill(strings.NewReader(body), len(body)))
			_, err := g.start(f, Request{Route: intake.Batch, Source: s, ReceivedAt: time.Now()})
			require.ErrorIs(t, err, produce.ErrFull)
			require.Empty(t, f.Intake.Rejected)
			require.Empty(t, f.Intake.Events)
		})
	}
}
