package flush_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// A commit for a topic that was deleted, stored under its name for the topic that came after, is not that topic's: it
// starts as new. Whatever else differs stops the partition.
func TestCommitOfAFormerTopic(t *testing.T) {
	old := ruined
	old.TopicID = lake.TopicID{0xcd}
	start := func(o lake.Owner, cluster, prefix string, gate uint64) flush.Effect {
		k := flush.Known{
			Owner: ruined, ClusterID: "cluster", Bucket: "bucket", Prefix: "lake", Home: flush.Home("cluster", ruined.TopicID, "bucket", "lake"),
			Tables: []string{"eventlogs"}, LogEnd: 1000, ResetOffset: 5, OwnedPartitions: 12, GateSeq: gate, GateManifest: "m",
			Committed: true, Offset: 40,
		}
		k.Metadata = flush.State{Low: 40, Seq: 3, Manifest: o.ManifestKey(3, "c"), Home: flush.Home(cluster, o.TopicID, "bucket", prefix)}.Metadata()
		_, eff := flush.Start(k)
		return eff
	}
	eff := start(old, "cluster", "lake", 0)
	require.Equal(t, flush.PutStarted, eff.Op, "%v", eff.Err)
	require.Equal(t, int64(5), eff.Offset)
	require.ErrorContains(t, start(old, "cluster", "lake", 1).Err, "holds no committed offset")

	other := old
	other.Group = "others"
	for name, eff := range map[string]flush.Effect{
		"another cluster": start(old, "copy", "lake", 0),
		"another lake":    start(old, "cluster", "second", 0),
		"another group":   start(other, "cluster", "lake", 0),
		"the same topic":  start(ruined, "copy", "lake", 0),
	} {
		require.Equal(t, flush.Stop, eff.Op, name)
		require.ErrorContains(t, eff.Err, "another lake or from another cluster", name)
	}
}
