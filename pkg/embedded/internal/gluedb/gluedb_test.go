package gluedb

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func reopen(t require.TestingT, dir string) *DB {
	db, err := Open(dir)
	require.NoError(t, err)
	db.now = func() time.Time { return time.UnixMilli(1_795_000_000_123) }
	return db
}

// dump is all that a catalog holds, in one order.
func dump(t require.TestingT, db *DB) string {
	var out []any
	add := func(op, input string) map[string]any {
		answer, err := db.Call(op, []byte(input), nil)
		require.NoError(t, err)
		b, err := json.Marshal(answer)
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, json.Unmarshal(b, &m))
		out = append(out, m)
		return m
	}
	databases, _ := add("GetDatabases", `{"MaxResults":1000}`)["DatabaseList"].([]any)
	for _, d := range databases {
		name := d.(map[string]any)["Name"].(string)
		tables, _ := add("GetTables", fmt.Sprintf(`{"DatabaseName":%q,"MaxResults":1000}`, name))["TableList"].([]any)
		for _, tb := range tables {
			in := fmt.Sprintf(`{"DatabaseName":%q,"TableName":%q,"MaxResults":1000}`, name, tb.(map[string]any)["Name"])
			add("GetTableVersions", in)
			add("GetPartitions", in)
			add("GetPartitionIndexes", in)
		}
	}
	b, err := json.Marshal(out)
	require.NoError(t, err)
	return string(b)
}

// randomCall is one change of a small world, so that they meet.
func randomCall(t *rapid.T) (op, input string) {
	db := rapid.SampledFrom([]string{"a", "B"}).Draw(t, "db")
	table := rapid.SampledFrom([]string{"x", "Y"}).Draw(t, "table")
	value := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "value")
	other := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "other")
	owner := rapid.StringMatching(`[a-z<>&"]{0,3}`).Draw(t, "owner")
	ownerJSON, _ := json.Marshal(owner)
	tableInput := fmt.Sprintf(`{"Name":%q,"Owner":%s,"PartitionKeys":[{"Name":"k","Type":"string"}]}`, table, ownerJSON)
	at := fmt.Sprintf(`"DatabaseName":%q,"TableName":%q`, db, table)
	part := fmt.Sprintf(`{"Values":[%q],"Parameters":{"o":%s}}`, value, ownerJSON)
	calls := [][2]string{
		{"CreateDatabase", fmt.Sprintf(`{"DatabaseInput":{"Name":%q}}`, db)},
		{"UpdateDatabase", fmt.Sprintf(`{"Name":%q,"DatabaseInput":{"Name":%q,"Description":%s}}`, db, db, ownerJSON)},
		{"DeleteDatabase", fmt.Sprintf(`{"Name":%q}`, db)},
		{"CreateTable", fmt.Sprintf(`{"DatabaseName":%q,"TableInput":%s,"PartitionIndexes":[{"IndexName":"i","Keys":["k"]}]}`, db, tableInput)},
		{"UpdateTable", fmt.Sprintf(`{"DatabaseName":%q,"TableInput":%s}`, db, tableInput)},
		{"UpdateTable", fmt.Sprintf(`{"DatabaseName":%q,"TableInput":%s,"SkipArchive":true}`, db, tableInput)},
		{"DeleteTable", fmt.Sprintf(`{"DatabaseName":%q,"Name":%q}`, db, table)},
		{"DeleteTableVersion", fmt.Sprintf(`{%s,"VersionId":%q}`, at, value)},
		{"CreatePartition", fmt.Sprintf(`{%s,"PartitionInput":%s}`, at, part)},
		{"BatchCreatePartition", fmt.Sprintf(`{%s,"PartitionInputList":[%s,{"Values":[%q]}]}`, at, part, other)},
		{"UpdatePartition", fmt.Sprintf(`{%s,"PartitionValueList":[%q],"PartitionInput":%s}`, at, other, part)},
		{"BatchUpdatePartition", fmt.Sprintf(`{%s,"Entries":[{"PartitionValueList":[%q],"PartitionInput":%s}]}`, at, value, part)},
		{"BatchDeletePartition", fmt.Sprintf(`{%s,"PartitionsToDelete":[{"Values":[%q]},{"Values":[%q]}]}`, at, value, other)},
		{"CreatePartitionIndex", fmt.Sprintf(`{%s,"PartitionIndex":{"IndexName":%q,"Keys":["k"]}}`, at, value)},
		{"DeletePartitionIndex", fmt.Sprintf(`{%s,"IndexName":%q}`, at, other)},
	}
	// The first of the list are what the others need: they come more often.
	n := rapid.OneOf(rapid.IntRange(0, len(calls)-1), rapid.SampledFrom([]int{0, 3, 8, 9})).Draw(t, "call")
	return calls[n][0], calls[n][1]
}

