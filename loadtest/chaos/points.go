package chaos

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"weir/loadtest/chaos/record"
	"weir/loadtest/faults"
)

// point is a step of the protocol, named by what the process is about to do (before) or has just done and not yet
// heard of (after). It is recognised from outside, by the request that passes: the binary under test holds no hook.
type point struct {
	target string // s3 or glue, "" where it is a commit
	rule   faults.Rule
	phase  string // of the commit: intent or done
	lands  bool
}

// publish is how a file gets its key: a small one is put, out of the bundle, another is completed.
const publish = "PutObject|CompleteMultipartUpload"

// points are all of them, in the order of a flush. Dead letters and the notification, which go to Kafka, stand between
// raw-after and done-before. Large files alone have create-after, part-before and part-after.
var points = map[string]point{
	"create-after":    atSink("s3-kill-after", "CreateMultipartUpload", "/eventlogs/"),
	"part-before":     atSink("s3-kill-before", "UploadPart", "/eventlogs/"),
	"part-after":      atSink("s3-kill-after", "UploadPart", "/eventlogs/"),
	"bundle-before":   atSink("s3-kill-before", publish, "/_weir-bundles/"),
	"bundle-after":    atSink("s3-kill-after", publish, "/_weir-bundles/"),
	"manifest-before": atSink("s3-kill-before", "PutObject", "/_weir/"+group+"/"),
	"manifest-after":  atSink("s3-kill-after", "PutObject", "/_weir/"+group+"/"),
	"intent-before":   {phase: "intent"},
	"intent-after":    {phase: "intent", lands: true},
	"publish-before":  atSink("s3-kill-before", publish, "/eventlogs/"),
	"publish-after":   atSink("s3-kill-after", publish, "/eventlogs/"),
	"raw-before":      atSink("s3-kill-before", publish, "/raw/"),
	"raw-after":       atSink("s3-kill-after", publish, "/raw/"),
	"done-before":     {phase: "done"},
	"done-after":      {phase: "done", lands: true},

	"partition-before": {target: targetGlue, rule: faults.Rule{Kind: "glue-kill-before", Op: "BatchCreatePartition", Times: 1}},
	"partition-after":  {target: targetGlue, rule: faults.Rule{Kind: "glue-kill-after", Op: "BatchCreatePartition", Times: 1}},
	"gate-before":      {target: targetS3, rule: gateRule("s3-kill-before")},
	"gate-after":       {target: targetS3, rule: gateRule("s3-kill-after")},
}

func atSink(kind, op, path string) point {
	return point{target: targetS3, rule: faults.Rule{Kind: kind, Door: roleSink, Op: op, Path: path, Times: 1}}
}

func gateRule(kind string) faults.Rule {
	return faults.Rule{Kind: kind, Door: roleCatalog, Op: "PutObject", Path: "/_weir/catalog/", Times: 1}
}

// listen has the doors tell who is to be killed.
func (a *actor) listen() {
	a.dead = make(chan string, 1)
	for _, p := range a.proxies {
		p.Kill = a.killNow
	}
}

// killNow kills a member at the point that it has reached.
func (a *actor) killNow(name string) {
	m, err := a.procs.find(name)
	if err != nil {
		a.keep(err)
		return
	}
	a.procs.kill(m)
	select {
	case a.dead <- name:
	default: // somebody else was killed at this very moment; mend starts only who ended by itself
		a.keep(a.procs.launch(m))
	}
}

// crashAll goes from point to point.
func (a *actor) crashAll(ctx context.Context, s Step) error {
	for _, name := range s.Points {
		if err := a.crash(ctx, name, s); err != nil {
			return err
		}
	}
	return nil
}

// crash kills whoever first reaches a point, and starts it again.
func (a *actor) crash(ctx context.Context, at string, s Step) error {
	p := points[at]
	var clear func()
	if p.target != "" {
		clear = a.proxies[p.target].Set(p.rule)
	} else {
		clear = a.killAtCommit(p)
	}
	defer clear()
	timer := time.NewTimer(s.For)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		a.say("nobody reached %s", at)
		return nil
	case name := <-a.dead:
		from := time.Now()
		a.say("killed %s at %s", name, at)
		pass(ctx, s.Back)
		m, err := a.procs.find(name)
		if err == nil {
			err = a.procs.launch(m)
		}
		a.note(record.Action{Do: doCrash, Target: at, Detail: name, Crash: true}, from)
		return err
	}
}

// killAtCommit has the embedded Kafka kill the static member that sends the next commit of a phase, before or after
// it is applied.
func (a *actor) killAtCommit(p point) (clear func()) {
	cluster := a.world.kafka.Cluster()
	armed := make(chan struct{}, 1) // holds one value while nobody was killed
	armed <- struct{}{}
	cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		who, is := committer(req, p.phase)
		if !is {
			return nil, nil, false
		}
		select {
		case <-armed:
		default:
			cluster.DropControl()
			return nil, nil, false
		}
		a.killNow(who)
		if p.lands {
			cluster.DropControl()
			return nil, nil, false // the broker goes on with it: it was received
		}
		return nil, context.Canceled, true // the connection ends, the commit with it
	})
	return func() {
		select {
		case <-armed:
		default:
		}
	}
}

// committer says which static member commits this phase of a flush.
func committer(req kmsg.Request, phase string) (string, bool) {
	commit, ok := req.(*kmsg.OffsetCommitRequest)
	if !ok || commit.Group != group || commit.InstanceID == nil {
		return "", false
	}
	for _, t := range commit.Topics {
		for _, p := range t.Partitions {
			// weir1 <seq> <intent|done> <manifest> …; a start has no manifest
			if p.Metadata == nil {
				continue
			}
			words := strings.Fields(*p.Metadata)
			if len(words) > 3 && words[2] == phase && words[3] != "-" {
				return *commit.InstanceID, true
			}
		}
	}
	return "", false
}
