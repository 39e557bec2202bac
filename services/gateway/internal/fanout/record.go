package fanout

import (
	"encoding/json"
	"errors"
	"fmt"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Record is what the topic says of one source; its key is the source's id.
type Record struct {
	Fanout int   `json:"fanout"` // over how many partitions the source is spread: a power of two
	Epoch  int64 `json:"epoch"`  // one more with each change; 0 = it never was spread
	Rate   int64 `json:"rate"`   // of the gateway that wrote it, in bytes/s, for people
}

// single is what holds of a source of which the topic says nothing.
var single = Record{Fanout: 1}

// maxRecord is the longest value that is read, in bytes.
const maxRecord = 1 << 10

// maxEpoch is what every reader of JSON reads as it was written.
const maxEpoch = 1<<53 - 1

// Value is the record's value in the topic.
func (r Record) Value() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // three numbers
	}
	return text
}

func parse(value []byte) (r Record, err error) {
	if len(value) > maxRecord {
		return r, fmt.Errorf("it has %d bytes, and %d are the most", len(value), maxRecord)
	}
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("it is no JSON object with numbers: %w", err)
	}
	switch {
	case !event.ValidFanout(r.Fanout):
		return r, fmt.Errorf("a fan-out of %d is no power of two from 1 to %d", r.Fanout, event.MaxFanout)
	case r.Epoch < 1 || r.Epoch > maxEpoch:
		return r, fmt.Errorf("%d is no epoch", r.Epoch)
	}
	return r, nil
}

// errTooMany: what is known of sources is bounded.
var errTooMany = fmt.Errorf("the fan-out of %d sources is known already, and no more are kept", MaxSources)

func checkKey(source string) error {
	if !lake.ValidSourceID([]byte(source)) {
		return errors.New("its key is no id of a source")
	}
	return nil
}

// counts tells which of two records of one source holds: that of the later epoch, and of one epoch the larger fan-out, so
// that all who have read the same records agree, in whatever order these stand in the topic.
func (r Record) counts(than Record) bool {
	if r.Epoch != than.Epoch {
		return r.Epoch > than.Epoch
	}
	return r.Fanout > than.Fanout
}

func (r Record) same(as Record) bool { return r.Fanout == as.Fanout && r.Epoch == as.Epoch }

// Lane is the lane of a user, by a hash of who it is, of a source that is spread over so many.
func Lane(user uint64, fanout int) int { return int(user & uint64(fanout-1)) }
