package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"weir/loadtest/chaos/record"
	"weir/loadtest/faults"
)

// actor does what the timeline says, each step at its moment, and writes down what it did and when.
type actor struct {
	world   *world
	procs   *processes
	proxies map[string]*faults.Proxy // s3, glue
	actions *record.Writer[record.Action]
	rng     *rand.Rand // draws targets; used by run alone
	say     func(format string, args ...any)

	group sync.WaitGroup
	mu    sync.Mutex
	err   error
	done  map[string]int // "kill sink-1" → how often
	dead  chan string    // who was killed at a point that it reached; room for one
}

// run ends once every step has been done and undone.
func (a *actor) run(ctx context.Context, begin time.Time, steps []Step) error {
	for _, step := range steps {
		timer := time.NewTimer(time.Until(begin.Add(step.At)))
		select {
		case <-ctx.Done():
			timer.Stop()
			a.group.Wait()
			return errors.Join(ctx.Err(), a.err)
		case <-timer.C:
		}
		if step.Do == doKill || step.Do == doPause {
			target, ok := a.draw(step.Target)
			if !ok {
				a.say("nobody to %s as %s", step.Do, step.Target)
				continue
			}
			step.Target = target
		}
		a.group.Go(func() { a.keep(a.do(ctx, step)) })
	}
	a.group.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *actor) keep(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = errors.Join(a.err, err)
}

// draw finds who is meant: one of a role, one of all, or the one that is named.
func (a *actor) draw(target string) (string, bool) {
	var from []string
	switch target {
	case targetAny:
		from = a.procs.running("")
	case roleGateway, roleSink, roleCatalog:
		from = a.procs.running(target)
	default:
		return target, true
	}
	if len(from) == 0 {
		return "", false
	}
	return from[a.rng.IntN(len(from))], true
}

func (a *actor) do(ctx context.Context, s Step) error {
	a.say("%s %s %s", s.Do, s.Target, s.Fault.Kind)
	switch {
	case s.Do == doKill && strings.HasPrefix(s.Target, roleKafka):
		return a.killBroker(ctx, s)
	case s.Do == doKill:
		return a.kill(ctx, s)
	case s.Do == doPause:
		return a.pause(ctx, s)
	case s.Do == doRoll:
		return a.roll(ctx, s)
	case s.Do == doScale:
		return a.scale(ctx, s)
	case s.Do == doCrash:
		return a.crashAll(ctx, s)
	}
	return a.fault(ctx, s)
}

func (a *actor) note(act record.Action, from time.Time) {
	act.At, act.Until = from.UnixMilli(), time.Now().UnixMilli()
	a.actions.Add(act)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = map[string]int{}
	}
	a.done[act.Do+" "+act.Target]++
}

func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (a *actor) kill(ctx context.Context, s Step) error {
	m, err := a.procs.find(s.Target)
	if err != nil {
		return err
	}
	from := time.Now()
	a.procs.kill(m)
	pass(ctx, s.Back)
	err = a.procs.launch(m)
	a.note(record.Action{Do: doKill, Target: m.name, Crash: true}, from)
	return err
}

func (a *actor) killBroker(ctx context.Context, s Step) error {
	node, err := a.world.node(s.Target)
	if err != nil {
		return err
	}
	from := time.Now()
	node.Kill()
	pass(ctx, s.Back)
	err = node.Start(ctx)
	a.note(record.Action{Do: doKill, Target: s.Target, Crash: true}, from)
	return err
}

// pause makes a zombie of a member: to the group it is dead, and then it goes on where it stood.
func (a *actor) pause(ctx context.Context, s Step) error {
	m, err := a.procs.find(s.Target)
	if err != nil {
		return err
	}
	from := time.Now()
	a.procs.pause(m)
	pass(ctx, s.For)
	a.procs.resume(m)
	a.note(record.Action{Do: doPause, Target: m.name, Detail: s.For.String(), Crash: true}, from)
	return nil
}

// roll restarts every member of a role, each when the one before it is ready again.
func (a *actor) roll(ctx context.Context, s Step) error {
	if s.Target == roleKafka {
		for i, node := range a.world.nodes {
			from := time.Now()
			node.Stop()
			if err := node.Start(ctx); err != nil {
				return err
			}
			a.note(record.Action{Do: doRoll, Target: fmt.Sprintf("%s-%d", roleKafka, i+1)}, from)
		}
		return nil
	}
	for _, m := range a.procs.list(s.Target) {
		from := time.Now()
		if err := a.procs.terminate(ctx, m); err != nil {
			return err
		}
		pass(ctx, s.Back)
		if err := errors.Join(a.procs.launch(m), a.procs.ready(ctx, m)); err != nil {
			return err
		}
		a.note(record.Action{Do: doRoll, Target: m.name}, from)
	}
	return nil
}

// scale starts sinks or ends the last ones, all at once, as a StatefulSet with parallel pods does.
func (a *actor) scale(ctx context.Context, s Step) error {
	from := time.Now()
	var each sync.WaitGroup
	sinks := a.procs.list(roleSink)
	for i := range max(len(sinks), s.Sinks) {
		each.Go(func() {
			switch {
			case i >= len(sinks):
				m, err := a.procs.add(roleSink, i)
				if err == nil {
					err = a.procs.launch(m)
				}
				a.keep(err)
			case i >= s.Sinks && !sinks[i].down:
				a.keep(a.procs.terminate(ctx, sinks[i]))
			case i < s.Sinks && sinks[i].down:
				a.keep(a.procs.launch(sinks[i]))
			}
		})
	}
	each.Wait()
	a.note(record.Action{Do: doScale, Target: roleSink, Detail: fmt.Sprintf("to %d", s.Sinks)}, from)
	return nil
}

func (a *actor) fault(ctx context.Context, s Step) error {
	from := time.Now()
	clear := a.proxies[s.Target].Set(s.Fault)
	pass(ctx, s.For)
	clear()
	detail := s.Fault.Kind
	if s.Fault.Op != "" {
		detail += " on " + s.Fault.Op
	}
	if s.Fault.Share > 0 {
		detail += fmt.Sprintf(", %.0f %%", 100*s.Fault.Share)
	}
	a.note(record.Action{Do: doFault, Target: s.Target, Detail: detail}, from)
	return nil
}
