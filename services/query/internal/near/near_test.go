package near

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

func TestNames(t *testing.T) {
	columns := []string{"anonymousid", "messageid", "type", "userid", "event", "timestamp", "receivedat", "context", "kafkaoffset", "kafkapartition"}
	for written, want := range map[string][]string{
		"mesageid":                        {"messageid"},
		"msesageid":                       {"messageid"},
		"MessageID":                       {"messageid"},
		"tiemstamp":                       {"timestamp"},
		"kafka":                           {"kafkaoffset", "kafkapartition"},
		"user":                            {"userid"},
		"xyz":                             nil,
		"":                                nil,
		"a":                               nil,
		strings.Repeat("messageid", 1000): {"messageid"},
	} {
		require.Equal(t, want, Names(written, columns), written)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		away int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "", 2}} {
		require.Equal(t, c.away, distance([]rune(c.a), []rune(c.b)), c)
		require.Equal(t, c.away, distance([]rune(c.b), []rune(c.a)), c)
	}
}
