package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/pkg/embedded"
)

// Fault is a kind of trouble.
type Fault struct {
	Name string
	when when
	// play makes it, and returns when its time is over. It counts by its name what really happened.
	play func(w *World, r *rand.Rand, length time.Duration)
}

// when a fault is made.
type when int

const (
	during when = iota // at its time
	early              // before the services start: it is for what they do then
	last               // alone, when all others are over and mended
)

// Faults lists every kind.
func Faults() []Fault {
	return slices.Concat(crashes(), processFaults(), commitFaults(), kafkaFaults(), s3Faults(), glueFaults(), operatorFaults(), columnFaults(), eraFaults())
}

// trapped is a fault that waits for calls. It stays until the faults are over.
func trapped(t trap, what string) Fault {
	t.fault = what
	at := during
	if slices.Contains([]string{"s3 put columns", "s3 get columns", "s3 put started", "commit start", "glue CreateTable", "glue GetTable", "glue GetPartitions"}, t.op) {
		at = early
	}
	rare := at == early || strings.HasPrefix(t.op, "glue") || t.op == "s3 head object" || t.op == "s3 abort"
	return Fault{what, at, func(w *World, r *rand.Rand, _ time.Duration) {
		one := t
		one.count = max(1, t.count)
		if !rare {
			one.skip = r.IntN(2)
		}
		switch t.do {
		case late:
			one.delay = time.Duration(1+r.IntN(40)) * time.Second
		case slow:
			one.delay = time.Duration(1+r.IntN(12)) * time.Second
		}
		if t.op == "s3 head object" { // nobody asks unless an upload got lost
			w.set(trap{fault: expiredAfter, who: "sink", op: "commit intent", count: 1, do: alsoAfter, then: func() { w.bucket.Expire() }})
		}
		w.set(one)
	}}
}

const expiredAfter = "uploads expire after the decision"

// steps of a flush and of a round of the catalog, as calls.
var flushCalls = []string{
	"s3 put columns", "s3 put started", "commit start", "s3 begin", "s3 part", "s3 put manifest", "commit intent", "s3 complete",
	"produce " + topicLetters, "produce " + topicFlushes, "commit done",
}

var catalogCalls = []string{"glue CreateTable", "glue BatchCreatePartition", "s3 put gate", "commit"}

// crashes: before and after each step.
func crashes() (list []Fault) {
	for _, do := range []struct {
		deed
		name string
	}{{crashBefore, "before"}, {crashAfter, "after"}} {
		for _, op := range flushCalls {
			list = append(list, trapped(trap{who: "sink", op: op, do: do.deed}, "sink crashes "+do.name+" "+op))
		}
		for _, op := range catalogCalls {
			list = append(list, trapped(trap{who: "catalog", op: op, do: do.deed}, "catalog crashes "+do.name+" "+op))
		}
		list = append(list, trapped(trap{who: "gateway", op: "produce " + topicEvents, do: do.deed}, "gateway crashes "+do.name+" produce "+topicEvents))
	}
	return list
}

// onOne does something to one living process of a kind.
func onOne(name, kind string, do func(w *World, r *rand.Rand, p *process, length time.Duration)) Fault {
	return Fault{name, during, func(w *World, r *rand.Rand, length time.Duration) {
		list := w.living(kind)
		if len(list) == 0 {
			return
		}
		w.hit(name, 1)
		do(w, r, list[r.IntN(len(list))], length)
	}}
}

