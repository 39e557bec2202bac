package gluedb

import (
	"encoding/json"
	"slices"
	"strings"
)

// state is the catalog in memory. Every change to it, live or read from the
// journal, goes through apply.
type state struct {
	databases map[string]*database
	entities  int // databases, tables, archived versions, partitions, indexes
}

type database struct {
	doc     json.RawMessage // the DatabaseInput
	created float64
	tables  map[string]*table
}

type table struct {
	tableVersion
	created    float64
	archived   []tableVersion // oldest first
	partitions map[string]*partition
	order      []string // keys of partitions, sorted
	indexes    []index
}

type tableVersion struct {
	version int
	doc     json.RawMessage // the TableInput
	keys    []key           // of doc: what every partition call needs
	updated float64
}

// key is a partition key.
type key struct{ Name, Type string }

type partition struct {
	values  []string
	doc     json.RawMessage // the PartitionInput
	created float64
}

type index struct {
	IndexName string
	Keys      []string
}

func newState() *state { return &state{databases: map[string]*database{}} }

// change is one line's worth of news. Which fields count depends on Op.
type change struct {
	Op       changeOp
	Database string
	Table    string          `json:",omitempty"`
	Values   []string        `json:",omitempty"`
	Doc      json.RawMessage `json:",omitempty"`
	Created  float64         `json:",omitempty"`
	Updated  float64         `json:",omitempty"` // of a table's version
	Version  int             `json:",omitempty"`
	Archive  bool            `json:",omitempty"` // keep the version that this one replaces
	Index    *index          `json:",omitempty"`
}

type changeOp string

const (
	putDatabase   changeOp = "put database"
	dropDatabase  changeOp = "drop database"
	addTable      changeOp = "add table"
	setTable      changeOp = "set table" // the next version
	dropTable     changeOp = "drop table"
	dropVersion   changeOp = "drop version"
	putPartition  changeOp = "put partition"
	dropPartition changeOp = "drop partition"
	putIndex      changeOp = "put index"
	dropIndex     changeOp = "drop index"
)

// apply performs a change that was checked when it was made.
func (s *state) apply(c change) {
	switch c.Op {
	case putDatabase:
		s.putDatabase(c)
	case dropDatabase:
		for name := range s.databases[c.Database].tables {
			s.dropTable(c.Database, name)
		}
		delete(s.databases, c.Database)
		s.entities--
	case addTable:
		s.databases[c.Database].tables[c.Table] = &table{
			tableVersion: versionOf(c), created: c.Created, partitions: map[string]*partition{},
		}
		s.entities++
	case dropTable:
		s.dropTable(c.Database, c.Table)
	default:
		s.databases[c.Database].tables[c.Table].apply(s, c)
	}
}

func (s *state) putDatabase(c change) {
	if d, ok := s.databases[c.Database]; ok {
		d.doc = c.Doc
		return
	}
	s.databases[c.Database] = &database{doc: c.Doc, created: c.Created, tables: map[string]*table{}}
	s.entities++
}

func (s *state) dropTable(db, name string) {
	t := s.databases[db].tables[name]
	s.entities -= 1 + len(t.archived) + len(t.partitions) + len(t.indexes)
	delete(s.databases[db].tables, name)
}

func (t *table) apply(s *state, c change) {
	switch c.Op {
	case setTable:
		if c.Archive {
			t.archived = append(t.archived, t.tableVersion)
			s.entities++
		}
		t.tableVersion = versionOf(c)
	case dropVersion:
		t.archived = slices.DeleteFunc(t.archived, func(v tableVersion) bool { return v.version == c.Version })
		s.entities--
	case putPartition:
		t.putPartition(s, c)
	case dropPartition:
		k := partitionKey(c.Values)
		at, _ := slices.BinarySearch(t.order, k)
		t.order = slices.Delete(t.order, at, at+1)
		delete(t.partitions, k)
		s.entities--
	case putIndex:
		t.indexes = append(t.indexes, *c.Index)
		s.entities++
	case dropIndex:
		t.indexes = slices.DeleteFunc(t.indexes, func(i index) bool { return i.IndexName == c.Index.IndexName })
		s.entities--
	}
}

func (t *table) putPartition(s *state, c change) {
	k := partitionKey(c.Values)
	if p, ok := t.partitions[k]; ok {
		p.doc = c.Doc
		return
	}
	at, _ := slices.BinarySearch(t.order, k)
	t.order = slices.Insert(t.order, at, k)
	t.partitions[k] = &partition{values: c.Values, doc: c.Doc, created: c.Created}
	s.entities++
}

func versionOf(c change) tableVersion {
	var in struct{ PartitionKeys []key }
	_ = json.Unmarshal(c.Doc, &in) // it was checked when it came in
	return tableVersion{version: c.Version, doc: c.Doc, keys: in.PartitionKeys, updated: c.Updated}
}

// partitionKey orders like the tuple of values: none of them holds a NUL.
func partitionKey(values []string) string { return strings.Join(values, "\x00") }

// changes is the state as the shortest journal that leads to it.
func (s *state) changes(yield func(change) bool) {
	for name, d := range s.databases {
		if !yield(change{Op: putDatabase, Database: name, Doc: d.doc, Created: d.created}) {
			return
		}
		for tableName, t := range d.tables {
			for c := range t.changes(name, tableName) {
				if !yield(c) {
					return
				}
			}
		}
	}
}

func (t *table) changes(db, name string) func(func(change) bool) {
	return func(yield func(change) bool) {
		versions := append(slices.Clone(t.archived), t.tableVersion)
		for n, v := range versions {
			c := change{Op: setTable, Database: db, Table: name, Doc: v.doc, Updated: v.updated, Version: v.version, Archive: true}
			if n == 0 {
				c.Op, c.Created, c.Archive = addTable, t.created, false
			}
			if !yield(c) {
				return
			}
		}
		for _, i := range t.indexes {
			if !yield(change{Op: putIndex, Database: db, Table: name, Index: &i}) {
				return
			}
		}
		for _, k := range t.order {
			p := t.partitions[k]
			if !yield(change{Op: putPartition, Database: db, Table: name, Values: p.values, Doc: p.doc, Created: p.created}) {
				return
			}
		}
	}
}
