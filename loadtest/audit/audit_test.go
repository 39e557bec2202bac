package audit

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	p0, p1, p2, p3 = Place{0, 0}, Place{0, 1}, Place{1, 0}, Place{1, 1}
	lineA, lineB   = Digest{1}, Digest{2}
)

// clean is a lake as it should be: two events, of which both have the same bytes as an event may, a dead letter,
// and a record of which outside.md does not say what it is.
func clean() State {
	record := func(id string, line Digest, want Want) Record {
		return Record{ID: id, Source: "s", Day: "2026-11-23", Digest: line, Want: want}
	}
	row := func(id string) Row { return Row{Count: 1, ID: id, SourceID: "s", Day: "2026-11-23"} }
	return State{
		Log: Log{Starts: map[int32]int64{}, Records: map[Place]Record{
			p0: record("a", lineA, InTable), p1: record("b", lineB, InTable), p2: record("", Digest{3}, DeadLetter), p3: record("d", lineB, Either),
		}},
		Lake:        Lake{Rows: map[Place]Row{p0: row("a"), p1: row("b"), p3: row("d")}, Raw: map[Digest]int{lineA: 1, lineB: 2}},
		DeadLetters: map[Place]int{p2: 1},
		Sent:        Sent{Acknowledged: []string{"a", "b"}, Indeterminate: []string{"d", "never"}, Rejected: []string{"r"}},
	}
}

func (s State) row(p Place, change func(*Row)) {
	r := s.Lake.Rows[p]
	change(&r)
	s.Lake.Rows[p] = r
}

