// Package change decides what must change in the catalog so that a set of flushed
// files can be queried: the database, the tables, their columns, the partitions.
// It only ever adds: a column, comment, parameter or partition location that it
// did not write stays as it is, so that a plan may be made and performed any
// number of times. It reads and writes nothing itself, internal/follow does, and
// whether a notification may pass at all is the gate's to say (pkg/flush).
// Floor 2, PURE; owned by the catalog service.
package change

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"weir/pkg/lake"
	"weir/pkg/promote"
)

// What the service writes beside the columns; "weir." marks a parameter as its own.
const (
	ParamOwner         = "weir.owner"
	ParamSchemaHash    = "weir.schema_hash"
	ParamSchemaVersion = "weir.schema_version"  // counts from 1, one for each change of the columns by weir
	ParamColumns       = "weir.columns_version" // of the registry all of whose columns the table has
	ParamPath          = "weir.path"            // of a promoted column: the keys that lead to its values
	Owner              = "weir-catalog"
)

// Column is a column as Glue names it.
type Column struct {
	Name string // lower case
	Type string // bigint, map<string,string>, …
	Path string // of a promoted column, for people; "" in other columns
}

// Spec is everything that a table is created with.
type Spec struct {
	Name            string
	Location        string // s3://…/eventlogs/, with the slash
	InputFormat     string
	OutputFormat    string
	SerDe           string
	SerDeParameters map[string]string
	Parameters      map[string]string
	Columns         []Column
	PartitionKeys   []Column // all of type string: engines prune strings in the catalog
}

// Lake is the set of tables that this catalog keeps, by name.
type Lake struct {
	Location lake.Location
	Tables   map[string]lake.Table
	Promoted promote.Registry // what eventlogs has beside its own columns
}

// NewLake is a lake with these tables.
func NewLake(loc lake.Location, tables ...lake.Table) Lake {
	l := Lake{Location: loc, Tables: make(map[string]lake.Table, len(tables))}
	for _, t := range tables {
		l.Tables[t.Name] = t
	}
	return l
}

// PartitionKeys are the keys of the tables that sinks write, in the order of the path.
func PartitionKeys() []Column { return keyColumns(lake.PartitionKeys()) }

func keyColumns(names []string) []Column {
	var keys []Column
	for _, name := range names {
		keys = append(keys, Column{Name: name, Type: "string"})
	}
	return keys
}

// FilesSpec says how the table of a database's ledger is created.
func (l Lake) FilesSpec(database string) Spec {
	s := l.SpecOf(lake.Files(database))
	s.PartitionKeys = keyColumns(lake.FilesKeys())
	return s
}

// FilesPartition says how a day of it is registered.
func (l Lake) FilesPartition(database string, day lake.Day, place int64) Partition {
	return Partition{
		Lake:     lake.Partition{Table: lake.FilesName, Day: day},
		Values:   []string{day.String()},
		Location: l.Location.URL(lake.FilesDir(database, day, place)) + "/",
	}
}

// SpecOf says how a table of the lake is created.
func (l Lake) SpecOf(t lake.Table) Spec {
	s := Spec{
		Name:          t.Name,
		Location:      l.Location.URL(t.Dir) + "/",
		Columns:       columns(t.Schema),
		PartitionKeys: keyColumns(t.Keys()),
		Parameters: map[string]string{
			"EXTERNAL":                    "TRUE",
			"typeOfData":                  "file",
			"partition_filtering.enabled": "true",
			ParamOwner:                    Owner,
			ParamSchemaVersion:            "1",
		},
	}
	if t.Name == lake.EventLogsName {
		for _, c := range l.Promoted.Listed() {
			s.Columns = append(s.Columns, Column{Name: c.Name, Type: c.Type.Glue(), Path: c.Path})
		}
	}
	if s.Columns[len(s.Columns)-1].Path != "" {
		s.Parameters[ParamColumns] = strconv.FormatInt(l.Promoted.Version, 10)
	}
	s.Parameters[ParamSchemaHash] = SchemaHash(s.Columns)
	if t.Format == lake.Parquet {
		s.parquet()
	} else {
		s.json()
	}
	return s
}

func (s *Spec) parquet() {
	s.InputFormat = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
	s.OutputFormat = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
	s.SerDe = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
	s.SerDeParameters = map[string]string{"serialization.format": "1"}
	s.Parameters["classification"] = "parquet"
	s.Parameters["compressionType"] = "zstd"
}

// json names OpenX's SerDe: the one of Hive itself silently misreads nested
// objects in a map<string,string>.
func (s *Spec) json() {
	s.InputFormat = "org.apache.hadoop.mapred.TextInputFormat"
	s.OutputFormat = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
	s.SerDe = "org.openx.data.jsonserde.JsonSerDe"
	s.SerDeParameters = map[string]string{
		"serialization.format":  "1",
		"case.insensitive":      "TRUE", // messageId in the event is messageid in the table
		"ignore.malformed.json": "FALSE",
	}
	s.Parameters["classification"] = "json"
}

func columns(schema lake.Schema) []Column {
	cols := make([]Column, len(schema))
	for i, c := range schema {
		cols[i] = Column{Name: c.Name, Type: c.Type.Glue()}
	}
	return cols
}

// SchemaHash identifies a list of columns, their order included.
func SchemaHash(cols []Column) string {
	h := sha256.New()
	for _, c := range cols {
		h.Write([]byte(c.Name + "\x00" + c.Type + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// ColumnsVersion is the version of the registry of which the table is known to have all columns; 0 = nobody knows.
func ColumnsVersion(parameters map[string]string) int64 {
	n, err := strconv.ParseInt(parameters[ParamColumns], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// nextVersion is the version after one that may have been edited by hand.
func nextVersion(held string) string {
	n, err := strconv.ParseUint(held, 10, 32)
	if err != nil {
		return "1"
	}
	return strconv.FormatUint(n+1, 10)
}

// Specs are the specs of all tables, by name.
func (l Lake) Specs() []Spec {
	var specs []Spec
	for _, name := range sortedKeys(l.Tables) {
		specs = append(specs, l.SpecOf(l.Tables[name]))
	}
	return specs
}
