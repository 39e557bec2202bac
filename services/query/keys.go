package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The optimizer moves no condition that can fail, such as cast(dt as date) >= …, from
// above the stand-ins of partitions into them. Over one stand-in for the whole table it
// leaves such a condition at the scan, and its text can be asked of the partitions'
// values: that is done here. A text counts only where DuckDB, given it again, shows
// the very same; any other is left out, and then more is read, not less.

// passing are those of the partitions that some scan of the table can touch, by what
// its conditions say of the partition keys.
func (t table) passing(ctx context.Context, planner *engine, scans []tableScan, partitions []partition) ([]partition, error) {
	if len(t.keys) == 0 || len(partitions) == 0 || len(scans) == 0 {
		return partitions, nil
	}
	if err := planner.exec(ctx, t.valuesSQL(partitions)...); err != nil {
		return nil, err
	}
	pass := make([]bool, len(partitions))
	for _, s := range scans {
		ordinals, err := planner.numbers(ctx, "SELECT n FROM "+valuesTable+where(t.conditions(ctx, planner, s)))
		if err != nil { // a value that the condition fails on: the query itself would say so
			return partitions, nil
		}
		for _, n := range ordinals {
			pass[n] = true
		}
	}
	var kept []partition
	for i, p := range partitions {
		if pass[i] {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

const valuesTable = planSchema + ".key_values"

// valuesSQL makes a table of the partitions' values, numbered.
func (t table) valuesSQL(partitions []partition) []string {
	statements := []string{"CREATE OR REPLACE TABLE " + valuesTable + " (" + declare(append(slices.Clone(t.keys), column{name: "n", typ: "BIGINT"})) + ")"}
	for from := 0; from < len(partitions); from += 1000 {
		var lines []string
		for i, p := range partitions[from:min(from+1000, len(partitions))] {
			line := make([]string, 0, len(p.values)+1)
			for _, v := range p.values {
				line = append(line, literal(v))
			}
			lines = append(lines, "("+strings.Join(append(line, fmt.Sprint(from+i)), ", ")+")")
		}
		statements = append(statements, "INSERT INTO "+valuesTable+" VALUES "+strings.Join(lines, ", "))
	}
	return statements
}

// conditions are those of a scan that speak of partition keys only, and that mean in
// another query what they mean in this one.
func (t table) conditions(ctx context.Context, planner *engine, s tableScan) []string {
	var list []string
	for _, text := range s.filters {
		plan, ok, err := planner.plan(ctx, "SELECT n FROM "+valuesTable+where([]string{text}))
		if err != nil || !ok {
			continue
		}
		var again []string
		if eachScan(plan, func(_ string, s tableScan) { again = append(again, s.filters...) }) == nil && slices.Equal(again, []string{text}) {
			list = append(list, text)
		}
	}
	return list
}

func where(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE (" + strings.Join(conditions, ") AND (") + ")"
}