// Whatever is done, the journal leads to the same catalog, and so does its
// short form.
func TestAReopenedCatalogIsTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "db")
		require.NoError(rt, err)
		db := reopen(rt, dir)
		for range rapid.IntRange(1, 40).Draw(rt, "calls") {
			op, input := randomCall(rt)
			_, _ = db.Call(op, []byte(input), nil) // most are refused by what is there
		}
		want, entities := dump(rt, db), db.state.entities
		require.NoError(rt, db.Close())

		db = reopen(rt, dir)
		require.Equal(rt, want, dump(rt, db))
		require.Equal(rt, entities, db.state.entities)
		require.NoError(rt, db.journal.rewrite(db.state))
		require.Equal(rt, db.journal.changes, entities, "the short form is not short")
		require.NoError(rt, db.Close())

		db = reopen(rt, dir)
		require.Equal(rt, want, dump(rt, db))
		require.Equal(rt, entities, db.state.entities)
		require.NoError(rt, db.Close())
	})
}

func call(t *testing.T, db *DB, op, input string) {
	t.Helper()
	_, err := db.Call(op, []byte(input), nil)
	require.NoError(t, err)
}

// filled is a closed catalog of one table with two partitions.
func filled(t *testing.T) (path, want string) {
	t.Helper()
	dir := t.TempDir()
	db := reopen(t, dir)
	call(t, db, "CreateDatabase", `{"DatabaseInput":{"Name":"a"}}`)
	call(t, db, "CreateTable", `{"DatabaseName":"a","TableInput":{"Name":"x","PartitionKeys":[{"Name":"k","Type":"string"}]}}`)
	call(t, db, "CreatePartition", `{"DatabaseName":"a","TableName":"x","PartitionInput":{"Values":["1"]}}`)
	want = dump(t, db)
	require.NoError(t, db.Close())
	return filepath.Join(dir, "catalog.log"), want
}

// A process may die anywhere in a line that it writes.
func TestATornLineIsCutOff(t *testing.T) {
	path, want := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	line, err := encodeLine([]change{{Op: dropTable, Database: "a", Table: "x"}})
	require.NoError(t, err)
	for n := range len(line) {
		require.NoError(t, os.WriteFile(path, append(append([]byte{}, whole...), line[:n]...), 0o644))
		db := reopen(t, filepath.Dir(path))
		require.Equal(t, want, dump(t, db))
		call(t, db, "CreatePartition", `{"DatabaseName":"a","TableName":"x","PartitionInput":{"Values":["2"]}}`)
		require.NoError(t, db.Close())
		db = reopen(t, filepath.Dir(path))
		call(t, db, "GetPartition", `{"DatabaseName":"a","TableName":"x","PartitionValues":["2"]}`)
		require.NoError(t, db.Close())
	}
}

func TestOtherDamageIsNoticed(t *testing.T) {
	path, _ := filled(t)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	whole[20] ^= 1
	require.NoError(t, os.WriteFile(path, whole, 0o644))
	_, err = Open(filepath.Dir(path))
	require.ErrorContains(t, err, "at byte 0: checksum does not match")
}

func TestTheJournalIsRewrittenWhenItIsHistory(t *testing.T) {
	path, _ := filled(t)
	db := reopen(t, filepath.Dir(path))
	for n := range 1200 {
		call(t, db, "UpdateTable", fmt.Sprintf(`{"DatabaseName":"a","SkipArchive":true,"TableInput":{"Name":"x","Retention":%d,"PartitionKeys":[{"Name":"k","Type":"string"}]}}`, n))
		require.LessOrEqual(t, db.journal.changes, 1010)
	}
	want := dump(t, db)
	require.Contains(t, want, `"Retention":1199`)
	require.Contains(t, want, `"VersionId":"1200"`)
	require.NoError(t, db.Close())
	db = reopen(t, filepath.Dir(path))
	require.Equal(t, want, dump(t, db))
	require.NoError(t, db.Close())
}

// A journal that cannot be written answers nothing but errors, and the catalog
// does not run ahead of it.
func TestABrokenJournalStopsChanges(t *testing.T) {
	path, want := filled(t)
	db := reopen(t, filepath.Dir(path))
	require.NoError(t, db.journal.file.Close())
	for range 2 {
		_, err := db.Call("CreatePartition", []byte(`{"DatabaseName":"a","TableName":"x","PartitionInput":{"Values":["2"]}}`), nil)
		require.ErrorContains(t, err, "InternalServiceException")
	}
	require.Equal(t, want, dump(t, db))
}
