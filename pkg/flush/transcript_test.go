package flush_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

// TestTranscripts plays testdata/*.txt: a line of input, ----, and the effect that follows, up to an empty line. Lines
// that begin with # say what is shown.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(text))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(text), got)
		})
	}
}

func play(t *testing.T, text string) string {
	var out strings.Builder
	s := newStage(t)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		answer := strings.ReplaceAll(s.do(line), s.owner.ManifestDir()+strings.Repeat("0", 19), "M/")
		if i+1 < len(lines) && lines[i+1] == "----" {
			for i+1 < len(lines) && lines[i+1] != "" {
				i++
			}
		}
		out.WriteString("----\n" + strings.TrimRight(answer, "\n") + "\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// stage is what one transcript plays on.
type stage struct {
	t         *testing.T
	owner     lake.Owner
	m         *flush.Machine
	gate      flush.Gate
	manifests map[string]*flush.Manifest // by flush id
}

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, manifests: map[string]*flush.Manifest{},
		owner: lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: lake.TopicID{0xab}, Partition: 3},
	}
}

// args are the words of an input: key=value, or a word alone.
type args map[string]string

func words(line string) (what string, a args) {
	f := strings.Fields(line)
	a = args{}
	for _, w := range f[1:] {
		key, value, _ := strings.Cut(w, "=")
		a[key] = value
	}
	return f[0], a
}

func (a args) num(key string, unset int64) int64 {
	if v, ok := a[key]; ok {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	return unset
}

func (a args) has(key string) bool { _, ok := a[key]; return ok }

func (s *stage) do(line string) string {
	what, a := words(line)
	switch what {
	case "start":
		return s.start(a)
	case "manifest":
		return s.define(a)
	case "cut":
		return s.cut(a)
	case "step":
		f := strings.Fields(line)
		return s.step(f[1], a)
	case "ask":
		return s.ask(a)
	case "notify", "gap", "alarm", "gate":
		return s.atGate(what, a)
	}
	s.t.Fatalf("no such input: %s", line)
	return ""
}

func input(name string) flush.InputKind {
	for k := flush.OK; k <= flush.RowsGone; k++ {
		if k.String() == name {
			return k
		}
	}
	panic("no such input: " + name)
}

func (s *stage) home() string { return flush.Home("cluster", s.owner.TopicID, "bucket", "lake") }

func (s *stage) start(a args) string {
	k := flush.Known{
		Owner: s.owner, ClusterID: "cluster", Bucket: "bucket", Home: s.home(),
		Tables: []string{"eventlogs", "eventlogs_raw"}, LeaderEpoch: 7,
		Committed: !a.has("new"), Offset: a.num("low", 0), CommittedEpoch: int32(a.num("epoch", 7)),
		NewestManifest: s.key(a["newest"]),
		GateSeq:        uint64(a.num("gateseq", 0)), GateManifest: s.key(a["gate"]), Later: s.key(a["later"]),
		LogStart: a.num("logstart", 0), LogEnd: a.num("logend", 1000),
		HasEpochEnd: a.has("epochend"), EpochEnd: a.num("epochend", 0),
		OwnedPartitions: int32(a.num("owned", 12)), ResetOffset: a.num("reset", 0),
	}
	if group, ok := a["group"]; ok {
		k.Owner.Group = strings.ReplaceAll(group, "_", " ")
	}
	st := flush.State{
		Low: k.Offset, LeaderEpoch: k.CommittedEpoch, Seq: uint64(a.num("seq", 0)),
		Manifest: s.key(a["flush"]), Ahead: a.has("ahead"), Home: s.home(),
	}
	if a.has("intent") {
		st.Phase = flush.Intent
	}
	if a.has("otherhome") {
		st.Home = flush.Home("cluster", s.owner.TopicID, "bucket", "another")
	}
	k.Metadata = st.Metadata()
	if text, ok := a["metadata"]; ok {
		k.Metadata = strings.ReplaceAll(text, "_", " ")
	}
	k.Offset += a.num("moved", 0) // by another tool that kept the metadata
	m, eff := flush.Start(k)
	s.m = m
	return s.show(eff)
}

// key is the manifest key of a flush id; ids are letters, a is the first flush.
func (s *stage) key(id string) string {
	if id == "" {
		return ""
	}
	if m := s.manifests[id]; m != nil {
		return m.Key
	}
	return s.owner.ManifestKey(uint64(id[0]-'a'+1), id)
}

func (s *stage) define(a args) string {
	id := a["id"]
	m := &flush.Manifest{
		Key: s.key(id), Format: flush.Format, ClusterID: "cluster", Bucket: "bucket", Group: s.owner.Group, Topic: s.owner.Topic,
		TopicID: s.owner.TopicID, Partition: int32(a.num("partition", 3)), Seq: uint64(a.num("seq", 1)), FlushID: id,
		Predecessor: s.key(a["after"]), Low: a.num("low", 0), NextLow: a.num("next", 0), LeaderEpoch: 7,
		Files: files(a["files"], id), DeadLetters: letters(a["letters"]), Ahead: map[string]*flush.Offsets{},
	}
	for _, f := range files(a["ahead"], id) {
		m.Ahead[f.Table] = f.Offsets
	}
	if a.has("key") {
		m.Key = a["key"]
	}
	s.manifests[id] = m
	return m.Key
}

// files reads table:1-3,7;table:4.
func files(text, id string) (fs []flush.File) {
	for i, f := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' }) {
		table, list, _ := strings.Cut(f, ":")
		list, rows, counted := strings.Cut(list, "/")
		set := ranges(list)
		file := flush.File{Table: table, Key: fmt.Sprintf("%s/%s-%d", table, id, i), Rows: set.Len(), Bytes: 100 * set.Len(), Offsets: set}
		if counted {
			file.Rows, _ = strconv.ParseInt(rows, 10, 64)
		}
		fs = append(fs, file)
	}
	return fs
}

