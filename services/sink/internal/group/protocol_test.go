package group

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"weir/services/sink/internal/worker"
)

// Brokers without KIP-848 are refused where it is asked for, and nowhere else.
func TestRequireProtocol(t *testing.T) {
	for _, c := range []struct {
		protocol string
		brokers  []kfake.Opt
		refused  bool
	}{
		{Consumer, []kfake.Opt{kfake.MaxVersions(kversion.V3_6_0())}, true},
		{Consumer, nil, false},
		{Classic, []kfake.Opt{kfake.MaxVersions(kversion.V3_6_0())}, false},
	} {
		cluster, err := kfake.NewCluster(append(c.brokers, kfake.NumBrokers(1))...)
		require.NoError(t, err)
		defer cluster.Close()
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		require.NoError(t, err)
		defer client.Close()
		g := &Group{c: Config{Protocol: c.protocol}, retry: worker.Retry{Observe: func(any) {}}}
		err = g.requireProtocol(t.Context(), client)
		if !c.refused {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errRefused)
		require.ErrorContains(t, err, "group-protocol")
	}
}

func TestLeaves(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, c := range []struct {
		instance, leave string
		want            bool
	}{
		{"", LeaveAlways, false}, // closing the client does it
		{"weir-sink-1", LeaveAlways, true},
		{"weir-sink-1", LeaveNever, false},
		{"weir-sink-1", LeaveAuto, false},
	} {
		g := &Group{c: Config{InstanceID: c.instance, Leave: c.leave, Observe: func(any) {}}}
		require.Equal(t, c.want, g.leaves(t.Context()), "%+v", c)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "1")
	var heard []any
	g := &Group{c: Config{InstanceID: "weir-sink-1", Leave: LeaveAuto, Observe: func(f any) { heard = append(heard, f) }}}
	require.False(t, g.leaves(t.Context()), "in doubt it stays")
	require.Len(t, heard, 1)
}
