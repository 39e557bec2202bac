package flush_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
)

// accept is what the flags of a command say.
func accept(loss bool, from int64) *flush.Acceptance {
	return &flush.Acceptance{Loss: loss, From: from, FlushID: "z", At: noon}
}

func span(from, to int64) *flush.Offsets {
	o := new(flush.Offsets)
	o.AddRange(from, to)
	return o
}

// carried is what became of a plan that was carried out.
type carried struct {
	*flush.Machine
	put   []*flush.Manifest
	notes []flush.Notification
	state flush.State // the last that was committed
	stop  error
}

// carryOut starts an ownership as the plan says and answers its effects: everything works, but the uploads and the dead
// letters that are lost.
func carryOut(t *testing.T, r flush.Remains, p flush.Plan, lostFiles map[int]flush.InputKind, lettersGone bool) carried {
	t.Helper()
	k := r.Known
	if !p.Forced {
		k.Committed, k.Offset, k.CommittedEpoch, k.Metadata = true, p.State.Low, p.State.LeaderEpoch, p.State.Metadata()
	}
	var out carried
	var eff flush.Effect
	if p.Forced {
		out.Machine, eff = flush.Force(k, p.Base, p.Ahead)
	} else {
		out.Machine, eff = flush.Start(k)
	}
	for range 40 {
		in := flush.Input{Kind: flush.OK}
		switch eff.Op {
		case flush.None:
			return out
		case flush.Stop:
			out.stop = eff.Err
			return out
		case flush.ReadManifest:
			in.Kind = flush.ManifestMissing
			for _, m := range r.Manifests {
				if m.Key == eff.Key && m.Manifest != nil {
					in.Kind, in.Manifest = flush.ManifestRead, m.Manifest
				}
			}
		case flush.PutManifest:
			out.put = append(out.put, eff.Manifest)
		case flush.Commit:
			in.Kind, out.state = flush.CommitApplied, eff.State
		case flush.Complete, flush.Head, flush.Repair:
			in.Kind = flush.Visible
			if why, lost := lostFiles[eff.File]; lost {
				in.Kind = map[flush.Op]flush.InputKind{flush.Complete: flush.NoSuchUpload, flush.Head: flush.NotFound, flush.Repair: why}[eff.Op]
			}
		case flush.ProduceDeadLetters:
			if lettersGone {
				in.Kind = flush.RowsGone
			}
		case flush.Notify:
			out.notes = append(out.notes, eff.Notification(noon))
		}
		eff = out.Step(in)
	}
	require.Fail(t, "the machine does not come to an end")
	return out
}

// requireGivenUp checks the flush that says what was given up.
func (c carried) requireGivenUp(t *testing.T, low, next int64, lost, again *flush.Offsets) *flush.Manifest {
	t.Helper()
	require.NoError(t, c.stop)
	require.Len(t, c.put, 1)
	m := c.put[0]
	require.Equal(t, []int64{low, next}, []int64{m.Low, m.NextLow})
	require.True(t, lost.Equal(m.Lost), "%s is lost", m.Lost)
	require.True(t, again.Equal(m.Again), "%s is read again", m.Again)
	require.Empty(t, m.Files)
	require.Equal(t, flush.RecoveryFormat, m.Format)
	require.Equal(t, flush.TriggerRecovery, m.Trigger)
	require.Equal(t, m.Key, c.notes[len(c.notes)-1].Manifest, "the gate hears of it")
	require.Equal(t, flush.Done, c.state.Phase)
	require.Equal(t, m.Key, c.state.Manifest)
	require.Equal(t, next, c.Low())
	return m
}

// gateOf is a gate that has accepted a flush; the flush that was given up follows.
func requirePasses(t *testing.T, seq uint64, manifest string, notes []flush.Notification) {
	t.Helper()
	g := flush.Gate{Marks: map[int32]flush.Mark{ruined.Partition: {Group: ruined.Group, Seq: seq, Manifest: manifest}}}
	for _, n := range notes {
		verdict, why := g.Judge(n)
		require.Equal(t, flush.Accept, verdict, why)
		g.Accept(n)
	}
}

