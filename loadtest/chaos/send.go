package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/chaos/record"
)

// answerLimit is how long a producer waits for an answer; then its batch is indeterminate.
const answerLimit = 20 * time.Second

// httpSender posts batches to the gateways in turn.
type httpSender struct {
	events   *events
	gateways []string
	client   *http.Client
}

func newHTTPSender(e *events, gateways []string) *httpSender {
	return &httpSender{events: e, gateways: gateways, client: &http.Client{
		Timeout:   answerLimit,
		Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 5 * time.Second},
	}}
}

func (s *httpSender) close() { s.client.CloseIdleConnections() }

func (s *httpSender) send(ctx context.Context, b batch, answered func(record.Entry)) {
	now := time.Now()
	body := []byte(`{"batch":[`)
	for i := range b.n {
		if i > 0 {
			body = append(body, ',')
		}
		id := record.ID{Producer: b.from.Producer, Seq: b.from.Seq + int64(i)}
		if b.kinds[i] == refused {
			body = s.events.appendRefused(body, id)
		} else {
			body = s.events.append(body, id, b.sched, now)
		}
	}
	body = append(body, "]}"...)
	whole := record.Entry{Seq: b.from.Seq, N: int64(b.n), Outcome: record.Indeterminate}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.gateways[b.number%len(s.gateways)]+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		whole.Answer = err.Error()
		answered(whole)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	key := writeKey(b.source)
	if b.badKey {
		key = "nobody's key"
	}
	req.SetBasicAuth(key, "")
	resp, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			whole.Outcome = record.Rejected // nothing was written to anybody
		}
		whole.Answer = err.Error()
		answered(whole)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	for _, e := range judgeAnswer(whole, resp.StatusCode, text, err) {
		answered(e)
	}
}

// judgeAnswer turns an answer into fates. A 503 may come after the records went to Kafka, so it is indeterminate; the
// other refusals are final.
func judgeAnswer(whole record.Entry, status int, text []byte, err error) []record.Entry {
	var answer struct {
		Success  bool
		Rejected []struct{ Index int64 }
	}
	switch {
	case status == http.StatusOK && err == nil && json.Unmarshal(text, &answer) == nil && answer.Success:
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		whole.Outcome, whole.Answer = record.Rejected, fmt.Sprint(status)
		return []record.Entry{whole}
	default:
		whole.Answer = fmt.Sprint(status)
		return []record.Entry{whole}
	}
	fates := make([]record.Outcome, whole.N)
	for i := range fates {
		fates[i] = record.Acked
	}
	for _, r := range answer.Rejected {
		if r.Index < 0 || r.Index >= whole.N {
			whole.Answer = fmt.Sprintf("rejected index %d of %d", r.Index, whole.N)
			return []record.Entry{whole}
		}
		fates[r.Index] = record.Rejected
	}
	var all []record.Entry
	for i := 0; i < len(fates); {
		n := 1
		for i+n < len(fates) && fates[i+n] == fates[i] {
			n++
		}
		all = append(all, record.Entry{Seq: whole.Seq + int64(i), N: int64(n), Outcome: fates[i]})
		i += n
	}
	return all
}

// kafkaSender produces straight into the events topic, as a producer that knows Kafka does.
type kafkaSender struct {
	events *events
	client *kgo.Client
}

func newKafkaSender(e *events, brokers []string) (*kafkaSender, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic), kgo.RecordDeliveryTimeout(answerLimit),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(50_000), kgo.DisableClientMetrics())
	if err != nil {
		return nil, fmt.Errorf("open a direct producer: %w", err)
	}
	return &kafkaSender{events: e, client: cl}, nil
}

func (s *kafkaSender) close() { s.client.Close() }

// send returns once every record is answered.
func (s *kafkaSender) send(ctx context.Context, b batch, answered func(record.Entry)) {
	now := time.Now()
	left := make(chan struct{}, b.n)
	for i := range b.n {
		id := record.ID{Producer: b.from.Producer, Seq: b.from.Seq + int64(i)}
		r := &kgo.Record{Key: []byte(b.source)}
		if b.kinds[i] == record.Letter {
			r.Value = record.LetterText(s.events.run, id)
		} else {
			r.Value = s.events.append(nil, id, b.sched, now)
		}
		s.client.TryProduce(ctx, r, func(_ *kgo.Record, err error) {
			answered(fateOf(id, err))
			left <- struct{}{}
		})
	}
	for range b.n {
		<-left
	}
}

func fateOf(id record.ID, err error) record.Entry {
	e := record.Entry{Seq: id.Seq, N: 1, Outcome: record.Acked}
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		e.Outcome, e.Answer = record.Rejected, err.Error() // it never left
	case err != nil:
		e.Outcome, e.Answer = record.Indeterminate, err.Error()
	}
	return e
}
