//go:build duckdb

package verify

import (
	"bytes"
	"compress/gzip"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/services/verify/internal/account"
)

// lines of a raw file, as it is and changed.
func (r *rig) lines(offsets *flush.Offsets, change func(lines []string) []string) []byte {
	plain, err := decompress("x.zst", bytes.NewReader(r.raw(offsets)))
	require.NoError(r.t, err)
	var text bytes.Buffer
	_, err = text.ReadFrom(plain)
	require.NoError(r.t, err)
	lines := change(strings.SplitAfter(strings.TrimSuffix(text.String(), "\n")+"\n", "\n"))
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	require.NoError(r.t, err)
	_, err = z.Write([]byte(strings.Join(lines, "")))
	require.NoError(r.t, err)
	require.NoError(r.t, z.Close())
	return out.Bytes()
}

func offsetsOf(list ...int64) *flush.Offsets { return flush.NewOffsets(list...) }

func TestRows(t *testing.T) {
	const size = "wrong-size eventlogs 0,2,4,6"
	const rawSize = "wrong-size eventlogs_raw 0,2,4,6"
	whole := offsetsOf(0, 2, 4, 6)
	for _, c := range []struct {
		name  string
		bend  func(r *rig)
		found []string
		noted []string
	}{
		{name: "as it should be", bend: func(*rig) {}},
		{
			name:  "a row is missing",
			bend:  func(r *rig) { r.put(r.key(0, 0), r.parquet(offsetsOf(0, 2, 6))) },
			found: []string{size, "wrong-rows eventlogs 4"},
		},
		{
			name:  "a row too many",
			bend:  func(r *rig) { r.put(r.key(0, 0), r.parquet(offsetsOf(0, 2, 3, 4, 6))) },
			found: []string{size, "wrong-rows eventlogs 3"},
		},
		{
			name: "a row twice",
			bend: func(r *rig) {
				r.records[3] = r.records[4]
				r.put(r.key(0, 0), r.parquet(offsetsOf(0, 2, 3, 4, 6)))
			},
			found: []string{size, "wrong-rows eventlogs 4"},
		},
		{
			name: "rows of another partition",
			bend: func(r *rig) {
				for _, o := range []int64{0, 2} {
					other := *r.records[o]
					other.Partition = 9
					r.records[o] = &other
				}
				r.put(r.key(0, 0), r.parquet(whole))
			},
			found: []string{size, "wrong-rows eventlogs 0,2", "wrong-rows eventlogs"},
		},
		{
			name:  "no Parquet",
			bend:  func(r *rig) { r.put(r.key(0, 0), []byte("hello")) },
			found: []string{size, "unreadable eventlogs 0,2,4,6"},
		},
		{
			name: "a line with other bytes",
			bend: func(r *rig) {
				r.put(r.key(0, 1), r.lines(whole, func(l []string) []string {
					l[1] = strings.Replace(l[1], "track", "trick", 1)
					return l
				}))
			},
			found: []string{rawSize, "wrong-rows eventlogs_raw 2"},
		},
		{
			name:  "a line missing",
			bend:  func(r *rig) { r.put(r.key(0, 1), r.lines(whole, func(l []string) []string { return l[:3] })) },
			found: []string{rawSize, "wrong-rows eventlogs_raw"},
		},
		{
			name: "a line too many",
			bend: func(r *rig) {
				r.put(r.key(0, 1), r.lines(whole, func(l []string) []string { return append(l[:4:4], l[0]) }))
			},
			found: []string{rawSize, "wrong-rows eventlogs_raw"},
		},
		{
			name: "a file that breaks off",
			bend: func(r *rig) {
				body := r.lines(whole, func(l []string) []string { return l[:4] })
				r.put(r.key(0, 1), body[:len(body)-5])
			},
			found: []string{rawSize, "wrong-rows eventlogs_raw"},
		},
		{
			name: "lines of records that Kafka does not hold",
			bend: func(r *rig) {
				r.records[10] = r.records[8]
				m := r.made[1]
				set := m.Files[1].Offsets.Clone()
				set.Add(10)
				m.Files[1].Offsets, m.Files[1].Rows = set, set.Len()
				body := r.raw(set)
				m.Files[1].Bytes = int64(len(body))
				r.put(m.Files[1].Key, body)
				r.manifest(m)
			},
			found: []string{"lost eventlogs 10", "wrong-rows eventlogs_raw 10"},
		},
		{
			name: "files that were repaired: other bytes, the same rows",
			bend: func(r *rig) {
				r.put(r.key(0, 1), r.lines(whole, func(l []string) []string { return l[:4] }))
				m := r.made[0]
				m.Files[0].Bytes++
				r.manifest(m)
			},
			noted: []string{"repaired eventlogs 0,2,4,6", "repaired eventlogs_raw 0,2,4,6"},
		},
		{
			name: "a flush that is being published is not read yet",
			bend: func(r *rig) {
				r.flush(20, 22, []file{{"a", offsetsOf(20)}, {"b", offsetsOf(21)}}, nil)
				r.put(r.key(2, 0), []byte("half"))
				r.commit(flush.Intent)
			},
			found: []string{"wrong-size eventlogs 20"},
			noted: []string{"in-progress"},
		},
		{name: "an object that is gone is said once", bend: func(r *rig) { r.remove(r.key(0, 0)); r.remove(r.key(0, 1)) }, found: []string{"no-object eventlogs 0,2,4,6", "no-object eventlogs_raw 0,2,4,6"}},
	} {
		t.Run(strings.NewReplacer(" ", "-", ",", "", ":", "").Replace(c.name), func(t *testing.T) {
			r := newRig(t)
			r.cfg.Group += r.cfg.Topic
			r.owner.Group = r.cfg.Group
			r.sink()
			c.bend(r)
			r.cfg.Rows = true
			for _, root := range []string{"", parts.s3.Root()} {
				r.cfg.LocalRoot = root
				report := r.run()
				require.ElementsMatch(t, c.found, kinds(report.Findings), "%+v", report.Findings)
				noted := slices.DeleteFunc(kinds(report.Notes), func(n string) bool { return strings.HasPrefix(n, "no-records 1") })
				require.ElementsMatch(t, c.noted, noted, "%+v", report.Notes)
				if c.name == "as it should be" {
					require.Equal(t, RowsReport{Files: 6, Rows: 15, Lines: 15, Records: 16}, *report.Rows)
				}
			}
		})
	}
}

