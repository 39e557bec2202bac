package verify

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Loss that was accepted is no fault any more, and it is said in the last lines.
func TestAcceptedLoss(t *testing.T) {
	r := newRig(t)
	r.cfg.Group += r.cfg.Topic
	r.owner.Group = r.cfg.Group
	r.sink()
	m := r.flush(20, 23, nil, nil)
	m.Format, m.Trigger, m.Lost = flush.RecoveryFormat, flush.TriggerRecovery, flush.NewOffsets(20, 21, 22)
	r.manifest(m)
	r.commit(flush.Done)
	r.retain(23)
	report := r.run()
	require.True(t, report.OK(), "%+v", report.Findings)
	require.Contains(t, kinds(report.Notes), "accepted 20-22")
	require.Equal(t, "20-22", report.Partitions[0].LossAccepted.String())
	var text strings.Builder
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "lost, accepted by an operator: "+r.cfg.Topic+"/0 offsets 20-22\nnothing else is missing, nothing is doubled\n")
	body, err := json.Marshal(report)
	require.NoError(t, err)
	require.Contains(t, string(body), `"loss_accepted":[{"first":20,"last":22}]`)

	r.remove(r.key(0, 0))
	report = r.run()
	text.Reset()
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "offsets 20-22\n1 faults\n")
}

// What was given up as never there must stay so: a zombie's object would be counted.
func TestGivenUpFiles(t *testing.T) {
	r := newRig(t)
	r.cfg.Group += r.cfg.Topic
	r.owner.Group = r.cfg.Group
	r.sink()
	key := r.key(1, 2)
	set := r.made[1].Files[2].Offsets
	body := r.parquet(set)
	r.remove(key)
	ahead := map[string]*flush.Offsets{lake.EventLogsName: offsetsWithout(1, 20, set), lake.EventLogsRawName: offsetsWithout(1, 20, nil)}
	m := r.flush(20, 1, nil, nil)
	m.Format, m.Trigger, m.Dropped, m.Ahead = flush.RecoveryFormat, flush.TriggerRecovery, []string{key}, ahead
	r.manifest(m)
	r.flush(1, 20, []file{{"b", set}}, nil)
	again := r.made[3]
	r.remove(again.Files[1].Key) // the raw copy had them all the time
	again.Files, again.Ahead = again.Files[:1], nil
	r.manifest(again)
	r.commit(flush.Done)
	report := r.run()
	require.Empty(t, report.Findings)
	require.Equal(t, 3, report.Partitions[0].Tables[0].Files)

	r.put(key, body)
	report = r.run()
	require.Equal(t, []string{"orphan"}, kinds(report.Findings))
	require.Equal(t, key, report.Findings[0].Key)
	require.Contains(t, report.Findings[0].Detail, "given it up")
}

// offsetsWithout are those of events and dead letters from first to end (excluded), but not those of set.
func offsetsWithout(first, end int64, set *flush.Offsets) *flush.Offsets {
	rest := new(flush.Offsets)
	for o := first; o < end; o++ {
		if !set.Contains(o) && (o < 10 || o > 13) {
			rest.Add(o)
		}
	}
	return rest
}
