package price

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

func TestPrices(t *testing.T) {
	const mb = 1 << 20
	for bytes, want := range map[int64]struct {
		billed int64
		text   string
	}{
		0:             {10 * mb, "$0.000048"},
		1:             {10 * mb, "$0.000048"},
		10 * mb:       {10 * mb, "$0.000048"},
		10*mb + 1:     {11 * mb, "$0.000052"},
		1 << 30:       {1 << 30, "$0.0049"},
		1 << 40:       {1 << 40, "$5.00"},
		3<<40 + 1<<39: {3<<40 + 1<<39, "$17.50"},
	} {
		require.Equal(t, want.billed, Billed(bytes))
		require.Equal(t, want.text, Text(Dollars(bytes, DefaultPerTB)), bytes)
	}
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536 << 10: "1.5 MiB", 3 << 30: "3.0 GiB", 5000 << 40: "5000.0 TiB"} {
		require.Equal(t, want, Size(bytes))
	}
}