func ranges(text string) *flush.Offsets {
	set := new(flush.Offsets)
	for _, r := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(r, "-")
		from, _ := strconv.ParseInt(first, 10, 64)
		to := from
		if isRange {
			to, _ = strconv.ParseInt(last, 10, 64)
		}
		set.AddRange(from, to+1)
	}
	return set
}

func letters(text string) (ds []flush.DeadLetter) {
	for _, o := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		n, _ := strconv.ParseInt(o, 10, 64)
		ds = append(ds, flush.DeadLetter{Offset: n, Reason: "malformed"})
	}
	return ds
}

func (s *stage) cut(a args) string {
	c := flush.Cut{
		FlushID: a["id"], Trigger: "age", MemberID: "member", Generation: 5, LeaderEpoch: int32(a.num("epoch", 7)),
		CreatedAt: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Position: a.num("position", 0),
		Files: files(a["files"], a["id"]), DeadLetters: letters(a["letters"]),
	}
	for _, f := range files(a["pending"], "") {
		c.Pending = append(c.Pending, flush.PendingFile{Table: f.Table, Min: f.Offsets.Min()})
	}
	return s.show(s.m.Cut(c))
}

func (s *stage) step(kind string, a args) string {
	in := flush.Input{Kind: input(kind), Offset: a.num("offset", 0), Bytes: a.num("bytes", 0), Manifest: s.manifests[a["id"]]}
	if text, ok := a["err"]; ok {
		in.Err = errors.New(strings.ReplaceAll(text, "_", " "))
	}
	return s.show(s.m.Step(in))
}

func (s *stage) ask(a args) string {
	o := a.num("offset", 0)
	return fmt.Sprintf("low %d, seq %d; record %d: eventlogs %t, eventlogs_raw %t, settled %t", s.m.Low(), s.m.Seq(), o,
		s.m.Flushed("eventlogs", o), s.m.Flushed("eventlogs_raw", o), s.m.Settled(o))
}

