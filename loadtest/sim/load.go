package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome is what a producer was told of an event.
type outcome int

// The outcomes.
const (
	unknown      outcome = iota // it may stand in Kafka, or not
	acknowledged                // it must stand there
	refused                     // it must not
)

// ledger is what producers were told. An event is known by its id, "<producer>/<seq>".
type ledger struct {
	mu   sync.Mutex
	sent map[string]*entry
}

type entry struct {
	outcome outcome
	letter  bool // it is no event: direct producers send such things too
	passed  bool // an operator passed over it
	aside   bool // the gateway said that it stands in the rejected topic
}

func newLedger() *ledger { return &ledger{sent: map[string]*entry{}} }

func (l *ledger) send(id string, letter bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id] = &entry{letter: letter}
}

func (l *ledger) told(o outcome, ids ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.sent[id].outcome = o
	}
}

func (l *ledger) rejected(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id].outcome, l.sent[id].aside = refused, true
}

// headerID tells the id of a record whose value need not be an event.
const headerID = "sim-id"

// sources that events come from; the gateway knows the first two.
var sources = []string{"alpha", "beta", "gamma", "de.l-ta_4"}

const sourcesYAML = `sources:
  - {id: alpha, write_keys: [key-alpha]}
  - {id: beta, write_keys: [key-beta]}
`

// eventOf is one event, with a checksum of what it says.
func eventOf(r *rand.Rand, id string) []byte {
	pad := text(r, 20+r.IntN(200))
	ev := map[string]any{
		"type": []string{"track", "identify", "page", "track"}[r.IntN(4)], "messageId": id, "userId": fmt.Sprintf("u%d", r.IntN(50)),
		"event": "Simulated", "context": map[string]any{"ip": "10.0.0.1", "library": map[string]any{"name": "sim"}},
		"properties": map[string]any{
			"pad": pad, "crc": fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(id+pad))), "n": r.IntN(1000), "nested": []int{1, 2},
		},
	}
	body, err := json.Marshal(ev)
	if err != nil {
		panic(err) // it is made of plain values
	}
	return body
}

func text(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789 éß\"\\"[r.IntN(38)]
	}
	return strings.ToValidUTF8(string(b), "?")
}

// letterOf is something that is no event.
func letterOf(r *rand.Rand) (key, value []byte) {
	switch r.IntN(4) {
	case 0:
		return []byte("alpha"), []byte("nonsense")
	case 1:
		return []byte("alpha"), []byte(`{"type":"track"`)
	case 2:
		return []byte("not a source!"), []byte(`{"type":"track","event":"E"}`)
	default:
		return []byte("beta"), []byte(`{"userId":"neither type nor event"}`)
	}
}

// produceDirect is an application that writes to Kafka itself. When ctx ends it finishes what is under way.
func (w *World) produceDirect(ctx context.Context, n int, transactional bool) {
	name := fmt.Sprintf("app-%d", n)
	r := rand.New(rand.NewPCG(w.seed, uint64(100+n)))
	opts := []kgo.Opt{
		kgo.SeedBrokers(w.brokers()...), kgo.Dialer(w.newLink("producer", name, uint64(200+n)).dial), kgo.DefaultProduceTopic(topicEvents),
		kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(20 * time.Second), kgo.DisableClientMetrics(),
		kgo.ProducerBatchCompression([]kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression(), kgo.GzipCompression()}[n%3]),
	}
	if transactional {
		opts = append(opts, kgo.TransactionalID(name), kgo.TransactionTimeout(30*time.Second))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		w.violation("make a producer: %v", err)
		return
	}
	defer client.Close()
	for seq := 0; sleep(ctx, time.Duration(50+r.IntN(700))*time.Millisecond) == nil; {
		var records []*kgo.Record
		var ids []string
		for range 1 + r.IntN(8) {
			id := fmt.Sprintf("%s/%d", name, seq)
			seq++
			rec := &kgo.Record{Partition: r.Int32N(w.shape.Partitions), Key: []byte(sources[r.IntN(len(sources))]), Value: eventOf(r, id), Timestamp: w.clock()}
			letter := r.IntN(12) == 0
			if letter {
				rec.Key, rec.Value = letterOf(r)
			}
			rec.Headers = []kgo.RecordHeader{{Key: headerID, Value: []byte(id)}}
			w.ledger.send(id, letter)
			records, ids = append(records, rec), append(ids, id)
		}
		if transactional {
			w.produceInTransaction(client, r.IntN(3) > 0, records, ids)
			continue
		}
		for i, res := range client.ProduceSync(context.Background(), records...) {
			if res.Err == nil {
				w.ledger.told(acknowledged, ids[i])
			}
		}
	}
}

// clock is what applications take for the time.
func (w *World) clock() time.Time {
	skew := time.Duration(w.skew.Load())
	if skew != 0 {
		w.hit(wrongClock, 1)
	}
	return time.Now().Add(skew)
}

// produceInTransaction writes all of the records or none.
func (w *World) produceInTransaction(client *kgo.Client, commit bool, records []*kgo.Record, ids []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.BeginTransaction(); err != nil {
		w.ledger.told(refused, ids...)
		return
	}
	failed := client.ProduceSync(ctx, records...).FirstErr() != nil
	if failed {
		commit = false
	}
	err := client.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	switch {
	case err != nil: // it may have been committed, or may time out
	case commit:
		w.ledger.told(acknowledged, ids...)
	default:
		w.ledger.told(refused, ids...)
	}
}

// post is a client of a gateway, and of that one only: the order of a user's events is kept through one.
func (w *World) post(ctx context.Context, n int) {
	name := fmt.Sprintf("web-%d", n)
	r := rand.New(rand.NewPCG(w.seed, uint64(300+n)))
	transport := &http.Transport{DialContext: w.net.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for seq := 0; sleep(ctx, time.Duration(50+r.IntN(900))*time.Millisecond) == nil; {
		var batch bytes.Buffer
		var ids, bad []string
		batch.WriteString(`{"batch":[`)
		for i := range 1 + r.IntN(8) {
			id := fmt.Sprintf("%s/%d", name, seq)
			seq++
			if i > 0 {
				batch.WriteByte(',')
			}
			if r.IntN(20) == 0 {
				fmt.Fprintf(&batch, `{"type":7,"messageId":%q}`, id)
				bad = append(bad, id)
			} else {
				batch.Write(eventOf(r, id))
				ids = append(ids, id)
			}
			w.ledger.send(id, false)
		}
		batch.WriteString(`]}`)
		w.postBatch(client, gatewayAddr(n%gateways), sources[r.IntN(2)], batch.Bytes(), ids, bad)
	}
}

func (w *World) postBatch(client *http.Client, addr, source string, body []byte, ids, bad []string) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		w.violation("make a request: %v", err)
		return
	}
	req.SetBasicAuth("key-"+source, "")
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		w.ledger.told(acknowledged, ids...)
		for _, id := range bad {
			w.ledger.rejected(id)
		}
	case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests:
	default:
		w.violation("the gateway answers %d: %s", resp.StatusCode, answer)
	}
}
