package verify

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/services/verify/internal/account"
)

// Finding is one thing that is wrong, or worth knowing.
type Finding = account.Finding

// Report is what a verification found.
type Report struct {
	Lake       string            `json:"lake"`
	Topic      string            `json:"topic"`
	TopicID    string            `json:"topic_id"`
	Group      string            `json:"group"`
	At         time.Time         `json:"at"`
	Partitions []PartitionReport `json:"partitions"`
	Others     []string          `json:"others,omitempty"` // who else has written into the lake; not verified here
	Rows       *RowsReport       `json:"rows,omitempty"`   // nil = not asked for
	Findings   []Finding         `json:"findings"`         // empty = nothing is missing or doubled, loss that was accepted aside
	Notes      []Finding         `json:"notes"`
}

// PartitionReport is what one Kafka partition has in the lake.
type PartitionReport struct {
	Partition      int32             `json:"partition"`
	Seq            uint64            `json:"seq"`
	InProgress     bool              `json:"in_progress"` // the flush Seq is decided and being published
	First          int64             `json:"first"`       // lowest offset accounted for
	Low            int64             `json:"low"`         // every record below is visible
	DeadLetters    int64             `json:"dead_letters"`
	LossAccepted   account.Ranges    `json:"loss_accepted,omitempty"` // lost records whose loss an operator has accepted
	ReadAgain      account.Ranges    `json:"read_again,omitempty"`    // what an operator had the sink read a second time
	Tables         []account.Summary `json:"tables"`
	LakePartitions []account.Summary `json:"lake_partitions"`
}

// RowsReport is what --rows has looked at.
type RowsReport struct {
	Files      int   `json:"files"`
	Rows       int64 `json:"rows"`       // of Parquet files
	Lines      int64 `json:"lines"`      // of raw files, each compared with Kafka's bytes
	Records    int64 `json:"records"`    // of Kafka, each looked for in every table
	Uncompared int64 `json:"uncompared"` // raw lines whose record Kafka has removed
}

func newReport(cfg Config, topic kafka.Topic) *Report {
	r := &Report{
		Lake: cfg.Lake, Topic: topic.Name, TopicID: topic.ID.String(), Group: cfg.Group, At: time.Now().UTC(),
		Findings: []Finding{}, Notes: []Finding{},
	}
	if cfg.Rows {
		r.Rows = &RowsReport{}
	}
	return r
}

// OK reports whether nothing is missing or doubled.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

func (r *Report) add(l *account.Ledger) {
	s := l.State()
	r.Partitions = append(r.Partitions, PartitionReport{
		Partition: l.Owner().Partition, Seq: s.Seq, InProgress: s.Phase == flush.Intent,
		First: l.First, Low: s.Low, DeadLetters: l.DeadLetters, LossAccepted: l.GivenUp, ReadAgain: l.Again(),
		Tables: l.Tables(), LakePartitions: l.LakePartitions(),
	})
	r.Findings = append(r.Findings, l.Findings...)
	r.Notes = append(r.Notes, l.Notes...)
}

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "topic %s (%s), group %s, lake %s\n\n", r.Topic, r.TopicID, r.Group, r.Lake)
	fmt.Fprintln(t, "PARTITION\tTABLE\tFILES\tROWS\tBYTES\tFROM\tVISIBLE BELOW\tDEAD LETTERS\tFLUSH")
	for _, p := range r.Partitions {
		at := fmt.Sprint(p.Seq)
		if p.InProgress {
			at += " in progress"
		}
		for _, s := range p.Tables {
			fmt.Fprintf(t, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", p.Partition, s.Table, s.Files, s.Rows, s.Bytes, p.First, p.Low, p.DeadLetters, at)
		}
	}
	r.writeList(t, "notes", r.Notes)
	r.writeList(t, "FAULTS", r.Findings)
	if r.Rows != nil {
		fmt.Fprintf(t, "\nread %d files: %d rows, %d raw lines, compared with %d records in Kafka; %d lines are older than what Kafka holds\n",
			r.Rows.Files, r.Rows.Rows, r.Rows.Lines, r.Rows.Records, r.Rows.Uncompared)
	}
	for _, o := range r.Others {
		fmt.Fprintf(t, "not verified here: files of %s\n", o)
	}
	fmt.Fprintln(t, "\n"+r.conclusion())
	return t.Flush()
}

// conclusion is the last line: what is not as it should be is never left out of it.
func (r *Report) conclusion() string {
	var accepted []string
	for _, p := range r.Partitions {
		if len(p.LossAccepted) > 0 {
			accepted = append(accepted, fmt.Sprintf("%s/%d offsets %s", r.Topic, p.Partition, p.LossAccepted))
		}
	}
	what := ""
	if len(accepted) > 0 {
		what = "lost, accepted by an operator: " + strings.Join(accepted, ", ") + "\n"
	}
	switch {
	case !r.OK():
		return what + fmt.Sprintf("%d faults", len(r.Findings))
	case what != "":
		return what + "nothing else is missing, nothing is doubled"
	}
	return "nothing is missing, nothing is doubled"
}

func (r *Report) writeList(w io.Writer, title string, list []Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Kind, b.Kind))
	})
	for _, f := range sorted {
		fmt.Fprintln(w, "  "+describe(f))
	}
}

// describe puts a finding into one line.
func describe(f Finding) string {
	parts := []string{string(f.Kind) + ":"}
	if f.Partition >= 0 {
		parts = append(parts, fmt.Sprintf("%s/%d", f.Topic, f.Partition))
	}
	if f.Table != "" {
		parts = append(parts, "table "+f.Table)
	}
	if len(f.Offsets) > 0 {
		parts = append(parts, "offsets "+f.Offsets.String())
	}
	if f.Key != "" {
		parts = append(parts, f.Key)
	}
	return strings.Join(append(parts, f.Detail), " ")
}
