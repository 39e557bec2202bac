package flush_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// The leader changed between two flushes and the sink died with the second one decided: what that flush holds may stand
// beyond the end of the epoch that was committed. It is published and the partition goes on.
func TestAnIntentReachesIntoALaterEpoch(t *testing.T) {
	owner := lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}}
	home := flush.Home("cluster", owner.TopicID, "bucket", "lake")
	key := owner.ManifestKey(1, "f")
	manifest := &flush.Manifest{
		Key: key, Format: flush.Format, ClusterID: "cluster", Group: "g", Topic: "t", TopicID: owner.TopicID, Seq: 1,
		FlushID: "f", Bucket: "bucket", Low: 5, NextLow: 20, LeaderEpoch: 8,
	}
	intent := flush.State{Low: 5, LeaderEpoch: 7, Seq: 1, Phase: flush.Intent, Manifest: key, Home: home}
	m, eff := flush.Start(flush.Known{
		Owner: owner, ClusterID: "cluster", Bucket: "bucket", Home: home, LeaderEpoch: 8,
		Committed: true, Offset: 5, CommittedEpoch: 7, Metadata: intent.Metadata(), HasEpochEnd: true, EpochEnd: 10,
		LogEnd: 20, OwnedPartitions: 1,
	})
	for eff.Op != flush.None {
		require.NotEqual(t, flush.Stop, eff.Op, "%v", eff.Err)
		switch eff.Op {
		case flush.ReadManifest:
			eff = m.Step(flush.Input{Kind: flush.ManifestRead, Manifest: manifest})
		case flush.Commit:
			eff = m.Step(flush.Input{Kind: flush.CommitApplied})
		default:
			eff = m.Step(flush.Input{Kind: flush.OK})
		}
	}
	require.Equal(t, int64(20), m.Low())
}
