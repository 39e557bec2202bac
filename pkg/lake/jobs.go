package lake

import (
	"strconv"
	"strings"
)

// What the jobs of deploy/emr put into the lake, beside what sinks write.

// MessagesByTypeDaily and MessagesByTypeWeekly count eventlogs by source, type and event. The week begins with its Monday.
func MessagesByTypeDaily() Table { return messagesByType("messages_by_type_daily", "") }

// MessagesByTypeWeekly is the same by week.
func MessagesByTypeWeekly() Table { return messagesByType("messages_by_type_weekly", "week_start_ds") }

func messagesByType(name, dayKey string) Table {
	return Table{Name: name, Dir: name, Format: Parquet, Ext: ".parquet", DayKey: dayKey, Schema: Schema{
		{Name: "type", Type: String, FieldID: 1},
		{Name: "event", Type: String, FieldID: 2},
		{Name: "messages", Type: BigInt, FieldID: 3},
	}}
}

// The words with which the names of the jobs' objects begin.
const (
	historyMark = "history"
	rollupMark  = "rollup"
)

// ParseJobKey tells of which partition an object of a table is that a job of deploy/emr made: its name is
// <mark>-<16 hexadecimal digits>-<i>of<n>, of eventlogs the mark of history, of other tables that of a rollup. No sink
// names an object so.
func ParseJobKey(t Table, key string) (Partition, bool) {
	p, name, ok := parseDir(t, key)
	if !ok {
		return Partition{}, false
	}
	mark := rollupMark
	if t.Name == EventLogsName {
		mark = historyMark
	}
	parts := strings.Split(name, "-")
	if len(parts) != 3 || parts[0] != mark || len(parts[1]) != 16 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return Partition{}, false
	}
	i, n, _ := strings.Cut(parts[2], "of")
	return p, count(i) > 0 && count(i) <= count(n)
}

// count reads a number as jobs write it; 0 is none.
func count(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s {
		return 0
	}
	return n
}

// Hidden tells whether engines pass over an object of the lake: a part of its key begins with _ or a dot, or it is no
// object but the mark of a folder, as Hadoop's file systems leave them.
func Hidden(key string) bool {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '_' || part[0] == '.' {
			return true
		}
	}
	return strings.HasSuffix(key, "_$folder$")
}

// JobFileKey is the key of a file that a job runs from: version is that of all the jobs' files together.
func JobFileKey(version, name string) string { return stateDir + "jobs/" + version + "/" + name }
