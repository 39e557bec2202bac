package change

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// DDL is the statements with which somebody makes the table by hand in Athena, and lets it find its partitions. What marks
// a table as weir's own is left out: the catalog would take it for one that it made.
func (s Spec) DDL(database string) string {
	var b strings.Builder
	name := quoted(database) + "." + quoted(s.Name)
	fmt.Fprintf(&b, "CREATE EXTERNAL TABLE IF NOT EXISTS %s (\n%s\n)\n", name, declared(s.Columns, "  ", ",\n"))
	if len(s.PartitionKeys) > 0 {
		fmt.Fprintf(&b, "PARTITIONED BY (%s)\n", declared(s.PartitionKeys, "", ", "))
	}
	fmt.Fprintf(&b, "ROW FORMAT SERDE %s\n", text(s.SerDe))
	if len(s.SerDeParameters) > 0 {
		fmt.Fprintf(&b, "WITH SERDEPROPERTIES (%s)\n", properties(s.SerDeParameters))
	}
	fmt.Fprintf(&b, "STORED AS INPUTFORMAT %s\n  OUTPUTFORMAT %s\nLOCATION %s\n", text(s.InputFormat), text(s.OutputFormat), text(s.Location))
	own := maps.Clone(s.Parameters)
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, "weir.") || key == "EXTERNAL" })
	fmt.Fprintf(&b, "TBLPROPERTIES (%s);\n", properties(own))
	if len(s.PartitionKeys) > 0 {
		fmt.Fprintf(&b, "\nMSCK REPAIR TABLE %s;\n", name)
	}
	return b.String()
}

func declared(columns []Column, before, between string) string {
	lines := make([]string, len(columns))
	for i, c := range columns {
		lines[i] = before + quoted(c.Name) + " " + c.Type
		if c.Path != "" {
			lines[i] += " COMMENT " + text(c.Path)
		}
	}
	return strings.Join(lines, between)
}

func properties(m map[string]string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, text(key)+"="+text(m[key]))
	}
	return strings.Join(list, ", ")
}

// quoted and text write a name and a text as Athena's DDL has them, which is Hive's.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func text(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
