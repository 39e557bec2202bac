package lake

import (
	"fmt"
	"strconv"
	"strings"
)

// ObjectKey is the key of the nth file, from 0, that a flush makes for a partition; relative to the lake.
func ObjectKey(t Table, p Partition, flushID string, n int) string {
	return p.Dir(t) + "/" + flushID + "-" + strconv.Itoa(n) + t.Ext
}

// ParseObjectKey is the inverse of ObjectKey: it takes what ObjectKey makes and nothing else.
func ParseObjectKey(t Table, key string) (p Partition, flushID string, n int, err error) {
	bad := func() (Partition, string, int, error) {
		return Partition{}, "", 0, fmt.Errorf("parse object key %q: not of table %s", key, t.Name)
	}
	p, name, ok := parseDir(t, key)
	dash := strings.LastIndexByte(name, '-')
	if !ok || dash < 1 {
		return bad()
	}
	if n, err = strconv.Atoi(name[dash+1:]); err != nil || n < 0 {
		return bad()
	}
	if flushID = name[:dash]; ObjectKey(t, p, flushID, n) != key {
		return bad()
	}
	return p, flushID, n, nil
}

// parseDir takes a key of a table apart: its partition, and its name without the table's extension.
func parseDir(t Table, key string) (p Partition, name string, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != t.Dir {
		return Partition{}, "", false
	}
	source, isSource := strings.CutPrefix(parts[1], "sourceid=")
	day, isDay := strings.CutPrefix(parts[2], t.dayKey()+"=")
	name, isFile := strings.CutSuffix(parts[3], t.Ext)
	if !isSource || !isDay || !isFile {
		return Partition{}, "", false
	}
	p.Table = t.Name
	var err error
	if p.SourceID, err = UnescapePathName(source); err != nil {
		return Partition{}, "", false
	}
	p.Day, err = ParseDay(day)
	return p, name, err == nil
}

// ValidSourceID tells whether b may name a source: [A-Za-z0-9._-]{1,128}, but neither "." nor "..", which are no
// names in a path.
func ValidSourceID(b []byte) bool {
	if len(b) == 0 || len(b) > 128 || string(b) == "." || string(b) == ".." {
		return false
	}
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
