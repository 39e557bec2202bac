package sim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/glue"
	"weir/pkg/kafka"
	"weir/pkg/promote"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/catalog"
	"weir/services/gateway"
	"weir/services/sink"
)

// process is a service that runs, as its own program would.
type process struct {
	kind, name string
	slot       int // which of its kind: its port, its static name
	serial     int
	link       *link
	stop       context.CancelFunc
	done       chan struct{}
	err        error // read after done
	asked      bool  // it was told to end, or died; guarded by World.mu
}

// start runs another process in a slot.
func (w *World) start(kind string, slot int) *process {
	w.mu.Lock()
	w.serial++
	serial := w.serial
	w.mu.Unlock()
	p := &process{kind: kind, slot: slot, serial: serial, name: fmt.Sprintf("%s-%d.%d", kind, slot, serial), done: make(chan struct{})}
	p.link = w.newLink(kind, p.name, uint64(1000+serial))
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	tel := telemetry.Discard()
	tel.Log = w.trace.logger(p.name, w.level())
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	w.trace.add(p.name, "starts")
	go func() {
		p.err = w.run(ctx, p, tel)
		stop()
		p.link.kill() // what listens for it ends too
		close(p.done)
		w.over(p)
	}()
	return p
}

func (w *World) run(ctx context.Context, p *process, tel *telemetry.Telemetry) error {
	k := kafka.Config{Brokers: w.brokers(), Extra: []kgo.Opt{
		kgo.Dialer(p.link.dial), kgo.WithDecompressor(newDecompressor(batchLimit)),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), // kfake leaves decoders of zstd to finalizers, which run outside of the bubble
	}}
	switch p.kind {
	case "sink":
		return sink.Run(ctx, w.sinkConfig(p, k), tel)
	case "catalog":
		c := catalog.DefaultConfig()
		c.Kafka, c.Lake, c.Database, c.TopicReplication = k, w.location().String(), database, 1
		c.S3, c.Glue, c.LedgerEvery = w.s3Config(p.link), w.glueConfig(p.link), 3*time.Second
		return catalog.Run(ctx, c, tel)
	default:
		c := gateway.DefaultConfig()
		c.Config, c.Listen, c.Listener = k, gatewayAddr(p.slot), p.link.listen
		c.Sources = filepath.Join(w.Dir, "sources.yaml")
		c.TopicPartitions, c.TopicReplication, c.FanoutRate = w.shape.Partitions, 1, w.shape.FanoutRate
		return gateway.Run(ctx, c, tel, nil)
	}
}

// batchLimit is the most bytes that a batch may unpack to for a sink: half of its memory.
const batchLimit = int(32 * settings.MiB)

// promotions are what sinks promote, each another list: the columns of the table change while it is written.
var promotions = []promote.List{
	promote.DefaultList(), listOf("default, properties.n: bigint"), listOf("none"), listOf("properties.n: string"), listOf("properties.n: boolean, properties.pad: double"),
}

func listOf(text string) (l promote.List) {
	if err := l.UnmarshalText([]byte(text)); err != nil {
		panic(err) // it is a constant
	}
	return l
}

func gatewayAddr(slot int) string { return fmt.Sprintf("127.0.0.1:%d", gatewayPort+slot) }

func (w *World) sinkConfig(p *process, k kafka.Config) sink.Config {
	c := sink.DefaultConfig()
	c.Kafka, c.Lake, c.S3 = k, w.location().String(), w.s3Config(p.link)
	c.FileAge, c.FileSize, c.Memory = w.shape.FileAge, settings.MiB, settings.Memory{Bytes: settings.Bytes(2 * batchLimit)}
	c.Promote = promotions[p.serial%len(promotions)]
	c.SessionTimeout, c.RawCodec = w.shape.Session, w.shape.RawCodec
	if w.shape.Eager {
		c.Kafka.Extra = append(c.Kafka.Extra, kgo.Balancers(kgo.RangeBalancer()))
	}
	c.PartSize, c.GroupProtocol = w.shape.PartSize, w.shape.Protocol
	c.TopicPartitions, c.TopicReplication = w.shape.Partitions, 1
	if w.shape.Static {
		c.PodName = fmt.Sprintf("weir-sink-%d", p.slot)
	}
	return c
}