func TestAcceptRetention(t *testing.T) {
	r, _, three := ruins()
	three.Manifest.Ahead = map[string]*flush.Offsets{"eventlogs": flush.NewOffsets(31, 34, 60)}
	commit(&r, done(three))
	r.LogStart, r.LeaderEpoch = 50, 9
	require.Contains(t, flush.Recover(r).Why, "to go on without them: --accept-loss")

	r.Accept = accept(true, -1)
	plan := flush.Recover(r)
	lost := span(30, 50).Without(flush.NewOffsets(31, 34))
	require.True(t, plan.GivesUp)
	require.True(t, lost.Equal(plan.Lost), "%s", plan.Lost)
	c := carryOut(t, r, plan, nil, false)
	m := c.requireGivenUp(t, 30, 50, lost, nil)
	require.Equal(t, int32(9), c.state.LeaderEpoch, "low is a record of the epoch of now")
	require.True(t, m.Ahead["eventlogs"].Equal(flush.NewOffsets(60)))
	require.True(t, c.Flushed("eventlogs", 60))
	requirePasses(t, 3, three.Key, c.notes)

	three.Modified = noon
	require.Contains(t, flush.Recover(r).Why, "may still publish")
	three.Modified = noon.Add(-2 * r.MinAge)
	r.GateAlarm = "two manifests"
	require.Contains(t, flush.Recover(r).Why, "weir catalog repair comes first")
}

// Nothing is lost: accepting it changes nothing.
func TestAcceptNothing(t *testing.T) {
	r, _, three := ruins()
	commit(&r, done(three))
	r.Accept = accept(true, -1)
	plan := flush.Recover(r)
	require.Equal(t, flush.Keep, plan.Recovery)
	require.False(t, plan.GivesUp)
}

// A pending flush is published without its lost files. What Kafka still holds of them is flushed again, and only the rest
// is lost; the notification names what is there.
func TestAcceptLostFiles(t *testing.T) {
	r, two, three := ruins()
	r.Tables = []string{"eventlogs", "eventlogs_raw"}
	three.Manifest.Files = []flush.File{
		{Table: "eventlogs", Key: "a", Rows: 5, Offsets: span(20, 25)},
		{Table: "eventlogs", Key: "b", Rows: 6, Offsets: flush.NewOffsets(25, 26, 27, 28, 29, 31)},
		{Table: "eventlogs_raw", Key: "c", Rows: 10, Offsets: span(20, 30)},
		{Table: "gone", Key: "d", Rows: 2, Offsets: span(28, 30)},
	}
	three.Manifest.Ahead = map[string]*flush.Offsets{"eventlogs": flush.NewOffsets(31)}
	commit(&r, intent(three))
	r.LogStart = 27
	lost := map[int]flush.InputKind{1: flush.RowsGone, 3: flush.RowsGone}
	c := carryOut(t, r, flush.Recover(r), lost, false)
	require.ErrorContains(t, c.stop, "b: offsets 25-29,31; table gone, d: offsets 28-29); the others are visible")
	require.ErrorContains(t, c.stop, "--partition 3 --accept-loss")

	r.Accept = accept(true, -1)
	plan := flush.Recover(r)
	require.True(t, plan.GivesUp)
	require.Contains(t, plan.Why, "flush 3 is published, without the files")
	c = carryOut(t, r, plan, lost, false)
	m := c.requireGivenUp(t, 30, 27, flush.NewOffsets(25, 26, 28, 29), nil)
	require.Equal(t, []string{"b", "d"}, m.Dropped)
	require.Len(t, c.notes[0].Files, 2)
	require.Equal(t, "c", c.notes[0].Files[1].Key)
	require.Equal(t, int64(27), c.Low())
	for o := int64(27); o < 32; o++ {
		require.False(t, c.Flushed("eventlogs", o), "%d is written again", o)
		require.Equal(t, o < 30, c.Flushed("eventlogs_raw", o), "%d is there", o)
	}
	requirePasses(t, 2, two.Key, c.notes)
}

// Dead letters of a pending flush that are no longer in Kafka.
func TestAcceptLostLetters(t *testing.T) {
	r, _, three := ruins()
	three.Manifest.DeadLetters = []flush.DeadLetter{{Offset: 21}, {Offset: 28}}
	commit(&r, intent(three))
	r.LogStart = 22
	require.ErrorContains(t, carryOut(t, r, flush.Recover(r), nil, true).stop, "--accept-loss")
	r.Accept = accept(true, -1)
	c := carryOut(t, r, flush.Recover(r), nil, true)
	c.requireGivenUp(t, 30, 28, flush.NewOffsets(21), nil)
	require.False(t, c.Settled(28), "the other is judged again")
	require.True(t, c.Settled(29))
}

