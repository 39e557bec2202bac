package follow

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// in says of which lake a notification speaks; "" = an older sink's.
func in(lake, group string, n flush.Notification) flush.Notification {
	n.Lake, n.Group = lake, group
	return n
}

// Two sinks write two lakes and tell of it on one flush topic, of the same source topic
// or of another: each catalog follows its own, and neither stops.
func TestAnotherLakesFlushesArePassedOver(t *testing.T) {
	for name, theirs := range map[string]lake.TopicID{"the same topic": topicA, "another topic": topicB} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				facts, stop := w.catalog(2)
				for seq := range uint64(3) {
					w.publish(
						in("s3://b/lake", "g", note(topicA, 0, seq+1, "ours")),
						in("s3://b/other", "h", note(theirs, 0, seq+1, "theirs")),
						in("s3://b/third", "g", note(theirs, 0, seq+1, "theirs")),
					)
				}
				settle()
				stop()
				require.Empty(t, of[Alarm](facts))
				mark := w.gate(topicA).Marks[0]
				require.Equal(t, uint64(3), mark.Seq)
				require.Equal(t, "g", mark.Group)
				require.Empty(t, mark.Alarm)
				require.Equal(t, int64(9), w.committed)
				require.NotContains(t, w.objects, lake.GateKey("db", topicB), "it is not asked about either")
				for key := range w.partitions {
					require.NotContains(t, key, "theirs")
				}
				passed := map[string]int{}
				for _, f := range of[Elsewhere](facts) {
					passed[f.Lake] += f.Notifications
				}
				require.Equal(t, map[string]int{"s3://b/other": 3, "s3://b/third": 3}, passed)
			})
		})
	}
}

// Two groups that write one topic into one lake double every record: that still stops
// the partition, whether or not the sinks say which lake they mean.
func TestTwoGroupsInOneLakeAlarm(t *testing.T) {
	for _, where := range []string{"s3://b/lake", ""} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			facts, stop := w.catalog(0)
			w.publish(note(topicA, 0, 1, "s1"), in(where, "h", note(topicA, 0, 2, "x")))
			settle()
			stop()
			require.Len(t, of[Alarm](facts), 1)
			require.Contains(t, of[Alarm](facts)[0].Reason, "group h")
			require.Equal(t, uint64(1), w.gate(topicA).Marks[0].Seq)
		})
	}
}