func (w *World) s3Config(l *link) s3.Config {
	return s3.Config{
		Lake: w.location(), Endpoint: "http://s3.sim", Region: "us-east-1", AccessKey: "sim", SecretKey: "sim",
		Transport: w.web(l, "s3"),
	}
}

func (w *World) glueConfig(l *link) glue.Config {
	return glue.Config{Endpoint: "http://glue.sim", Region: "us-east-1", AccessKey: "sim", SecretKey: "sim", Transport: w.web(l, "glue")}
}

func (w *World) web(l *link, service string) http.RoundTripper {
	if service == "glue" {
		return web{link: l, service: service, handler: w.glue, name: glueName}
	}
	return web{link: l, service: service, handler: w.bucket, name: s3Name}
}

// over is the end of a process. One that nobody asked to end is started again, as Kubernetes does.
func (w *World) over(p *process) {
	w.mu.Lock()
	w.processes = slices.DeleteFunc(w.processes, func(o *process) bool { return o == p })
	asked, closing := p.asked, w.closing
	fenced := w.twins[p.slot] && p.err != nil && strings.Contains(p.err.Error(), kerr.FencedInstanceID.Message)
	w.ended = append(w.ended, p)
	w.mu.Unlock()
	w.trace.add(p.name, "ended: %v", p.err)
	if asked {
		return
	}
	if !fenced {
		w.violation("%s ended by itself: %v", p.name, p.err)
	}
	if !closing {
		time.Sleep(time.Second)
		w.start(p.kind, p.slot)
	}
}

// terminate is SIGTERM. It does not wait.
func (w *World) terminate(p *process) {
	w.mark(p)
	w.trace.add(p.name, "is told to end")
	p.stop()
}

func (w *World) mark(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.asked = true
}

// crash is SIGKILL: from now on nothing of the process arrives anywhere. Another one takes its place a little later.
func (w *World) crash(l *link) {
	p := w.processOf(l)
	if p == nil {
		l.kill()
		return
	}
	w.mark(p)
	w.trace.add(p.name, "CRASHES")
	l.kill()
	w.watch.excuse()
	p.stop()
	go func() {
		time.Sleep(restartDelay)
		w.restart(p)
	}()
}

const restartDelay = 1500 * time.Millisecond

// restart puts a process into a slot that is empty.
func (w *World) restart(old *process) {
	w.mu.Lock()
	taken := w.closing || slices.ContainsFunc(w.processes, func(p *process) bool {
		return p.kind == old.kind && p.slot == old.slot && !p.asked
	})
	w.mu.Unlock()
	if !taken {
		w.start(old.kind, old.slot)
	}
}

func (w *World) processOf(l *link) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.processes {
		if p.link == l {
			return p
		}
	}
	return nil
}

// living lists the processes of a kind that run and were not told to end, by slot.
func (w *World) living(kind string) []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*process
	for _, p := range w.processes {
		if p.kind == kind && !p.asked {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *process) int { return a.slot - b.slot })
	return list
}

// shutdownPatience is how long a process may take to end in good order.
const shutdownPatience = 3 * time.Minute

// stopAll ends the rest in good order and waits.
func (w *World) stopAll() {
	w.mu.Lock()
	w.closing = true
	all := slices.Clone(w.processes)
	w.mu.Unlock()
	for _, kind := range []string{"sink", "catalog"} {
		for _, p := range all {
			if p.kind == kind {
				w.terminate(p)
			}
		}
		for _, p := range all {
			if p.kind == kind {
				w.await(p)
			}
		}
	}
	for _, p := range all { // what crashed ends too, once it gives up
		select {
		case <-p.done:
		case <-time.After(shutdownPatience):
			w.violation("%s, which crashed, does not end", p.name)
		}
	}
}

func (w *World) await(p *process) {
	limit := time.NewTimer(shutdownPatience)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		w.violation("%s does not end within %s", p.name, shutdownPatience)
		p.link.kill()
		<-p.done
	}
	if p.err != nil && !errors.Is(p.err, context.Canceled) {
		w.violation("%s ended with an error: %v", p.name, p.err)
	}
}