func processFaults() []Fault {
	var list []Fault
	for _, kind := range []string{"sink", "catalog", "gateway"} {
		list = append(list,
			onOne(kind+" crashes", kind, func(w *World, _ *rand.Rand, p *process, _ time.Duration) { w.crash(p.link) }),
			onOne(kind+" stands still", kind, func(w *World, r *rand.Rand, p *process, _ time.Duration) {
				w.standStill(p, time.Duration(500+r.IntN(3500))*time.Millisecond)
			}),
			onOne(kind+" restarts", kind, func(w *World, _ *rand.Rand, p *process, _ time.Duration) {
				w.terminate(p)
				<-p.done
				w.restart(p)
			}),
			onOne(kind+" loses its connections", kind, func(_ *World, _ *rand.Rand, p *process, _ time.Duration) { p.link.cut() }),
		)
	}
	return append(list,
		onOne("sink is a zombie", "sink", func(w *World, r *rand.Rand, p *process, _ time.Duration) {
			w.standStill(p, w.shape.Session+time.Duration(r.IntN(15_000))*time.Millisecond)
		}),
		onOne("catalog is a zombie", "catalog", func(w *World, _ *rand.Rand, p *process, length time.Duration) {
			other := w.start("catalog", 20+p.slot)
			w.standStill(p, length+20*time.Second)
			w.terminate(other)
		}),
		onOne("another sink for a while", "sink", func(w *World, r *rand.Rand, _ *process, length time.Duration) {
			p := w.start("sink", 20+r.IntN(1000))
			time.Sleep(length)
			w.terminate(p)
		}),
		onOne("one sink less for a while", "sink", func(w *World, _ *rand.Rand, p *process, length time.Duration) {
			w.terminate(p)
			time.Sleep(length)
			w.restart(p)
		}),
		onOne("another catalog for a while", "catalog", func(w *World, r *rand.Rand, _ *process, length time.Duration) {
			p := w.start("catalog", 20+r.IntN(1000))
			time.Sleep(length)
			w.terminate(p)
		}),
	)
}

// standStill is SIGSTOP and SIGCONT, or a network that stalls.
func (w *World) standStill(p *process, d time.Duration) {
	w.trace.add(p.name, "stands still for %s", d)
	w.watch.excuse()
	p.link.freeze(true)
	time.Sleep(d)
	p.link.freeze(false)
	w.watch.excuse()
	w.trace.add(p.name, "goes on")
}

// commitFaults: each answer, and no answer, to each commit of a flush.
func commitFaults() (list []Fault) {
	for _, phase := range []string{"intent", "done"} {
		for _, e := range []*kerr.Error{
			kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.StaleMemberEpoch,
			kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.UnknownServerError,
		} {
			list = append(list, answeredByKafka("commit "+phase+" is answered "+e.Message, kfake.Fault{
				Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: group, Err: e,
				When: func(r kmsg.Request) bool { return phaseOf(r) == phase },
			}))
		}
		for _, d := range []struct {
			deed
			name string
		}{
			{reset, "is reset"},
			{lose, "is applied, its answer lost"},
			{swallow, "is swallowed"},
			{silent, "is applied and not answered"},
			{late, "is held back and arrives later"},
			{slow, "is slow"},
		} {
			list = append(list, trapped(trap{who: "sink", op: "commit " + phase, do: d.deed}, "commit "+phase+" "+d.name))
		}
	}
	return list
}

// phaseOf reads the metadata of a commit.
func phaseOf(r kmsg.Request) string {
	req, ok := r.(*kmsg.OffsetCommitRequest)
	if !ok {
		return ""
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			switch {
			case p.Metadata == nil:
			case strings.Contains(*p.Metadata, " intent "):
				return "intent"
			case strings.Contains(*p.Metadata, " done "):
				return "done"
			}
		}
	}
	return ""
}

// answeredByKafka has the broker answer one or a few requests with an error.
func answeredByKafka(name string, f kfake.Fault) Fault {
	return Fault{name, during, func(w *World, r *rand.Rand, _ time.Duration) {
		one := f
		one.Count = 1 + r.IntN(3)
		if f.When != nil && errors.Is(f.Err, kerr.IllegalGeneration) {
			one.When = w.andHeartbeat(f.When)
		}
		h := w.kafka.Fault(one)
		w.after(func() {
			h.Remove()
			w.hit(name, h.Hits())
		})
	}}
}

// andHeartbeat has the member's next heartbeat refused too: a broker that refuses a commit for its generation says the
// same to the heartbeat, and weir waits for the generation that comes of it.
func (w *World) andHeartbeat(when func(kmsg.Request) bool) func(kmsg.Request) bool {
	hit := make(chan string, 16)
	go func() { // not in the cluster's own goroutine
		for member := range hit {
			w.kafka.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.IllegalGeneration,
				When: func(r kmsg.Request) bool { return r.(*kmsg.HeartbeatRequest).MemberID == member },
			})
		}
	}()
	w.after(func() { close(hit) })
	return func(r kmsg.Request) bool {
		is := when(r)
		if is {
			select {
			case hit <- r.(*kmsg.OffsetCommitRequest).MemberID:
			default: // enough are under way
			}
		}
		return is
	}
}

