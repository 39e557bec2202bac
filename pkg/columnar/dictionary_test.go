package columnar

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A dictionary gives each value one index, whatever its length: short values stand in their slots, and those that differ
// only by zeros at an end look alike there but for their length.
func TestDictionary(t *testing.T) {
	for _, alphabet := range []string{"\x00", "\x00a", "abc", "abcdefghijklmnopqrstuvwxyz"} {
		t.Run(fmt.Sprintf("%q", alphabet), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(alphabet))))
			d, known := new(dict), map[string]uint32{}
			last := uint32(0)
			for range 20_000 {
				value := make([]byte, r.IntN(2*shortBytes+4))
				for i := range value {
					value[i] = alphabet[r.IntN(len(alphabet))]
				}
				want, ok := known[string(value)]
				if !ok {
					want = uint32(len(known))
					known[string(value)] = want
				}
				got := d.index(value)
				require.Equal(t, want, got, "%q", value)
				require.Equal(t, value, d.value(got))
				last = d.after(last, value)
				require.Equal(t, want, last)
			}
			require.Equal(t, len(known), d.len())
		})
	}
}

// Values of up to sixteen bytes are told apart by their two words and their length.
func TestWords(t *testing.T) {
	base := []byte("0123456789abcdef")
	for n := range len(base) + 1 {
		low, high := words(base[:n])
		for i := range n {
			changed := append([]byte(nil), base[:n]...)
			changed[i] ^= 1
			l, h := words(changed)
			require.False(t, l == low && h == high, "byte %d of %d is nowhere", i, n)
		}
	}
}
