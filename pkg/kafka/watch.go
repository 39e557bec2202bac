package kafka

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Watch tells report of each connection that could not be made, and with nil of each
// answer that came: whether the brokers can be reached, for a service's health.
func Watch(report func(error)) kgo.Opt { return kgo.WithHooks(watch{report}) }

type watch struct{ report func(error) }

var (
	_ kgo.HookBrokerConnect = watch{}
	_ kgo.HookBrokerRead    = watch{}
)

func (w watch) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && !errors.Is(err, context.Canceled) { // the client is being closed
		w.report(advised(err))
	}
}

func (w watch) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		w.report(nil)
	}
}