// Lost files and retention at once: one flush says both.
func TestAcceptLostFilesBelowTheLog(t *testing.T) {
	r, _, three := ruins()
	three.Manifest.Files = []flush.File{{Table: "eventlogs", Key: "a", Rows: 5, Offsets: span(20, 25)}}
	commit(&r, intent(three))
	r.LogStart, r.Accept = 40, accept(true, -1)
	c := carryOut(t, r, flush.Recover(r), map[int]flush.InputKind{0: flush.RowsDiffer}, false)
	lost := span(20, 25)
	lost.AddRange(30, 40)
	c.requireGivenUp(t, 30, 40, lost, nil)
}

func TestFrom(t *testing.T) {
	for name, c := range map[string]struct {
		from, low   int64 // low: of the flush that says so
		loss        bool
		ruin        func(r *flush.Remains, two, three *flush.Remnant)
		lost, again *flush.Offsets
		forced      bool
		follows     uint64 // the seq that the gate knows
	}{
		"back": {from: 12, low: 30, again: plus(span(12, 30), 33), follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			three.Manifest.Ahead["eventlogs"] = flush.NewOffsets(33)
			commit(r, done(three))
		}},
		"on": {from: 35, low: 30, loss: true, lost: span(30, 35).Without(flush.NewOffsets(33)), again: flush.NewOffsets(37), follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			three.Manifest.Ahead["eventlogs"] = flush.NewOffsets(33, 37)
			commit(r, done(three))
		}},
		"the log was cut back": {from: 25, low: 30, again: span(25, 30), follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, done(three))
			r.LogEnd = 28
			r.EpochEnds[7] = 25
		}},
		"a pending flush is published first": {from: 25, low: 30, again: span(25, 30), follows: 2, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			commit(r, intent(three))
		}},
		"the offsets expired too": {from: 30, low: 30, follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			r.Named = []flush.Named{{3, three.Key, 30}}
		}},
		"the committed manifest is gone": {from: 20, low: 20, again: span(20, 1000), forced: true, follows: 2, ruin: func(r *flush.Remains, two, three *flush.Remnant) {
			commit(r, intent(three))
			r.GateSeq, r.GateManifest, r.GateLow = 2, two.Key, 20
			r.Manifests = r.Manifests[:1]
		}},
		"done ahead, its manifest is gone": {from: 30, low: 30, again: span(30, 1000), forced: true, follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			three.Manifest.Ahead["eventlogs"] = flush.NewOffsets(33)
			commit(r, done(three))
			r.Manifests = r.Manifests[:1]
		}},
		"decided twice": {from: 30, low: 30, again: span(30, 1000), forced: true, follows: 3, ruin: func(r *flush.Remains, two, three *flush.Remnant) {
			other := remnant(3, "x", two)
			r.Manifests = append(r.Manifests, other)
			commit(r, done(&other))
			r.GateSeq, r.GateManifest, r.GateLow = 3, three.Key, 30
		}},
		"no manifest can be read": {from: 22, low: 20, loss: true, lost: span(20, 22), again: span(22, 1000), forced: true, follows: 2, ruin: func(r *flush.Remains, two, three *flush.Remnant) {
			r.Named = []flush.Named{{1, "one", 10}, {2, two.Key, 20}}
			two.Manifest, two.Err, three.Manifest, three.Err = nil, errRead, nil, errRead
		}},
		"another lake": {from: 30, low: 30, forced: true, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			s := done(three)
			s.Home = "another"
			commit(r, s)
			r.Manifests, r.Started = nil, -1
		}},
		"another lake, from before": {from: 12, low: 12, forced: true, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			s := done(three)
			s.Home = "another"
			commit(r, s)
			r.Manifests, r.Started = nil, -1
		}},
		"back in an earlier lake": {from: 90, low: 30, loss: true, lost: span(30, 90), again: span(90, 1000), forced: true, follows: 3, ruin: func(r *flush.Remains, _, three *flush.Remnant) {
			s := done(three)
			s.Low, s.Home = 90, "another"
			commit(r, s)
			r.GateSeq, r.GateManifest, r.GateLow = 3, three.Key, 30
		}},
		"another consumer's group": {from: 40, low: 40, forced: true, ruin: func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = nil, -1
			r.Committed, r.Offset = true, 40
		}},
		"no marker": {from: 5, low: 5, forced: true, ruin: func(r *flush.Remains, _, _ *flush.Remnant) {
			r.Manifests, r.Started = nil, -1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r, two, three := ruins()
			r.LeaderEpoch = 9
			c.ruin(&r, two, three)
			r.Accept = accept(c.loss, c.from)
			plan := flush.Recover(r)
			require.True(t, plan.GivesUp, plan.Why)
			require.Equal(t, c.forced, plan.Forced, plan.Why)
			require.True(t, c.lost.Equal(plan.Lost), "%s is lost", plan.Lost)
			require.True(t, c.again.Equal(plan.Again), "%s is read again", plan.Again)
			if c.loss {
				r.Accept = accept(false, c.from)
				require.Contains(t, flush.Recover(r).Why, "would be lost: add --accept-loss")
				r.Accept = accept(true, c.from)
			}
			if plan.Forced {
				r.Accept.Again = plan.Again
			}
			out := carryOut(t, r, plan, nil, false)
			m := out.requireGivenUp(t, c.low, c.from, c.lost, c.again)
			require.Empty(t, m.Ahead, "everything is read again")
			key := ""
			switch c.follows {
			case 2:
				key = two.Key
			case 3:
				key = three.Key
			}
			requirePasses(t, c.follows, key, out.notes)
		})
	}
}