// Each kind of fault is noticed, alone, and a clean lake is not accused.
func TestJudge(t *testing.T) {
	require.Equal(t, Verdict{Records: 4, Rows: 3, DeadLetters: 1, Acknowledged: 2}, Judge(clean()))
	for name, c := range map[string]struct {
		change func(*State)
		want   Verdict
	}{
		"missing row":       {func(s *State) { delete(s.Lake.Rows, p0) }, Verdict{MissingInTable: []Place{p0}}},
		"missing, open":     {func(s *State) { delete(s.Lake.Rows, p3) }, Verdict{MissingInTable: []Place{p3}}},
		"doubled row":       {func(s *State) { s.row(p1, func(r *Row) { r.Count = 2 }) }, Verdict{DoubledInTable: []Place{p1}}},
		"unknown row":       {func(s *State) { s.Lake.Rows[Place{9, 9}] = Row{Count: 1} }, Verdict{UnknownInTable: []Place{{9, 9}}}},
		"another id":        {func(s *State) { s.row(p1, func(r *Row) { r.ID = "x" }) }, Verdict{WrongInTable: []Place{p1}}},
		"another source":    {func(s *State) { s.row(p1, func(r *Row) { r.SourceID = "x" }) }, Verdict{WrongInTable: []Place{p1}}},
		"another day":       {func(s *State) { s.row(p1, func(r *Row) { r.Day = "x" }) }, Verdict{WrongInTable: []Place{p1}}},
		"rows that differ":  {func(s *State) { s.row(p1, func(r *Row) { *r = r.and(Row{Count: 1, ID: "x"}) }) }, Verdict{DoubledInTable: []Place{p1}, WrongInTable: []Place{p1}}},
		"missing raw":       {func(s *State) { delete(s.Lake.Raw, lineA) }, Verdict{MissingInRaw: []Place{p0}}},
		"one of two raw":    {func(s *State) { s.Lake.Raw[lineB] = 1 }, Verdict{MissingInRaw: []Place{p3}}},
		"doubled raw":       {func(s *State) { s.Lake.Raw[lineB] = 3 }, Verdict{DoubledInRaw: []Place{p1}}},
		"other bytes":       {func(s *State) { delete(s.Lake.Raw, lineA); s.Lake.Raw[Digest{9}] = 1 }, Verdict{MissingInRaw: []Place{p0}, UnknownInRaw: 1}},
		"raw of a letter":   {func(s *State) { s.Lake.Raw[Digest{3}] = 1 }, Verdict{UnknownInRaw: 1}},
		"letter and row":    {func(s *State) { s.Lake.Rows[p2] = Row{Count: 1, SourceID: "s", Day: "2026-11-23"} }, Verdict{WrongDeadLetters: []Place{p2}}},
		"missing letter":    {func(s *State) { delete(s.DeadLetters, p2) }, Verdict{WrongDeadLetters: []Place{p2}, MissingInTable: nil}},
		"both, open":        {func(s *State) { s.DeadLetters[p3] = 1; s.Lake.Raw[lineB] = 1 }, Verdict{WrongDeadLetters: []Place{p3}}},
		"an event's letter": {func(s *State) { s.DeadLetters[p0] = 1; delete(s.Lake.Rows, p0); delete(s.Lake.Raw, lineA) }, Verdict{WrongDeadLetters: []Place{p0}}},
		"lost":              {func(s *State) { s.Sent.Acknowledged = append(s.Sent.Acknowledged, "c") }, Verdict{LostAcknowledged: []string{"c"}}},
		"acked, twice":      {func(s *State) { s.log(p3, "b") }, Verdict{DoubledInKafka: []string{"b"}}},
		"unanswered, twice": {func(s *State) { s.Sent.Acknowledged = nil; s.Sent.Indeterminate = []string{"b"}; s.log(p3, "b") }, Verdict{DoubledInKafka: []string{"b"}}},
		"refused, yet":      {func(s *State) { s.Sent.Rejected = []string{"d"} }, Verdict{RejectedInKafka: []string{"d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := clean()
			c.change(&s)
			v := Judge(s)
			require.False(t, v.OK())
			c.want.Records, c.want.DeadLetters, c.want.Acknowledged = v.Records, v.DeadLetters, v.Acknowledged
			c.want.Rows = v.Rows
			require.Equal(t, c.want, v, v.String())
		})
	}
}

// log makes a record and its row have another messageId.
func (s State) log(p Place, id string) {
	r := s.Log.Records[p]
	r.ID = id
	s.Log.Records[p] = r
	s.row(p, func(r *Row) { r.ID = id })
}

// What is no fault is counted.
func TestWhatIsNoFault(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*State)
		count  func(Verdict) int
	}{
		"a dead letter produced again is known by its place": {func(s *State) { s.DeadLetters[p2] = 2 }, func(v Verdict) int { return v.DeadLettersRepeated }},
		"not committed, nowhere yet": {func(s *State) {
			s.Committed = map[int32]int64{0: 1, 1: 2}
			delete(s.Lake.Rows, p1)
			s.Lake.Raw[lineB] = 1
		}, func(v Verdict) int { return v.NotYet }},
		"rows that Kafka's retention has overtaken, and their lines": {func(s *State) {
			s.Log.Starts[1] = 9
			s.Lake.Rows[Place{1, 8}] = Row{Count: 1}
			s.Lake.Raw[Digest{8}] = 1
		}, func(v Verdict) int { return v.Beyond }},
		"lines of another topic": {func(s *State) { s.Lake.Others = 1; s.Lake.Raw[Digest{8}] = 1 }, func(Verdict) int { return 1 }},
		"not committed, and visible in one table already": {func(s *State) {
			s.Committed = map[int32]int64{0: 1, 1: 2}
			delete(s.Lake.Raw, lineB)
			s.Lake.Raw[lineB] = 1
		}, func(Verdict) int { return 1 }},
		"an open case made a dead letter": {func(s *State) {
			delete(s.Lake.Rows, p3)
			s.DeadLetters[p3] = 1
			s.Lake.Raw[lineB] = 1
		}, func(Verdict) int { return 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := clean()
			c.change(&s)
			v := Judge(s)
			require.True(t, v.OK(), v.String())
			require.Equal(t, 1, c.count(v), v.String())
		})
	}
}

// Below the committed offset nothing may be missing: the commit would have lied.
func TestACommitThatIsAhead(t *testing.T) {
	s := clean()
	s.Committed = map[int32]int64{0: 2, 1: 2}
	delete(s.Lake.Rows, p1)
	require.Equal(t, []Place{p1}, Judge(s).MissingInTable)
	s.Committed = maps.Clone(s.Committed)
	s.Committed[0] = 1
	require.Empty(t, Judge(s).MissingInTable)
}