func (s *stage) show(e flush.Effect) string {
	if e.Op == flush.PutManifest {
		s.manifests[e.Manifest.FlushID] = e.Manifest
	}
	text := e.Op.String()
	switch e.Op {
	case flush.PutStarted:
		text += fmt.Sprintf(" offset %d", e.Offset)
	case flush.ReadManifest:
		text += " " + e.Key
	case flush.PutManifest:
		text += " " + s.showManifest(e.Manifest)
	case flush.Commit:
		text += fmt.Sprintf(" %d epoch %d %q", e.State.Low, e.State.LeaderEpoch, e.State.Metadata())
		if e.Again {
			text += " again"
		}
	case flush.Complete, flush.Head, flush.Repair:
		text += fmt.Sprintf(" %d %s", e.File, e.Manifest.Files[e.File].Key)
	case flush.ProduceDeadLetters:
		text += fmt.Sprint(" ", e.Manifest.DeadLetters)
	case flush.Notify:
		text += showNote(e.Notification(time.Time{}))
	}
	if e.Err != nil {
		text += " " + e.Err.Error()
	}
	var stopped *flush.StopError
	if e.Op == flush.Stop && (!errors.As(e.Err, &stopped) || !strings.Contains(e.Err.Error(), "weir sink recover")) {
		s.t.Fatalf("a stop says what to do: %v", e.Err)
	}
	return text
}

func (s *stage) showManifest(m *flush.Manifest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  seq %d after %q, low %d → %d, epoch %d, %s, by %s/%d", m.Key, m.Seq, m.Predecessor, m.Low, m.NextLow, m.LeaderEpoch, m.Trigger, m.MemberID, m.Generation)
	for _, f := range m.Files {
		fmt.Fprintf(&b, "\n  file %s: %s", f.Key, f.Offsets)
	}
	for _, d := range m.DeadLetters {
		fmt.Fprintf(&b, "\n  dead letter %d: %s", d.Offset, d.Reason)
	}
	var tables []string
	for table := range m.Ahead {
		tables = append(tables, table)
	}
	slices.Sort(tables)
	for _, table := range tables {
		fmt.Fprintf(&b, "\n  ahead in %s: %s", table, m.Ahead[table])
	}
	return b.String()
}

func showNote(n flush.Notification) string {
	text := fmt.Sprintf(" seq %d %s after %q, low %d → %d, %d dead letters", n.Seq, n.Manifest, n.Predecessor, n.Low, n.NextLow, n.DeadLetters)
	for _, f := range n.Files {
		text += fmt.Sprintf("\n  %s: %d rows, %d bytes", f.Key, f.Rows, f.Bytes)
	}
	return text
}

// atGate plays the catalog: notify judges and accepts, gap closes a gap with the manifests that chain names.
func (s *stage) atGate(what string, a args) string {
	if what == "gate" {
		mark := s.gate.Marks[int32(a.num("partition", 3))]
		return fmt.Sprintf("group %q seq %d manifest %q low %d remembers %d alarm %q", mark.Group, mark.Seq, mark.Manifest, mark.Low, len(mark.Recent), mark.Alarm)
	}
	n := s.manifests[a["id"]].Notification(time.Time{})
	if group, ok := a["group"]; ok {
		n.Group = group
	}
	switch what {
	case "alarm":
		s.gate.Raise(n, "by hand")
		return "raised"
	case "gap":
		return s.closeGap(n, strings.Split(a["chain"], ","))
	}
	verdict, reason := s.gate.Judge(n)
	if verdict == flush.Accept {
		s.gate.Accept(n)
	}
	return strings.TrimSpace(verdict.String() + " " + reason)
}

// closeGap plays the reading of manifests, of which only those of the ids and n's own are there.
func (s *stage) closeGap(n flush.Notification, ids []string) string {
	there := map[string]*flush.Manifest{}
	for _, m := range s.manifests {
		if m.Key == n.Manifest || slices.Contains(ids, m.FlushID) {
			there[m.Key] = m
		}
	}
	text := "accepts"
	chain, err := flush.NewChain(s.gate.Marks[n.Partition], n)
	for err == nil {
		l, _ := chain.Next()
		if l.Seq == 0 {
			return text
		}
		m := there[l.Manifest]
		if m == nil {
			return fmt.Sprintf("flush %d, %s, is not there", l.Seq, l.Manifest)
		}
		var got *flush.Notification
		if got, err = chain.Read(m); got != nil {
			s.gate.Accept(*got)
			text += fmt.Sprintf(" %d", got.Seq)
		}
	}
	return "refused: " + err.Error()
}