func TestFromIsRefused(t *testing.T) {
	r, _, three := ruins()
	commit(&r, done(three))
	r.LogStart, r.LogEnd = 25, 50
	for from, why := range map[int64]string{
		24: "--from 24: Kafka holds offsets 25 to 49", 51: "Kafka holds offsets 25 to 49",
		31: "records 30 are not flushed, and would be lost: add --accept-loss, or go on at 30",
	} {
		r.Accept = accept(false, from)
		plan := flush.Recover(r)
		require.Equal(t, flush.Refuse, plan.Recovery)
		require.Contains(t, plan.Why, why)
	}
	r.Accept, r.GateAlarm = accept(false, 30), "two manifests"
	require.Contains(t, flush.Recover(r).Why, "weir catalog repair comes first")
	r.Accept, r.GateAlarm, three.Modified = accept(false, 30), "", noon
	require.Contains(t, flush.Recover(r).Why, "may still publish")
}

// The machine does not lose what a plan did not foresee.
func TestMachineGuardsFrom(t *testing.T) {
	r, _, three := ruins()
	commit(&r, done(three))
	r.Accept = accept(false, 31)
	c := carryOut(t, r, flush.Plan{State: done(three)}, nil, false)
	require.ErrorContains(t, c.stop, "records 30 are not flushed, and would be lost")
	_, eff := flush.Force(flush.Known{}, flush.State{}, nil)
	require.Equal(t, flush.Stop, eff.Op, "nothing is forced without a person")
}

var errRead = errors.New("it cannot be read")

func plus(o *flush.Offsets, offset int64) *flush.Offsets {
	o.Add(offset)
	return o
}

// follow reads the flags that a text names at its end, nil where it names none.
func follow(text string) *flush.Acceptance {
	at := strings.LastIndex(text, ": --")
	if at < 0 {
		return nil
	}
	a := accept(false, -1)
	flags := strings.Fields(text[at+2:])
	for i, f := range flags {
		switch f {
		case flush.FlagAcceptLoss:
			a.Loss = true
		case flush.FlagFrom:
			a.From, _ = strconv.ParseInt(flags[i+1], 10, 64)
		}
	}
	return a
}

// Every refusal that names flags is cured by these flags, and without a loss where Kafka still holds what is not flushed.
func TestRefusalsNameTheWayOut(t *testing.T) {
	followed := 0
	for _, c := range recoverCases() {
		r, two, three := ruins()
		c.ruin(&r, two, three)
		plan := flush.Recover(r)
		r.Accept = follow(plan.Why)
		if plan.Recovery != flush.Refuse || r.Accept == nil {
			require.NotContains(t, plan.Why, "--", c.name)
			continue
		}
		followed++
		again := flush.Recover(r)
		require.True(t, again.GivesUp, "%s: %s: %s", c.name, plan.Why, again.Why)
		require.Equal(t, !again.Lost.Empty(), r.Accept.Loss, "%s: %s", c.name, plan.Why)
		if again.Forced {
			r.Accept.Again = again.Again
		}
		require.NoError(t, carryOut(t, r, again, nil, false).stop, c.name)
	}
	require.Greater(t, followed, 12)
}
