package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/corpus"
	"weir/pkg/embedded"
)

const (
	corpusEvents = 200_000
	corpusSeed   = 1
	sources      = 10 // of the sink's rows: 40 lake partitions at 4 Kafka partitions would be 4 times as many files
	partitions   = 4
	topic        = "weir.events"
	writeKey     = "bench-write-key"
)

// world is the parent's: a Kafka with the corpus in it, an S3, and a scratch folder.
type world struct {
	dir    string
	kafka  *embedded.Kafka
	s3     *embedded.S3
	corpus [][]byte
}

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{corpus: corpus.Generate(corpusSeed, corpusEvents)}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "weirbench-*"); err != nil {
		return nil, err
	}
	if w.kafka, err = embedded.StartKafka(embedded.KafkaOptions{Dir: filepath.Join(w.dir, "kafka"), Addr: "127.0.0.1:0"}); err != nil {
		return nil, err
	}
	w.s3, err = embedded.StartS3(embedded.S3Options{
		Dir: filepath.Join(w.dir, "s3"), Addr: "127.0.0.1:0", AccessKey: "bench", SecretKey: "bench-secret", Buckets: []string{"weir"},
	})
	if err != nil {
		return nil, err
	}
	return w, w.fill(ctx)
}

// fill produces the corpus, as a gateway would: keyed by source, compressed by lz4.
func (w *world) fill(ctx context.Context) error {
	return w.produce(ctx, topic, len(w.corpus), func(i int) int { return i % sources })
}

// manyTopic holds the corpus again and again, of a thousand sources of which few send most (zipf).
const manyTopic = "weir.many"

func fillMany(ctx context.Context, w *world, events int) error {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(corpusSeed, 1)), 1.1, 1, openFiles-1)
	return w.produce(ctx, manyTopic, events, func(int) int { return int(zipf.Uint64()) })
}

func (w *world) produce(ctx context.Context, topic string, events int, sourceOf func(i int) int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Addr()), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	faults := make(chan error, 1)
	for i := range events {
		source := sourceOf(i)
		record := &kgo.Record{Key: fmt.Appendf(nil, "source%d", source), Value: w.corpus[i%len(w.corpus)], Partition: int32(source % partitions)}
		cl.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case faults <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-faults:
		return fmt.Errorf("produce the corpus: %w", err)
	default:
		return nil
	}
}

func (w *world) close() {
	if w.s3 != nil {
		_ = w.s3.Close()
	}
	if w.kafka != nil {
		_ = w.kafka.Close()
	}
	_ = os.RemoveAll(w.dir)
}

// measure runs one row's process under its closed loop, or as long as it takes.
func (w *world) measure(ctx context.Context, r row) (Result, error) {
	if r.fill != nil {
		if err := r.fill(ctx, w, r.events); err != nil {
			return Result{}, err
		}
	}
	if r.load == nil {
		return w.process(ctx, r, nil)
	}
	var reached float64
	var rss []float64
	before := w.logBytes(ctx)
	result, err := w.process(ctx, r, func(addr string, pid int) (err error) {
		reached, err = w.flatOut(ctx, r, addr, func() { rss = append(rss, statusMiB(strconv.Itoa(pid), "VmRSS:")) })
		return err
	})
	result.Bytes = float64(w.logBytes(ctx)-before) / float64(r.events)
	result.reached = reached
	if r.parts > 0 {
		result.RSS = rss
	}
	return result, err
}

// process runs a row's process. It prints its address once it is ready, where it has a load; its input is closed when
// the load is through; it prints its figures last.
func (w *world) process(ctx context.Context, r row, drive func(addr string, pid int) error) (Result, error) {
	self, err := os.Executable()
	if err != nil {
		return Result{}, err
	}
	scratch, err := os.MkdirTemp(w.dir, "row-*")
	if err != nil {
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", r.name)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "WEIRBENCH_BROKER="+w.kafka.Addr(), "WEIRBENCH_DIR="+scratch, "WEIRBENCH_BUCKET="+filepath.Join(w.s3.Root(), "weir"),
		"AWS_ENDPOINT_URL_S3=http://"+w.s3.Addr(), "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench-secret")
	cmd.Stderr = os.Stderr
	input, err1 := cmd.StdinPipe()
	output, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return Result{}, err
	}
	lines := bufio.NewReader(output)
	var driveErr error
	if drive != nil {
		driveErr = underLoad(lines, func(addr string) error { return drive(addr, cmd.Process.Pid) })
	}
	_ = input.Close() // it ends; where it has already, Wait says so
	var result Result
	decodeErr := json.NewDecoder(lines).Decode(&result)
	return result, errors.Join(driveErr, decodeErr, cmd.Wait())
}

// logBytes is what the gateways' topic holds on the broker's disk.
func (w *world) logBytes(ctx context.Context) int64 {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Addr()))
	if err != nil {
		return 0
	}
	defer cl.Close()
	dirs, err := kadm.NewClient(cl).DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return 0
	}
	var size int64
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.Topic == gatewayTopic {
				size += p.Size
			}
		})
	})
	return size
}

// underLoad lets drive work on the address that a process prints.
func underLoad(lines *bufio.Reader, drive func(addr string) error) error {
	addr, err := lines.ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait for the process: %w", err)
	}
	return drive(strings.TrimSpace(addr))
}
