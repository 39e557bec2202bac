package redrive

import (
	"cmp"
	"slices"
)

// maxGroups bounds a report: reasons and sources are what a producer wrote.
const maxGroups = 1000

// others stands for the groups beyond.
const others = "(others)"

// Result is what a redrive made of a record.
type Result string

// The results beside the states, which are the results of what is not waiting.
const (
	Back      Result = "redriven"
	WouldBack Result = "would be redriven"
	Before    Result = "redriven before"
	Refused   Result = "refused" // the door does not take it
)

// Group is records of which the same is to say.
type Group struct {
	Result  Result
	Reason  string // for which they were put aside
	Source  string
	Target  string // the topic that they go to
	Becomes string // what the sink will make of them, or why they do not go
}

// Sum is how many and how large.
type Sum struct {
	Records int64
	Bytes   int64 // of their values
}

// Report is what a redrive did, or would do.
type Report struct {
	Groups map[Group]Sum
}

func (r *Report) add(g Group, l *Letter) {
	if r.Groups == nil {
		r.Groups = map[Group]Sum{}
	}
	if _, there := r.Groups[g]; !there && len(r.Groups) >= maxGroups {
		g.Reason, g.Source, g.Becomes = others, others, ""
	}
	s := r.Groups[g]
	s.Records++
	s.Bytes += int64(l.Bytes)
	r.Groups[g] = s
}

// Count is how many records had the result.
func (r *Report) Count(result Result) (n int64) {
	for g, s := range r.Groups {
		if g.Result == result {
			n += s.Records
		}
	}
	return n
}

// Sorted are the groups, results in their order, the largest group first.
func (r *Report) Sorted() []Group {
	var groups []Group
	for g := range r.Groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(
			cmp.Compare(a.Result.rank(), b.Result.rank()),
			cmp.Compare(r.Groups[b].Records, r.Groups[a].Records),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Becomes, b.Becomes))
	})
	return groups
}

func (r Result) rank() int {
	return slices.Index([]Result{Back, WouldBack, Refused, Result(Quarantined), Result(Unreadable), Before, Result(Repeated)}, r)
}