func TestRowsOlderThanKafka(t *testing.T) {
	r := newRig(t)
	r.cfg.Group += r.cfg.Topic
	r.owner.Group = r.cfg.Group
	r.sink()
	r.retain(7)
	r.cfg.Rows = true
	report := r.run()
	require.Empty(t, report.Findings)
	require.Equal(t, RowsReport{Files: 6, Rows: 15, Lines: 15, Records: 9, Uncompared: 6}, *report.Rows)
}

// Records that an operator had read again stand in two files, and are right in both.
func TestRowsReadAgain(t *testing.T) {
	r := newRig(t)
	r.cfg.Group += r.cfg.Topic
	r.owner.Group = r.cfg.Group
	r.sink()
	r.readAgain(20, 16)
	r.flush(16, 22, []file{{"a", ofSource("a", 16, 21)}, {"b", ofSource("b", 16, 21)}}, nil)
	r.commit(flush.Done)
	r.cfg.Rows = true
	report := r.run()
	for _, f := range report.Findings {
		require.Equal(t, account.Doubled, f.Kind, "%+v", f)
		require.Contains(t, f.Detail, "as expected")
	}
	require.Len(t, report.Findings, 4)
	require.Equal(t, RowsReport{Files: 10, Rows: 21, Lines: 21, Records: 18}, *report.Rows)
}

func TestGzip(t *testing.T) {
	var out bytes.Buffer
	for _, line := range []string{"a\n", "b\n"} { // two members
		z := gzip.NewWriter(&out)
		_, err := z.Write([]byte(line))
		require.NoError(t, err)
		require.NoError(t, z.Close())
	}
	plain, err := decompress("x.jsonl.gz", &out)
	require.NoError(t, err)
	var text bytes.Buffer
	_, err = text.ReadFrom(plain)
	require.NoError(t, err)
	require.Equal(t, "a\nb\n", text.String())
}
