package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each rule of the verdict finds what it is there for.
func TestVerdict(t *testing.T) {
	said := func(states ...string) map[int][]string { return map[int][]string{1: states} }
	ids := func(ids ...string) map[int][]string { return map[int][]string{1: ids} }
	for name, c := range map[string]struct {
		tally  tally
		p      promise
		faults []string
	}{
		"delivered once":        {tally{told: said(delivered), events: ids("a")}, promise{}, nil},
		"delivered and absent":  {tally{told: said(delivered)}, promise{}, []string{"event 1 is told to be delivered and stands nowhere"}},
		"a double":              {tally{told: said(delivered), events: ids("a", "a")}, promise{}, []string{"event 1 stands in Kafka 2 times"}},
		"a double by contract":  {tally{told: said(delivered), events: ids("a", "a")}, promise{doubles: true}, nil},
		"never sent again":      {tally{told: said(delivered), events: ids("a")}, promise{doubles: true, resent: true}, []string{"no event stands there twice: nothing was sent again"}},
		"two ids":               {tally{told: said(delivered), events: ids("a", "b")}, promise{doubles: true}, []string{`event 1 has several messageIds: ["a" "b"]`}},
		"never told of":         {tally{events: ids("a")}, promise{}, []string{"event 1 was told of 0 times: []"}},
		"told of twice":         {tally{told: said(failed, delivered), events: ids("a")}, promise{}, []string{`event 1 was told of 2 times: ["failed" "delivered"]`}},
		"given up":              {tally{told: said(failed)}, promise{}, []string{"event 1 was given up"}},
		"given up by contract":  {tally{told: said(failed), events: ids("a")}, promise{some: true}, nil},
		"failed and there":      {tally{told: said(failed), events: ids("a", "a")}, promise{some: true}, []string{"event 1 stands in Kafka 2 times"}},
		"nothing is":            {tally{told: said(failed)}, promise{nothing: true}, nil},
		"nothing may be":        {tally{told: said(delivered), events: ids("a")}, promise{nothing: true}, []string{"event 1 is told to be delivered, and nothing may be"}},
		"rejected":              {tally{told: said(delivered), rejected: ids("a")}, promise{refused: map[int]bool{1: true}}, nil},
		"rejected by mistake":   {tally{told: said(failed), rejected: ids("a")}, promise{some: true}, []string{"event 1 stands in the wrong topic"}},
		"accepted by mistake":   {tally{told: said(failed), events: ids("a")}, promise{some: true, refused: map[int]bool{1: true}}, []string{"event 1 stands in the wrong topic"}},
		"somebody else's event": {tally{told: said(delivered), events: map[int][]string{1: {"a"}, 7: {"b"}}}, promise{}, []string{"event 7 was not sent and stands among the events"}},
		"no such word":          {tally{told: said("lost"), events: ids("a")}, promise{}, []string{`event 1 is told to be "lost"`}},
	} {
		t.Run(name, func(t *testing.T) {
			c.tally.sent = []int{1}
			require.Equal(t, c.faults, c.tally.faults(c.p))
		})
	}
	require.Equal(t, 2, tally{events: map[int][]string{1: {"a"}, 2: {"b", "b", "b"}}}.doubled())
}
