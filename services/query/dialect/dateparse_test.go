package dialect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

func TestDateParse(t *testing.T) {
	for _, c := range []struct{ text, format, want string }{
		{"2022/10/20/05", "%Y/%m/%d/%H", "2022-10-20 05:00:00"},
		{"2022-1-2", "%Y-%c-%e", "2022-01-02 00:00:00"},
		{"12:05:06 AM", "%r", "1970-01-01 00:05:06"},
		{"12:05:06 pm", "%h:%i:%s %p", "1970-01-01 12:05:06"},
		{"69 70", "%y %y", "1970-01-01 00:00:00"},
		{"100%", "%k0%%", "1970-01-01 10:00:00"},
		{"7:08:09.5", "%T.%f", "1970-01-01 07:08:09.5"},
		{"May september", "%b %M", "1970-09-01 00:00:00"},
	} {
		got, err := DateParse(c.text, c.format)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got.Format("2006-01-02 15:04:05.999999"))
	}
	for _, c := range [][2]string{
		{"2022-13-01", "%Y-%m-%d"},
		{"2022-02-30", "%Y-%m-%d"},
		{"2022-02-03x", "%Y-%m-%d"},
		{"2022", "%Y-%m"},
		{"x", "%Y"},
		{"13:00 PM", "%h:%i %p"},
		{"Sunday", "%W"},
		{"Foo", "%b"},
		{"1 XM", "%h %p"},
		{"1", "%Q"},
	} {
		_, err := DateParse(c[0], c[1])
		require.ErrorContains(t, err, "date_parse: ", c)
	}
	got, err := DateParse("", "")
	require.NoError(t, err)
	require.Equal(t, time.Unix(0, 0).UTC(), got)
}
