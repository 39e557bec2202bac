package sse

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func read(t *testing.T, r io.Reader) (list []Event, err error) {
	t.Helper()
	for in := NewReader(r); ; {
		e, err := in.Next()
		if err != nil {
			return list, err
		}
		list = append(list, e)
	}
}

func TestStreams(t *testing.T) {
	const text = "retry: 1000\n\n: beat\n\nid: a-1\ndata: {\"a\":1}\n\nevent: status\ndata:x\ndata: y\n\nevent: nothing\n\nid: b\r\ndata: z\r\n\r\n" +
		"unknown: x\ndata\n\ndata: half"
	want := []Event{{ID: "a-1", Data: `{"a":1}`}, {Name: "status", Data: "x\ny"}, {ID: "b", Data: "z"}, {}}
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		got, err := read(t, r)
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, want, got)
	}
}

func TestWhatIsNoStream(t *testing.T) {
	_, err := read(t, strings.NewReader("data: "+strings.Repeat("x", maxLine)))
	require.ErrorIs(t, err, ErrTooLong)
	_, err = read(t, strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 2000)))
	require.ErrorIs(t, err, ErrTooLong)
	gone := errors.New("gone")
	_, err = read(t, io.MultiReader(strings.NewReader("data: x\n"), iotest.ErrReader(gone)))
	require.ErrorIs(t, err, gone)
}
