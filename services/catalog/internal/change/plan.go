package change

import (
	"cmp"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// ChunkSize is Glue's limit on the partitions of one BatchCreatePartition.
const ChunkSize = 100

// Partition is one to be registered.
type Partition struct {
	Lake     lake.Partition
	Values   []string // in the order of PartitionKeys
	Location string   // s3://…/, with the slash
}

// Chunk is what one call registers: at most ChunkSize partitions of one table.
type Chunk struct {
	Spec       Spec // of the table; a partition takes its formats from it
	Partitions []Partition
}

// Plan is what a batch of notifications asks of the catalog, in this order:
// tables before their partitions. A plan that is empty asks nothing.
type Plan struct {
	Tables  []Spec // must exist with at least these columns
	Chunks  []Chunk
	Unknown []string // tables that notifications name and this catalog does not keep
}

// Known answers what the catalog is known to hold already. A wrong no costs a
// call, a wrong yes would hide rows: only what Glue confirmed is known.
type Known struct {
	Table     func(name string) bool
	Partition func(lake.Partition) bool
}

// PlanOf makes the plan for the files of the notifications. The same files in
// another order, or twice, give the same plan.
func (l Lake) PlanOf(known Known, notes []flush.Notification) Plan {
	var plan Plan
	missing := make(map[string]map[lake.Partition]struct{})
	for _, n := range notes {
		for _, f := range n.Files {
			set := missing[f.Table]
			if set == nil {
				set = make(map[lake.Partition]struct{})
				missing[f.Table] = set
			}
			if !known.Partition(f.Partition) {
				set[f.Partition] = struct{}{}
			}
		}
	}
	for _, name := range sortedKeys(missing) {
		table, ok := l.Tables[name]
		if !ok {
			plan.Unknown = append(plan.Unknown, name)
			continue
		}
		if !known.Table(name) {
			plan.Tables = append(plan.Tables, l.SpecOf(table))
		}
		plan.Chunks = append(plan.Chunks, l.chunks(table, missing[name])...)
	}
	return plan
}

// chunks sorts by path, so that a repeated batch makes the same calls.
func (l Lake) chunks(table lake.Table, set map[lake.Partition]struct{}) []Chunk {
	spec := l.SpecOf(table)
	parts := make([]Partition, 0, len(set))
	for p := range set {
		parts = append(parts, l.PartitionOf(table, p))
	}
	slices.SortFunc(parts, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Lake.SourceID, b.Lake.SourceID), cmp.Compare(a.Lake.Day, b.Lake.Day))
	})
	var chunks []Chunk
	for part := range slices.Chunk(parts, ChunkSize) {
		chunks = append(chunks, Chunk{Spec: spec, Partitions: part})
	}
	return chunks
}

// PartitionOf says how a lake partition is registered.
func (l Lake) PartitionOf(t lake.Table, p lake.Partition) Partition {
	return Partition{
		Lake:     p,
		Values:   []string{p.SourceID, p.Day.String()},
		Location: l.Location.URL(p.Dir(t)) + "/",
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
