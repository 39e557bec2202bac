package group

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/services/sink/internal/worker"
)

// How a group shares its partitions out: by its members (JoinGroup, cooperative-sticky), or by the brokers (KIP-848).
const (
	Classic  = "classic"
	Consumer = "consumer"
)

// Protocols are the values of Config.Protocol.
var Protocols = []string{Classic, Consumer}

// requireProtocol refuses brokers without KIP-848 where that is asked for: the client would fall back to the classic
// protocol without a word.
func (g *Group) requireProtocol(ctx context.Context, control *kgo.Client) error {
	if g.c.Protocol != Consumer {
		return nil
	}
	var known bool
	err := g.retry.Do(ctx, worker.DependencyKafka, "ask what the brokers know", func() error {
		resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, control)
		if err != nil {
			return err
		}
		for _, k := range resp.ApiKeys {
			known = known || k.ApiKey == kmsg.ConsumerGroupHeartbeat.Int16() && k.MaxVersion >= 1
		}
		return nil
	})
	if err == nil && !known {
		err = fmt.Errorf("%w: group-protocol is %s and the brokers do not have it (KIP-848, Kafka 4.3): upgrade them, or set it to %s", errRefused, Consumer, Classic)
	}
	return err
}
