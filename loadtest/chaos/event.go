package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"weir/loadtest/chaos/record"
	"weir/loadtest/corpus"
)

// events makes the run's events out of the corpus: each has an id of the run and carries a mark.
type events struct {
	run  string
	pad  int // bytes
	base []pattern
}

// pattern is an event of the corpus, cut where its messageId stands.
type pattern struct {
	before, after    []byte // after ends before the last brace
	typ, anonymousID string
}

// patterns is how many different events of the corpus a run repeats.
const patterns = 2000

func newEvents(run string, seed uint64, pad int) (*events, error) {
	e := &events{run: run, pad: pad}
	const opens = `"messageId":"`
	for _, text := range corpus.Generate(seed, patterns) {
		var head struct{ Type, AnonymousID string }
		if err := json.Unmarshal(text, &head); err != nil {
			return nil, fmt.Errorf("read the corpus: %w", err)
		}
		from := bytes.Index(text, []byte(opens)) + len(opens)
		length := bytes.IndexByte(text[from:], '"')
		e.base = append(e.base, pattern{
			before: text[:from], after: text[from+length : len(text)-1], typ: head.Type, anonymousID: head.AnonymousID,
		})
	}
	return e, nil
}

// append adds the event to dst.
func (e *events) append(dst []byte, id record.ID, sched, send time.Time) []byte {
	t := e.base[int(id.Seq)%len(e.base)]
	messageID := id.Text(e.run)
	dst = append(dst, t.before...)
	dst = append(dst, messageID...)
	dst = append(dst, t.after...)
	if e.pad > 0 {
		dst = append(dst, `,"pad":"`...)
		dst = appendNoise(dst, e.pad)
		dst = append(dst, '"')
	}
	return fmt.Appendf(dst, `,"chaos":{"producer":%q,"seq":%d,"sched":%d,"send":%d,"sum":%q}}`, id.Producer, id.Seq,
		sched.UnixMilli(), send.UnixMilli(), record.Sum(messageID, t.typ, t.anonymousID, sched.UnixMilli()))
}

// appendNoise adds text of six bits of chance a byte.
func appendNoise(dst []byte, n int) []byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := 0; i < n; {
		word := rand.Uint64()
		for range min(10, n-i) {
			dst = append(dst, digits[word&63])
			word >>= 6
			i++
		}
	}
	return dst
}

// appendRefused adds an event that the gateway refuses: nobody did it.
func (e *events) appendRefused(dst []byte, id record.ID) []byte {
	return fmt.Appendf(dst, `{"type":"track","event":"Nobody's","messageId":%q}`, id.Text(e.run))
}
