package lake

import (
	"fmt"
	"strings"
)

// FilesName is the table of the catalog's ledger: a row for each published file. Each database has its own, because each
// has a gate of its own.
const FilesName = "weir_files"

// Files is the table of a database's ledger. Unlike the others it is partitioned by FilesKeys: dt alone, the day of the
// file that a row tells of, so that it prunes and joins as the tables of events do.
func Files(database string) Table {
	return Table{Name: FilesName, Dir: FilesName + "/" + EscapePathName(database), Format: Parquet, Ext: ".parquet", Schema: filesColumns()}
}

// FilesKeys are the partition columns of the table of files, all strings.
func FilesKeys() []string { return []string{"dt"} }

func filesColumns() Schema {
	columns := Schema{
		{Name: "table_name", Type: String},
		{Name: "sourceid", Type: String},
		{Name: "key", Type: String}, // of the object, relative to the lake
		{Name: "rows", Type: BigInt},
		{Name: "bytes", Type: BigInt},
		{Name: "column_bytes", Type: MapStringBigInt}, // compressed; NULL where they are not known, or there are no columns
		{Name: "topic", Type: String},
		{Name: "topicid", Type: String},
		{Name: "partition", Type: Int},
		{Name: "seq", Type: BigInt}, // of the flush
		{Name: "first_offset", Type: BigInt},
		{Name: "last_offset", Type: BigInt},
		{Name: "min_time", Type: Timestamp}, // receivedat of its rows
		{Name: "max_time", Type: Timestamp},
		{Name: "flushed_at", Type: Timestamp},
		{Name: "visible_at", Type: Timestamp}, // NULL where nobody saw it
	}
	for i := range columns {
		columns[i].FieldID = int32(i) + 1
	}
	return columns
}

// FilesDir is the directory of one day of a database's table of files, without a slash at its end. place is the number of
// the batch that merged the day's objects, 0 where none has yet. Merged days stand apart, because engines may read a
// day's first directory while its successor is written.
func FilesDir(database string, day Day, place int64) string {
	if place == 0 {
		return Files(database).Dir + "/dt=" + day.String()
	}
	return fmt.Sprintf("%s_merged/%s/dt=%s/%020d", FilesName, EscapePathName(database), day, place)
}

// FilesKey is the key of the nth object, from 0, that the ledger's batch of that number makes for a day. Keys of a
// directory sort by number.
func FilesKey(database string, day Day, place, number int64, n int) string {
	return fmt.Sprintf("%s/%020d-%d%s", FilesDir(database, day, place), number, n, Files(database).Ext)
}

// LedgerKey is the key of the ledger's memory of a catalog database.
func LedgerKey(database string) string {
	return CatalogDir() + EscapePathName(database) + "/ledger.json"
}

// ViewsKey is the key of what the catalog of a database knows of events' properties, and of the views that came of it.
func ViewsKey(database string) string {
	return CatalogDir() + EscapePathName(database) + "/views.json.zst"
}

// SumsDir is the directory of the sums of a database's ledger, with a slash at its end.
func SumsDir(database string) string { return CatalogDir() + EscapePathName(database) + "/sums/" }

// sumsExt is the ending of the sums of a day.
const sumsExt = ".json.zst"

// SumsKey is the key of the sums of one day. Keys sort by day, up to the year 9999.
func SumsKey(database string, day Day) string { return SumsDir(database) + day.String() + sumsExt }

// ParseSumsKey is the inverse of SumsKey.
func ParseSumsKey(database, key string) (Day, error) {
	name, ok := strings.CutPrefix(key, SumsDir(database))
	text, isSums := strings.CutSuffix(name, sumsExt)
	day, err := ParseDay(text)
	if !ok || !isSums || err != nil || SumsKey(database, day) != key {
		return 0, fmt.Errorf("parse sums key %q: not of database %s", key, database)
	}
	return day, nil
}
