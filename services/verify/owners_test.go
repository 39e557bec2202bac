package verify

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/settings"
)

// A name that is wrong must not be answered with "nothing is missing".
func TestWrongNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		bend    func(*rig)
		setting string
		says    []string
	}{
		{
			name: "another group", setting: "group", bend: func(r *rig) { r.sink(); r.cfg.Group = "typo" },
			says: []string{`"typo"`, "weir-sink"},
		},
		{
			name: "another topic", setting: "topic", bend: func(r *rig) { r.sink(); r.cfg.Topic = "typo" },
			says: []string{`"typo"`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.bend(r)
			_, err := Run(t.Context(), r.cfg)
			var fault settings.Fault
			require.True(t, errors.As(err, &fault), "%v", err)
			require.Equal(t, c.setting, fault.Setting)
			for _, s := range c.says {
				require.Contains(t, fault.Reason, s)
			}
		})
	}
}

func TestNoSinkHasEverStarted(t *testing.T) {
	r := newRig(t)
	report := r.run()
	require.Equal(t, []string{"unowned"}, kinds(report.Findings))
	require.Contains(t, report.Findings[0].Detail, "no sink has ever started on topic "+r.cfg.Topic+" for "+r.cfg.Lake)
	require.Contains(t, report.Findings[0].Detail, "26 offsets")
	require.False(t, report.OK())

	r.sink()
	r.cfg.Lake += "-typo"
	require.Equal(t, []string{"state", "unowned"}, sorted(kinds(r.run().Findings)))
}

func TestATopicWithoutRecordsNeedsNoSink(t *testing.T) {
	r := newEmptyRig(t)
	report := r.run()
	require.Empty(t, report.Findings)
	require.Equal(t, []string{"not-started"}, kinds(report.Notes))
}

// The next start writes it anew; until then another group could take the topic.
func TestTheOwnerIsForgotten(t *testing.T) {
	r := newRig(t)
	r.sink()
	r.remove(lake.OwnersKey(r.topic.ID))
	report := r.run()
	require.Empty(t, report.Findings)
	require.Equal(t, []string{"unowned", markers}, kinds(report.Notes))
	require.Equal(t, lake.OwnersKey(r.topic.ID), report.Notes[0].Key)
}

func TestAnOwnerThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	r.put(lake.OwnersKey(r.topic.ID), []byte(`{"format":9,"group":"weir-sink"}`))
	_, err := Run(t.Context(), r.cfg)
	require.ErrorContains(t, err, lake.OwnersKey(r.topic.ID))
	require.ErrorContains(t, err, "format 9")
}
