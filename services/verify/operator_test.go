package verify

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// What people do to a lake is named: what it was, and where it should be.
func TestWhatPeopleDo(t *testing.T) {
	for _, c := range []struct {
		name string
		bend func(*rig) (key string, says []string)
	}{
		{
			name: "a manifest was deleted",
			bend: func(r *rig) (string, []string) {
				r.remove(r.made[0].Key)
				return r.made[0].Key, []string{"the manifest of flush 1 is not there"}
			},
		},
		{
			name: "the newest manifest was deleted",
			bend: func(r *rig) (string, []string) {
				r.remove(r.made[1].Key)
				return r.made[1].Key, []string{"the manifest of flush 2 is not there"}
			},
		},
		{
			name: "an object was deleted",
			bend: func(r *rig) (string, []string) {
				r.remove(r.key(1, 0))
				return r.key(1, 0), []string{fmt.Sprintf("of %d bytes is not in the lake", r.made[1].Files[0].Bytes), r.made[1].Key}
			},
		},
		{
			name: "an object was changed",
			bend: func(r *rig) (string, []string) {
				r.put(r.key(1, 0), []byte("hello"))
				return r.key(1, 0), []string{"has 5 bytes", fmt.Sprintf("the manifest says %d", r.made[1].Files[0].Bytes), r.made[1].Key}
			},
		},
		{
			name: "a manifest was changed",
			bend: func(r *rig) (string, []string) {
				r.put(r.made[0].Key, []byte("hello"))
				return r.made[0].Key, []string{"the manifest of flush 1 cannot be read"}
			},
		},
		{
			name: "the registry of columns was deleted",
			bend: func(r *rig) (string, []string) {
				r.made[1].Columns = 3
				r.manifest(r.made[1])
				return lake.ColumnsKey(lake.EventLogsName), []string{"files were written with version 3", r.made[1].Key, "weir catalog repair"}
			},
		},
		{
			name: "the registry of columns was changed",
			bend: func(r *rig) (string, []string) {
				r.put(lake.ColumnsKey(lake.EventLogsName), []byte("hello"))
				return lake.ColumnsKey(lake.EventLogsName), []string{"the registry of columns cannot be used", "if it is damaged, delete it"}
			},
		},
		{
			name: "the commits were copied from another cluster",
			bend: func(r *rig) (string, []string) {
				loc := r.store.Location()
				r.home = flush.Home("elsewhere", r.topic.ID, loc.Bucket, loc.Prefix)
				for _, m := range r.made {
					m.ClusterID = "elsewhere"
					r.manifest(m)
				}
				r.commit(flush.Done)
				return r.made[1].Key, []string{"to cluster elsewhere", "this is cluster " + r.cluster}
			},
		},
		{
			name: "the topic was made anew and the commits were put back",
			bend: func(r *rig) (string, []string) {
				loc := r.store.Location()
				old := r.owner
				old.TopicID = lake.TopicID{7}
				s := flush.State{Low: 3, LeaderEpoch: -1, Seq: 1, Manifest: old.ManifestKey(1, "f1"), Home: flush.Home(r.cluster, old.TopicID, loc.Bucket, loc.Prefix)}
				r.commitOffset(s.Low, s.Metadata())
				return s.Manifest, []string{"to topic id " + old.TopicID.String(), "has id " + r.topic.ID.String()}
			},
		},
		{
			name: "a second cluster writes flushes of the same topic id",
			bend: func(r *rig) (string, []string) {
				r.made[0].ClusterID = "elsewhere"
				r.manifest(r.made[0])
				return r.made[0].Key, []string{"flush 1 was written from cluster elsewhere", "this is cluster " + r.cluster}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.cfg.Group += "-people"
			r.owner.Group = r.cfg.Group
			r.sink()
			key, says := c.bend(r)
			report := r.run()
			require.False(t, report.OK())
			for _, f := range report.Findings {
				if f.Key == key {
					for _, s := range says {
						require.Contains(t, f.Detail, s)
					}
					require.Equal(t, r.cfg.Topic, f.Topic)
					return
				}
			}
			require.Fail(t, "is not named", "%s in %+v", key, report.Findings)
		})
	}
}

// Two deployments of one group, on two clusters, into one lake: neither's files are
// orphans of the other, and each hears of the other.
func TestTwoClustersInOneLake(t *testing.T) {
	r := newRig(t)
	r.sink()
	made, owner := r.made, r.owner
	r.made, r.owner.TopicID, r.cluster = nil, lake.TopicID{9}, "elsewhere"
	r.own()
	m := r.flush(0, 8, []file{{"z", ofSource("a", 0, 7)}}, nil)
	r.made, r.owner = made, owner
	report := r.run()
	require.Empty(t, report.Findings)
	require.ElementsMatch(t, []string{"same-name", markers}, kinds(report.Notes))
	require.Equal(t, []string{fmt.Sprintf("topic %s (%s), group %s, cluster elsewhere", r.cfg.Topic, m.TopicID, r.cfg.Group)}, report.Others)
	for _, n := range report.Notes {
		if n.Kind == "same-name" {
			require.Contains(t, n.Detail, "cluster elsewhere")
			require.Contains(t, n.Detail, r.topic.ID.String())
		}
	}
}

// A folder for temporary files that is full or not there is said with its setting.
func TestNoTemporaryFolder(t *testing.T) {
	r := newRig(t)
	t.Setenv("TMPDIR", t.TempDir()+"/nothing")
	_, err := Run(t.Context(), r.cfg)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "TMPDIR")
}
