package gluedb

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
)

type tableRequest struct {
	DatabaseName     string
	Name             string // of GetTable, DeleteTable
	TableInput       doc
	PartitionIndexes []index
	VersionId        *string
	SkipArchive      bool

	OpenTableFormatInput, UpdateOpenTableFormatInput json.RawMessage
}

type tableAnswer struct{ Table json.RawMessage }

func (db *DB) createTable(in tableRequest) (empty, error) {
	if len(in.OpenTableFormatInput) > 0 {
		return empty{}, fail(invalidInput, "the embedded Glue writes no Iceberg metadata")
	}
	n, keys, err := checkTable(in.TableInput)
	if err != nil {
		return empty{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, d, err := db.database(in.DatabaseName)
	if err != nil {
		return empty{}, err
	}
	if d.tables[n] != nil {
		return empty{}, fail(alreadyExists, "Table already exists: %s.%s", dbName, n)
	}
	in.TableInput.set("Name", n)
	now := epoch(db.now())
	changes := []change{{Op: addTable, Database: dbName, Table: n, Doc: in.TableInput.stored(), Created: now, Updated: now}}
	var indexes []index
	for _, i := range in.PartitionIndexes {
		if err := checkIndex(i, indexes, keys); err != nil {
			return empty{}, err
		}
		indexes = append(indexes, i)
		changes = append(changes, change{Op: putIndex, Database: dbName, Table: n, Index: &i})
	}
	return empty{}, db.commit(changes...)
}

func (db *DB) getTable(in tableRequest) (tableAnswer, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, _, t, err := db.table(in.DatabaseName, in.Name)
	if err != nil {
		return tableAnswer{}, err
	}
	out, err := t.answer(dbName, t.tableVersion)
	return tableAnswer{out}, err
}

type tablesRequest struct {
	page
	DatabaseName string
	Expression   string // Glue takes a regular expression of few signs: `*` is all that is used
}

type tableList struct {
	TableList []json.RawMessage
	NextToken string `json:",omitempty"`
}

func (db *DB) getTables(in tablesRequest) (tableList, error) {
	if _, err := path.Match(in.Expression, ""); err != nil {
		return tableList{}, fail(invalidInput, "expression %q: %v", in.Expression, err)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, d, err := db.database(in.DatabaseName)
	if err != nil {
		return tableList{}, err
	}
	var out tableList
	out.NextToken, err = in.walk(slices.Sorted(maps.Keys(d.tables)), defaultPage, func(n string) (bool, error) {
		if ok, _ := path.Match(in.Expression, n); in.Expression != "" && !ok {
			return false, nil
		}
		t, err := d.tables[n].answer(dbName, d.tables[n].tableVersion)
		out.TableList = append(out.TableList, t)
		return true, err
	})
	return out, err
}

// updateTable replaces the whole of the table's input, under the version that
// the caller read, if it says so.
func (db *DB) updateTable(in tableRequest) (empty, error) {
	if len(in.UpdateOpenTableFormatInput) > 0 {
		return empty{}, fail(invalidInput, "the embedded Glue writes no Iceberg metadata")
	}
	n, keys, err := checkTable(in.TableInput)
	if err != nil {
		return empty{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, _, t, err := db.table(in.DatabaseName, n)
	if err != nil {
		return empty{}, err
	}
	if in.VersionId != nil && *in.VersionId != strconv.Itoa(t.version) {
		return empty{}, fail(concurrent, "Update table failed due to concurrent modifications.")
	}
	if len(t.partitions) > 0 && !slices.Equal(keyNames(keys), keyNames(t.keys)) {
		return empty{}, fail(invalidInput, "the partition keys of %s.%s cannot change: it has partitions", dbName, n)
	}
	in.TableInput.set("Name", n)
	return empty{}, db.commit(change{
		Op: setTable, Database: dbName, Table: n, Doc: in.TableInput.stored(), Updated: epoch(db.now()),
		Version: t.version + 1, Archive: !in.SkipArchive,
	})
}

func keyNames(keys []key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return names
}

func (db *DB) deleteTable(in tableRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, n, _, err := db.table(in.DatabaseName, in.Name)
	if err != nil {
		return empty{}, err
	}
	return empty{}, db.commit(change{Op: dropTable, Database: dbName, Table: n})
}

// table finds one by whatever case its names were given in.
func (db *DB) table(database, given string) (dbName, n string, t *table, err error) {
	dbName, d, err := db.database(database)
	if err != nil {
		return "", "", nil, err
	}
	if n, err = name("table", given); err != nil {
		return "", "", nil, err
	}
	if t = d.tables[n]; t == nil {
		return "", "", nil, fail(notFound, "Table %s.%s not found.", dbName, n)
	}
	return dbName, n, t, nil
}

func (t *table) answer(dbName string, v tableVersion) (json.RawMessage, error) {
	more := doc{}
	more.set("CatalogId", catalogID)
	more.set("DatabaseName", dbName)
	more.set("CreateTime", t.created)
	more.set("UpdateTime", v.updated)
	more.set("VersionId", strconv.Itoa(v.version))
	return with(v.doc, more)
}

type versionRequest struct {
	page
	DatabaseName string
	TableName    string
	VersionId    string
	VersionIds   []string
}

type tableVersionAnswer struct {
	Table     json.RawMessage
	VersionId string
}

func (db *DB) getTableVersion(in versionRequest) (struct{ TableVersion tableVersionAnswer }, error) {
	var out struct{ TableVersion tableVersionAnswer }
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return out, err
	}
	for _, v := range append(slices.Clone(t.archived), t.tableVersion) {
		if in.VersionId == "" && v.version == t.version || strconv.Itoa(v.version) == in.VersionId {
			out.TableVersion.VersionId = strconv.Itoa(v.version)
			out.TableVersion.Table, err = t.answer(dbName, v)
			return out, err
		}
	}
	return out, fail(notFound, "Table %s.%s has no version %s.", dbName, n, in.VersionId)
}

type versionList struct {
	TableVersions []tableVersionAnswer
	NextToken     string `json:",omitempty"`
}

// getTableVersions lists the newest first.
func (db *DB) getTableVersions(in versionRequest) (versionList, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, _, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return versionList{}, err
	}
	byKey := map[string]tableVersion{}
	for _, v := range append(slices.Clone(t.archived), t.tableVersion) {
		byKey[fmt.Sprintf("%010d", t.version-v.version)] = v
	}
	var out versionList
	out.NextToken, err = in.walk(slices.Sorted(maps.Keys(byKey)), defaultPage, func(k string) (bool, error) {
		doc, err := t.answer(dbName, byKey[k])
		out.TableVersions = append(out.TableVersions, tableVersionAnswer{doc, strconv.Itoa(byKey[k].version)})
		return true, err
	})
	return out, err
}

func (db *DB) deleteTableVersion(in versionRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	return empty{}, db.dropVersion(in.DatabaseName, in.TableName, in.VersionId)
}

type versionError struct {
	TableName, VersionId string
	ErrorDetail          errorDetail
}

func (db *DB) batchDeleteTableVersion(in versionRequest) (struct{ Errors []versionError }, error) {
	var out struct{ Errors []versionError }
	if err := atMost(len(in.VersionIds), maxBatch); err != nil {
		return out, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, v := range in.VersionIds {
		if err := db.dropVersion(in.DatabaseName, in.TableName, v); err != nil {
			out.Errors = append(out.Errors, versionError{in.TableName, v, detailOf(err)})
		}
	}
	return out, nil
}

func (db *DB) dropVersion(database, given, version string) error {
	dbName, n, t, err := db.table(database, given)
	if err != nil {
		return err
	}
	for _, v := range t.archived {
		if strconv.Itoa(v.version) == version {
			return db.commit(change{Op: dropVersion, Database: dbName, Table: n, Version: v.version})
		}
	}
	return fail(notFound, "Table %s.%s has no archived version %s.", dbName, n, version)
}
