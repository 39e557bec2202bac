// Package gluedb is the catalog behind the embedded Glue: databases, tables with
// versions, partitions and indexes, held in memory and in one journal. An answer
// to a change is given only after the journal holds it on disk, so a process
// that is killed has lost nothing that it answered. It knows operations and
// their JSON, no HTTP: pkg/embedded serves it and injects faults. The caller
// sees to it that one process has a directory.
package gluedb

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Error is what Glue answers when it does not do something.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func fail(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Codes that are answered in several places.
const (
	notFound      = "EntityNotFoundException"
	alreadyExists = "AlreadyExistsException"
	invalidInput  = "InvalidInputException"
	invalidState  = "InvalidStateException"
	concurrent    = "ConcurrentModificationException"
	limitExceeded = "ResourceNumberLimitExceededException"
	internalError = "InternalServiceException"
	unknownOp     = "UnknownOperationException"
)

// ItemFault says with which code one item of a batch fails; "" lets it pass.
// Unprocessed leaves an item of BatchGetPartition for later.
type ItemFault func(values []string) string

// Unprocessed is no error of Glue's: see ItemFault.
const Unprocessed = "UnprocessedKeys"

// DB is the catalog.
type DB struct {
	mu      sync.RWMutex
	state   *state
	journal *journal // nil: memory only
	now     func() time.Time
}

// Open reads the catalog of dir; "" makes one in memory.
func Open(dir string) (*DB, error) {
	db := &DB{state: newState(), now: time.Now}
	if dir == "" {
		return db, nil
	}
	var err error
	db.journal, err = openJournal(filepath.Join(dir, "catalog.log"), db.state)
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Close lets go of the journal. All that was answered is in it already.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.journal == nil {
		return nil
	}
	return db.journal.close()
}

// Call performs one operation on the JSON of its input.
func (db *DB) Call(op string, input []byte, items ItemFault) (any, error) {
	do, ok := operations[op]
	if !ok {
		return nil, fail(unknownOp, "the embedded Glue has no %s", op)
	}
	return do(db, input, items)
}

// commit makes changes last and then true. The caller holds the lock.
func (db *DB) commit(changes ...change) error {
	if len(changes) == 0 {
		return nil
	}
	if db.journal != nil {
		if err := db.journal.append(changes); err != nil {
			return fail(internalError, "write the journal: %v", err)
		}
	}
	for _, c := range changes {
		db.state.apply(c)
	}
	if db.journal != nil && db.journal.bloated(db.state) {
		if err := db.journal.rewrite(db.state); err != nil {
			return fail(internalError, "rewrite the journal: %v", err)
		}
	}
	return nil
}

type operation func(db *DB, input []byte, items ItemFault) (any, error)

var operations = map[string]operation{
	"CreateDatabase": plain((*DB).createDatabase),
	"GetDatabase":    plain((*DB).getDatabase),
	"GetDatabases":   plain((*DB).getDatabases),
	"UpdateDatabase": plain((*DB).updateDatabase),
	"DeleteDatabase": plain((*DB).deleteDatabase),

	"CreateTable":             plain((*DB).createTable),
	"GetTable":                plain((*DB).getTable),
	"GetTables":               plain((*DB).getTables),
	"UpdateTable":             plain((*DB).updateTable),
	"DeleteTable":             plain((*DB).deleteTable),
	"GetTableVersion":         plain((*DB).getTableVersion),
	"GetTableVersions":        plain((*DB).getTableVersions),
	"DeleteTableVersion":      plain((*DB).deleteTableVersion),
	"BatchDeleteTableVersion": plain((*DB).batchDeleteTableVersion),

	"CreatePartition":      plain((*DB).createPartition),
	"GetPartition":         plain((*DB).getPartition),
	"GetPartitions":        plain((*DB).getPartitions),
	"UpdatePartition":      plain((*DB).updatePartition),
	"DeletePartition":      plain((*DB).deletePartition),
	"BatchCreatePartition": batch((*DB).batchCreatePartition),
	"BatchGetPartition":    batch((*DB).batchGetPartition),
	"BatchUpdatePartition": batch((*DB).batchUpdatePartition),
	"BatchDeletePartition": batch((*DB).batchDeletePartition),

	"CreatePartitionIndex": plain((*DB).createPartitionIndex),
	"GetPartitionIndexes":  plain((*DB).getPartitionIndexes),
	"DeletePartitionIndex": plain((*DB).deletePartitionIndex),

	// Statistics are taken and dropped, functions there are none: engines ask,
	// and go on without.
	"GetColumnStatisticsForTable":        plain((*DB).noTableStatistics),
	"GetColumnStatisticsForPartition":    plain((*DB).noPartitionStatistics),
	"UpdateColumnStatisticsForTable":     plain((*DB).noTableStatistics),
	"UpdateColumnStatisticsForPartition": plain((*DB).noPartitionStatistics),
	"DeleteColumnStatisticsForTable":     plain((*DB).noTableStatistics),
	"DeleteColumnStatisticsForPartition": plain((*DB).noPartitionStatistics),
	"GetUserDefinedFunctions":            plain((*DB).noFunctions),
}

// Operations lists what Call knows, sorted.
func Operations() []string {
	var names []string
	for name := range operations {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func plain[I, O any](do func(*DB, I) (O, error)) operation {
	return batch(func(db *DB, in I, _ ItemFault) (O, error) { return do(db, in) })
}

func batch[I, O any](do func(*DB, I, ItemFault) (O, error)) operation {
	return func(db *DB, input []byte, items ItemFault) (any, error) {
		var in I
		if err := json.Unmarshal(input, &in); err != nil {
			return nil, &Error{Code: "SerializationException", Message: err.Error()}
		}
		if items == nil {
			items = func([]string) string { return "" }
		}
		return do(db, in, items)
	}
}

// epoch is a time as awsJson has it: seconds, here to the millisecond.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
