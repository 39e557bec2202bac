package gateway

import (
	"bytes"
	"time"

	"weir/pkg/event"
	"weir/pkg/jsonscan"
	"weir/pkg/settings"
	"weir/services/gateway/internal/intake"
)

// Readmitter judges events again that were rejected, each as if a batch brought it
// alone. What an event had from its request is gone: what its batch says for all its
// events, the type that its path says, the client's address. One goroutine uses it.
type Readmitter struct {
	limits intake.Limits
	in     intake.Intake
	scan   jsonscan.Scanner
	body   []byte
}

// NewReadmitter makes a Readmitter; no event may be larger than maxEvent.
func NewReadmitter(maxEvent settings.Bytes) *Readmitter {
	return &Readmitter{limits: intake.Limits{MaxEventBytes: int(maxEvent)}}
}

// Admit gives the value of the record that the gateway would write of the event, or the
// code of the rule that rejects it. id is the messageId of an event that has none.
func (a *Readmitter) Admit(original []byte, receivedAt time.Time, id string) (value []byte, code string) {
	a.scan.Reset(original)
	a.scan.Skip()
	if a.scan.End() != nil {
		return nil, intake.CodeInvalidRequest
	}
	a.body = append(append(append(a.body[:0], `{"batch":[`...), original...), `]}`...)
	err := a.in.Parse(intake.Request{
		Body: a.body, Route: intake.Batch, ReceivedAt: event.InstantOf(receivedAt), Limits: a.limits,
		NewID: func(dst []byte) []byte { return append(dst, id...) },
	})
	switch {
	case err != nil: // valid JSON, and nested too deeply for a batch
		return nil, intake.CodeInvalidRequest
	case len(a.in.Rejected) > 0:
		return nil, a.in.Rejected[0].Code
	}
	return bytes.Clone(a.in.Events[0].Value), ""
}