func kafkaFaults() []Fault {
	list := []Fault{
		{"coordinators move", during, func(w *World, _ *rand.Rand, _ time.Duration) {
			w.kafka.RehashCoordinators()
			w.hit("coordinators move", 1)
		}},
		{"leaders move", during, func(w *World, _ *rand.Rand, _ time.Duration) {
			w.kafka.ShufflePartitionLeaders()
			w.hit("leaders move", 1)
			// Apache Kafka notes where an epoch begins when its leader does, kfake with its first record; in between it denies
			// that the epoch before has an end.
			if w.kafka.TopicInfo(topicEvents) == nil {
				return
			}
			if err := w.produceEach(fmt.Sprintf("moved-%d", time.Since(w.trace.began))); err != nil {
				w.violation("produce after leaders moved: %v", err)
			}
		}},
	}
	for _, f := range []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicEvents, Err: kerr.NotLeaderForPartition},
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicEvents, Err: kerr.UnknownServerError},
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicEvents, Err: kerr.OffsetOutOfRange},
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicEvents, Err: kerr.UnknownTopicOrPartition},
		{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topicFlushes, Err: kerr.KafkaStorageError},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Err: kerr.NotCoordinator},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Group: group, Err: kerr.UnstableOffsetCommit},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.UnknownMemberID},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.IllegalGeneration},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: group, Err: kerr.CoordinatorNotAvailable},
		{Keys: []kmsg.Key{kmsg.ConsumerGroupHeartbeat}, Group: group, Err: kerr.UnknownMemberID},
		{Keys: []kmsg.Key{kmsg.ConsumerGroupHeartbeat}, Group: group, Err: kerr.FencedMemberEpoch},
		{Keys: []kmsg.Key{kmsg.ConsumerGroupHeartbeat}, Group: group, Err: kerr.CoordinatorNotAvailable},
		{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, Err: kerr.UnknownMemberID},
		{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, Err: kerr.CoordinatorLoadInProgress},
		{Keys: []kmsg.Key{kmsg.SyncGroup}, Group: group, Err: kerr.RebalanceInProgress},
		{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topicEvents, Err: kerr.LeaderNotAvailable},
		{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topicEvents, Err: kerr.LeaderNotAvailable},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: "weir-catalog-" + database, Err: kerr.NotCoordinator},
	} {
		on := f.Topic + f.Group
		list = append(list, answeredByKafka(fmt.Sprintf("%s of %s is answered %s", f.Keys[0].Name(), on, f.Err.Message), f))
	}
	for _, topic := range []string{topicEvents, topicFlushes, topicLetters} {
		for _, e := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition} {
			list = append(list, answeredByKafka(fmt.Sprintf("Produce of %s is answered %s", topic, e.Message),
				kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: e}))
		}
		for d, name := range map[deed]string{lose: "is applied, its answer lost", reset: "is reset", swallow: "is swallowed", late: "is held back and arrives later"} {
			list = append(list, trapped(trap{op: "produce " + topic, do: d}, "produce "+topic+" "+name))
		}
	}
	slices.SortFunc(list, func(a, b Fault) int { return strings.Compare(a.Name, b.Name) }) // the map has no order
	return list
}

