package redrive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/settings"
)

// ListConfig is every setting of List.
type ListConfig struct {
	Look `embed:""`

	States []string `name:"state" help:"Only what is waiting, redriven, repeated, quarantined or unreadable."`
	Max    int      `name:"max" default:"1000" help:"List at most so many; 0 is no limit."`
}

// Validate lists everything that is wrong.
func (c ListConfig) Validate() []error {
	f := settings.Faults(c.Look.Validate())
	f.Check(c.Max >= 0, "max", "%d is negative", c.Max)
	for _, s := range c.States {
		known := oneOf([]string{string(Waiting), string(Redriven), string(Repeated), string(Quarantined), string(Unreadable)}, s)
		f.Check(known, "state", "%q does not exist: want waiting, redriven, repeated, quarantined or unreadable", s)
	}
	return f
}

// Listed is a letter without its record, and what became of it so far.
type Listed struct {
	Letter
	State State
}

// List gives what was put aside, by partition and offset. more: there is more than Max.
func List(ctx context.Context, c ListConfig) (list []Listed, more bool, err error) {
	if err := settings.Join(c.Validate()); err != nil {
		return nil, false, err
	}
	from, err := openReader(&c.Look)
	if err != nil {
		return nil, false, err
	}
	defer from.close()
	j, err := from.judge(ctx, &c.Look)
	if err != nil {
		return nil, false, err
	}
	err = from.letters(ctx, &c.Look, func(l *Letter) error {
		state := j.meet(l)
		if !oneOf(c.States, string(state)) {
			return nil
		}
		if c.Max > 0 && len(list) == c.Max {
			more = true
			return errEnough
		}
		l.Record = event.Record{}
		list = append(list, Listed{*l, state})
		return nil
	})
	return list, more, err
}

// ErrNoLetter: nothing stands there.
var ErrNoLetter = errors.New("no record stands there: retention may have removed it")

// noLetter says of what was asked for by partition and offset that it is not there.
func (c *Look) noLetter() error {
	return fmt.Errorf("%s/%d offset %s: %w", c.Aside.Topic, c.Partition[0], strings.Trim(fmt.Sprint(c.Offset), "[]"), ErrNoLetter)
}

// Shown is one letter with its record, and where it came back to.
type Shown struct {
	Letter
	Back *Entry // nil = it has not come back
}

// Show gives the one letter at Partition and Offset.
func Show(ctx context.Context, c Look) (*Shown, error) {
	if err := settings.Join(c.Validate()); err != nil {
		return nil, err
	}
	from, err := openReader(&c)
	if err != nil {
		return nil, err
	}
	defer from.close()
	var found *Shown
	err = from.letters(ctx, &c, func(l *Letter) error {
		found = &Shown{Letter: *l}
		return errEnough
	})
	if err == nil && found == nil {
		err = c.noLetter()
	}
	if err != nil || found.Err != nil {
		return found, err
	}
	err = from.readLedger(ctx, c.RedrivenTopic, func(o Origin, r *kgo.Record) error {
		if o != found.Origin {
			return nil
		}
		found.Back = new(Entry)
		if err := json.Unmarshal(r.Value, found.Back); err != nil {
			return fmt.Errorf("read the ledger %s/%d at offset %d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		return nil
	})
	return found, err
}
