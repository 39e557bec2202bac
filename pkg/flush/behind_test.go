package flush_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
)

// Which manifests show by themselves that the committed state is an old one (I13).
func TestBehindManifest(t *testing.T) {
	for _, c := range []struct {
		phase flush.Phase
		seq   uint64
		want  bool
	}{
		{flush.Done, 3, false},
		{flush.Done, 4, false},
		{flush.Done, 5, true},
		{flush.Intent, 3, false},
		{flush.Intent, 4, true},
		{flush.Intent, 5, true},
	} {
		require.Equal(t, c.want, flush.State{Seq: 3, Phase: c.phase}.BehindManifest(c.seq), "%v %d", c.phase, c.seq)
	}
}
