// Package lake holds the words of the lake: its tables with their columns and field ids, its lake partitions, and the
// key of every object that weir keeps in it. Its invariant: what it builds it also parses back to the same parts, and
// takes nothing else, so that a key names one thing wherever it is read. It does no I/O and knows no bucket's content:
// pkg/s3 stores, pkg/flush decides what is stored, and only pkg/s3 puts a Location's prefix before keys. Its values
// are plain and belong to whoever holds them.
package lake

import "cmp"

// Type is the type of a column.
type Type uint8

// The types that weir's tables are made of.
const (
	String          Type = iota // Parquet BYTE_ARRAY STRING
	Timestamp                   // Parquet INT64 TIMESTAMP(MICROS, UTC), whole milliseconds
	MapStringString             // Parquet MAP of STRING to optional STRING
	Int                         // Parquet INT32
	BigInt                      // Parquet INT64
	Double                      // Parquet DOUBLE
	Boolean                     // Parquet BOOLEAN
	Date                        // Parquet INT32 DATE
	MapStringBigInt             // Parquet MAP of STRING to INT64
)

// Glue is the type's name in Glue, Hive and Athena.
func (t Type) Glue() string {
	switch t {
	case Timestamp:
		return "timestamp"
	case MapStringString:
		return "map<string,string>"
	case MapStringBigInt:
		return "map<string,bigint>"
	case Int:
		return "int"
	case BigInt:
		return "bigint"
	case Double:
		return "double"
	case Boolean:
		return "boolean"
	case Date:
		return "date"
	default:
		return "string"
	}
}

// Column is one column of a table. Its ids are unique in the schema, never change and never come back, so that a
// table format that reads columns by id can adopt old files.
type Column struct {
	Name           string
	Type           Type
	FieldID        int32
	KeyID, ValueID int32 // of a map's keys and values; 0 in other columns
}

// ColumnBytes is what one column of one file takes, compressed; of a map its keys and values together.
type ColumnBytes struct {
	Name  string
	Bytes int64
}

// Schema is the columns of a table in their order, without the partition keys.
type Schema []Column

// Format is how the objects of a table are written.
type Format uint8

// Parquet is the format of the table that people query, JSONLines that of the raw copy: one event a line, compressed.
const (
	Parquet Format = iota
	JSONLines
)

// Table is one table of the lake. All but Files are partitioned by their Keys.
type Table struct {
	Name   string // in Glue and in manifests
	Dir    string // its directory in the lake
	Format Format
	Ext    string // of its objects, with the dot; of the raw copy it tells the codec
	DayKey string // the partition column of the day; "" = dt
	Schema Schema
}

// EventLogsName and EventLogsRawName are the tables' names in Glue, manifests and metrics.
const (
	EventLogsName    = "eventlogs"
	EventLogsRawName = "eventlogs_raw"
)

// PartitionKeys are the partition columns of the tables that sinks write, all strings. They do not stand in files.
func PartitionKeys() []string { return []string{"sourceid", "dt"} }

// Keys are the partition columns of the table.
func (t Table) Keys() []string { return []string{"sourceid", t.dayKey()} }

func (t Table) dayKey() string { return cmp.Or(t.DayKey, "dt") }

// EventLogs is the table that people query.
func EventLogs() Table {
	return Table{Name: EventLogsName, Dir: "eventlogs", Format: Parquet, Ext: ".parquet", Schema: eventColumns()}
}

// EventLogsRaw is the raw copy, compressed with codec: zstd or gzip. Its schema is how a SerDe that reads JSON shows
// the same events, without what weir computes of them.
func EventLogsRaw(codec string) Table {
	ext := ".jsonl.zst"
	if codec == "gzip" {
		ext = ".jsonl.gz"
	}
	return Table{Name: EventLogsRawName, Dir: "raw", Format: JSONLines, Ext: ext, Schema: rawColumns()}
}

// eventColumns numbers the columns as Iceberg numbers a new table of them, the partition keys 23 and 24 included:
// first all columns, then what is inside of maps. Promoted columns begin at FirstPromotedID.
func eventColumns() Schema {
	return Schema{
		{Name: "anonymousid", Type: String, FieldID: 1},
		{Name: "messageid", Type: String, FieldID: 2},
		{Name: "type", Type: String, FieldID: 3},
		{Name: "userid", Type: String, FieldID: 4},
		{Name: "event", Type: String, FieldID: 5},
		{Name: "timestamp", Type: Timestamp, FieldID: 6},
		{Name: "originaltimestamp", Type: Timestamp, FieldID: 7},
		{Name: "sentat", Type: Timestamp, FieldID: 8},
		{Name: "receivedat", Type: Timestamp, FieldID: 9},
		{Name: "context", Type: MapStringString, FieldID: 10, KeyID: 25, ValueID: 26},
		{Name: "traits", Type: MapStringString, FieldID: 11, KeyID: 27, ValueID: 28},
		{Name: "properties", Type: MapStringString, FieldID: 12, KeyID: 29, ValueID: 30},
		{Name: "integrations", Type: MapStringString, FieldID: 13, KeyID: 31, ValueID: 32},
		{Name: "name", Type: String, FieldID: 14},
		{Name: "category", Type: String, FieldID: 15},
		{Name: "groupid", Type: String, FieldID: 16},
		{Name: "previousid", Type: String, FieldID: 17},
		{Name: "version", Type: String, FieldID: 18},
		{Name: "rescued", Type: MapStringString, FieldID: 19, KeyID: 33, ValueID: 34},
		{Name: "kafkatopic", Type: String, FieldID: 20},
		{Name: "kafkapartition", Type: Int, FieldID: 21},
		{Name: "kafkaoffset", Type: BigInt, FieldID: 22},
	}
}

// rawColumns leaves out what no line of the raw copy has, and reads instants as the text that stands there: the SerDe
// reads no ISO 8601.
func rawColumns() Schema {
	var raw Schema
	for _, c := range eventColumns() {
		switch c.Name {
		case "rescued", "kafkatopic", "kafkapartition", "kafkaoffset":
			continue
		}
		if c.Type == Timestamp {
			c.Type = String
		}
		raw = append(raw, c)
	}
	return raw
}

// Partition is a lake partition: one directory of one table.
type Partition struct {
	Table    string // Table.Name
	SourceID string
	Day      Day
}

// Dir is the partition's directory in the lake, escaped as Hive does, without a slash at its end.
func (p Partition) Dir(t Table) string {
	return t.Dir + "/sourceid=" + EscapePathName(p.SourceID) + "/" + t.dayKey() + "=" + p.Day.String()
}
