package gluedb

import (
	"encoding/json"
	"maps"
	"slices"
)

// empty is the answer of operations that answer nothing.
type empty struct{}

type page struct {
	MaxResults int
	NextToken  string
}

type databaseRequest struct {
	Name          string
	DatabaseInput doc
}

type databaseAnswer struct{ Database json.RawMessage }

func (db *DB) createDatabase(in databaseRequest) (empty, error) {
	n, err := name("database", in.DatabaseInput.text("Name"))
	if err != nil {
		return empty{}, err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.state.databases[n] != nil {
		return empty{}, fail(alreadyExists, "Database already exists: %s", n)
	}
	in.DatabaseInput.set("Name", n)
	return empty{}, db.commit(change{
		Op: putDatabase, Database: n, Doc: in.DatabaseInput.stored(), Created: epoch(db.now()),
	})
}

func (db *DB) getDatabase(in databaseRequest) (databaseAnswer, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	_, d, err := db.database(in.Name)
	if err != nil {
		return databaseAnswer{}, err
	}
	out, err := d.answer()
	return databaseAnswer{out}, err
}

type databaseList struct {
	DatabaseList []json.RawMessage
	NextToken    string `json:",omitempty"`
}

func (db *DB) getDatabases(in page) (databaseList, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	names := slices.Sorted(maps.Keys(db.state.databases))
	var out databaseList
	next, err := in.walk(names, defaultPage, func(n string) (bool, error) {
		d, err := db.state.databases[n].answer()
		out.DatabaseList = append(out.DatabaseList, d)
		return true, err
	})
	out.NextToken = next
	return out, err
}

func (db *DB) updateDatabase(in databaseRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	n, _, err := db.database(in.Name)
	if err != nil {
		return empty{}, err
	}
	if folded, err := name("database", in.DatabaseInput.text("Name")); err != nil || folded != n {
		return empty{}, fail(invalidInput, "the database %s cannot be renamed", n)
	}
	in.DatabaseInput.set("Name", n)
	return empty{}, db.commit(change{Op: putDatabase, Database: n, Doc: in.DatabaseInput.stored()})
}

func (db *DB) deleteDatabase(in databaseRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	n, _, err := db.database(in.Name)
	if err != nil {
		return empty{}, err
	}
	return empty{}, db.commit(change{Op: dropDatabase, Database: n})
}

// database finds one by whatever case its name was given in.
func (db *DB) database(given string) (string, *database, error) {
	n, err := name("database", given)
	if err != nil {
		return "", nil, err
	}
	d := db.state.databases[n]
	if d == nil {
		return "", nil, fail(notFound, "Database %s not found.", n)
	}
	return n, d, nil
}

func (d *database) answer() (json.RawMessage, error) {
	more := doc{}
	more.set("CatalogId", catalogID)
	more.set("CreateTime", d.created)
	return with(d.doc, more)
}