func s3Faults() []Fault {
	list := []Fault{
		outage("S3 is down", "s3 *", http.StatusServiceUnavailable, "SlowDown"),
		outage("S3 denies", "s3 *", http.StatusForbidden, "AccessDenied"),
		outage("S3 credentials are expired", "s3 *", http.StatusBadRequest, "ExpiredToken"),
		{"uploads expire", during, func(w *World, _ *rand.Rand, _ time.Duration) { w.hit("uploads expire", min(1, w.bucket.Expire())) }},
		{expiredAfter, during, func(w *World, r *rand.Rand, _ time.Duration) {
			w.set(trap{fault: expiredAfter, who: "sink", op: "commit intent", skip: r.IntN(3), count: 1, do: alsoAfter, then: func() { w.bucket.Expire() }})
		}},
		trapped(trap{op: "s3 *", do: slow, count: 20}, "S3 is slow"),
		trapped(trap{op: "s3 complete", do: sayOK, code: "InternalError", count: 2}, "s3 complete is answered 200 with an error"),
		trapped(trap{op: "s3 get manifest", do: truncate, count: 2}, "s3 get manifest breaks off"),
		trapped(trap{op: "s3 list", do: truncate, count: 2}, "s3 list breaks off"),
		trapped(trap{op: "s3 get gate", do: truncate, count: 2}, "s3 get gate breaks off"),
		trapped(trap{op: "s3 get columns", do: truncate, count: 2}, "s3 get columns breaks off"),
	}
	for _, op := range []string{"begin", "part", "put manifest", "put columns", "complete", "put gate", "head object", "list", "abort"} {
		list = append(list,
			trapped(trap{op: "s3 " + op, do: refuse, status: 500, code: "InternalError", count: 3}, "s3 "+op+" is answered 500"),
			trapped(trap{op: "s3 " + op, do: refuse, status: 503, code: "SlowDown", count: 3}, "s3 "+op+" is answered 503"),
			trapped(trap{op: "s3 " + op, do: lose, count: 2}, "s3 "+op+" is applied, its answer lost"),
			trapped(trap{op: "s3 " + op, do: reset, count: 2}, "s3 "+op+" is reset"),
			trapped(trap{op: "s3 " + op, do: silent}, "s3 "+op+" is applied and not answered"),
			trapped(trap{op: "s3 " + op, do: swallow}, "s3 "+op+" is swallowed"),
		)
	}
	for _, op := range []string{"put manifest", "put columns", "complete", "put gate"} {
		list = append(list,
			trapped(trap{op: "s3 " + op, do: refuse, status: 409, code: "ConditionalRequestConflict", count: 8}, "s3 "+op+" is answered 409"),
			trapped(trap{op: "s3 " + op, do: late}, "s3 "+op+" is held back and arrives later"),
			trapped(trap{op: "s3 " + op, do: refuse, status: 404, count: 2}, "s3 "+op+" is answered 404 by a proxy"),
		)
	}
	return list
}

// outage refuses everything for a while.
func outage(name, op string, status int, code string) Fault {
	at := during
	if strings.HasPrefix(op, "glue") { // later there is little to ask of it
		at = early
	}
	return Fault{name, at, func(w *World, _ *rand.Rand, length time.Duration) {
		remove := w.set(trap{fault: name, op: op, count: 1 << 30, do: refuse, status: status, code: code})
		w.held.Go(func() {
			time.Sleep(length)
			remove()
			w.watch.excuse()
		})
	}}
}

func glueFaults() []Fault {
	list := []Fault{
		outage("Glue throttles", "glue *", http.StatusBadRequest, "ThrottlingException"),
		trapped(trap{op: "glue *", do: slow, count: 4}, "Glue is slow"),
		outage("Glue denies", "glue *", http.StatusBadRequest, "AccessDeniedException"),
		itemsFail("AlreadyExistsException"), itemsFail("InternalServiceException"), itemsFail("ResourceNumberLimitExceededException"),
	}
	for _, op := range []string{"CreateTable", "BatchCreatePartition", "GetPartitions"} {
		list = append(list,
			trapped(trap{op: "glue " + op, do: refuse, status: 500, code: "InternalServiceException", count: 4}, "glue "+op+" is answered 500"),
			trapped(trap{op: "glue " + op, do: refuse, status: 400, code: "ConcurrentModificationException", count: 4}, "glue "+op+" is answered ConcurrentModification"),
			trapped(trap{op: "glue " + op, do: lose, count: 2}, "glue "+op+" is applied, its answer lost"),
			trapped(trap{op: "glue " + op, do: reset, count: 2}, "glue "+op+" is reset"),
			trapped(trap{op: "glue " + op, do: silent}, "glue "+op+" is applied and not answered"),
		)
	}
	return list
}

// itemsFail has single partitions of a batch fail.
func itemsFail(code string) Fault {
	name := "glue BatchCreatePartition fails for single items with " + code
	return Fault{name, during, func(w *World, r *rand.Rand, _ time.Duration) {
		n := 0
		i := w.glue.Inject(embedded.GlueFault{Op: "BatchCreatePartition", Count: 2, Items: func([]string) string {
			if n++; n%2 == 1 {
				return code
			}
			return ""
		}})
		w.after(func() {
			w.hit(name, i.Hits())
			i.Remove()
		})
	}}
}
