package gluedb

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
)

// Limits on one call.
const (
	maxBatch       = 100
	maxBatchGet    = 1000
	maxBatchDelete = 25
	maxSegments    = 10
)

type valueList struct{ Values []string }

type partitionRequest struct {
	DatabaseName       string
	TableName          string
	PartitionValues    []string // of Get, Delete
	PartitionValueList []string // of Update: what it is called now
	PartitionInput     doc

	PartitionInputList []doc       // BatchCreate
	PartitionsToGet    []valueList // BatchGet
	PartitionsToDelete []valueList // BatchDelete
	Entries            []struct {  // BatchUpdate
		PartitionInput     doc
		PartitionValueList []string
	}
}

type errorDetail struct{ ErrorCode, ErrorMessage string }

func detailOf(err error) errorDetail {
	var e *Error
	if errors.As(err, &e) {
		return errorDetail{e.Code, e.Message}
	}
	return errorDetail{internalError, err.Error()}
}

type partitionError struct {
	PartitionValues []string
	ErrorDetail     errorDetail
}

type partitionErrors struct {
	Errors []partitionError `json:",omitempty"`
}

func (e *partitionErrors) add(values []string, err error) {
	e.Errors = append(e.Errors, partitionError{values, detailOf(err)})
}

func atMost(n, limit int) error {
	if n > limit {
		return fail(invalidInput, "%d items in a call that takes at most %d", n, limit)
	}
	return nil
}

// onTable runs a change of one table under the lock.
func (db *DB) onTable(in partitionRequest, do func(dbName, n string, t *table) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return err
	}
	return do(dbName, n, t)
}

func (db *DB) createPartition(in partitionRequest) (empty, error) {
	return empty{}, db.onTable(in, func(dbName, n string, t *table) error {
		c, err := t.create(dbName, n, in.PartitionInput, epoch(db.now()))
		if err != nil {
			return err
		}
		return db.commit(c)
	})
}

func (t *table) create(dbName, n string, in doc, now float64) (change, error) {
	values, err := checkPartition(in, t.keys)
	if err != nil {
		return change{}, err
	}
	if t.partitions[partitionKey(values)] != nil {
		return change{}, fail(alreadyExists, "Partition already exists.")
	}
	return change{Op: putPartition, Database: dbName, Table: n, Values: values, Doc: in.stored(), Created: now}, nil
}

func (db *DB) batchCreatePartition(in partitionRequest, items ItemFault) (out partitionErrors, err error) {
	if err := atMost(len(in.PartitionInputList), maxBatch); err != nil {
		return out, err
	}
	err = db.onTable(in, func(dbName, n string, t *table) error {
		var changes []change
		seen := map[string]bool{}
		now := epoch(db.now())
		for _, p := range in.PartitionInputList {
			c, err := t.create(dbName, n, p, now)
			if err == nil && seen[partitionKey(c.Values)] {
				err = fail(alreadyExists, "Partition already exists.")
			}
			if err == nil && items(c.Values) != "" {
				err = fail(items(c.Values), "injected")
			}
			if err != nil {
				out.add(valuesOf(p), err)
				continue
			}
			seen[partitionKey(c.Values)] = true
			changes = append(changes, c)
		}
		return db.commit(changes...)
	})
	return out, err
}

func valuesOf(in doc) (values []string) {
	_ = json.Unmarshal(in["Values"], &values)
	return values
}

func (db *DB) updatePartition(in partitionRequest) (empty, error) {
	return empty{}, db.onTable(in, func(dbName, n string, t *table) error {
		changes, err := t.update(dbName, n, in.PartitionValueList, in.PartitionInput)
		if err != nil {
			return err
		}
		return db.commit(changes...)
	})
}

// update replaces a partition, and renames it where the input says so.
func (t *table) update(dbName, n string, old []string, in doc) ([]change, error) {
	values, err := checkPartition(in, t.keys)
	if err != nil {
		return nil, err
	}
	p := t.partitions[partitionKey(old)]
	if p == nil {
		return nil, fail(notFound, "Partition not found.")
	}
	put := change{Op: putPartition, Database: dbName, Table: n, Values: values, Doc: in.stored(), Created: p.created}
	if slices.Equal(values, old) {
		return []change{put}, nil
	}
	if t.partitions[partitionKey(values)] != nil {
		return nil, fail(alreadyExists, "Partition already exists.")
	}
	return []change{{Op: dropPartition, Database: dbName, Table: n, Values: old}, put}, nil
}

type updateErrors struct {
	Errors []updateError `json:",omitempty"`
}

type updateError struct {
	PartitionValueList []string
	ErrorDetail        errorDetail
}

func (db *DB) batchUpdatePartition(in partitionRequest, items ItemFault) (out updateErrors, err error) {
	if err := atMost(len(in.Entries), maxBatch); err != nil {
		return out, err
	}
	err = db.onTable(in, func(dbName, n string, t *table) error {
		for _, e := range in.Entries {
			changes, err := t.update(dbName, n, e.PartitionValueList, e.PartitionInput)
			if code := items(e.PartitionValueList); err == nil && code != "" {
				err = fail(code, "injected")
			}
			if err == nil {
				err = db.commit(changes...) // one by one: an entry may build on the one before
			}
			if err != nil {
				out.Errors = append(out.Errors, updateError{e.PartitionValueList, detailOf(err)})
			}
		}
		return nil
	})
	return out, err
}

func (db *DB) deletePartition(in partitionRequest) (empty, error) {
	return empty{}, db.onTable(in, func(dbName, n string, t *table) error {
		if t.partitions[partitionKey(in.PartitionValues)] == nil {
			return fail(notFound, "Partition not found.")
		}
		return db.commit(change{Op: dropPartition, Database: dbName, Table: n, Values: in.PartitionValues})
	})
}

func (db *DB) batchDeletePartition(in partitionRequest, items ItemFault) (out partitionErrors, err error) {
	if err := atMost(len(in.PartitionsToDelete), maxBatchDelete); err != nil {
		return out, err
	}
	err = db.onTable(in, func(dbName, n string, t *table) error {
		var changes []change
		seen := map[string]bool{}
		for _, p := range in.PartitionsToDelete {
			k := partitionKey(p.Values)
			switch {
			case t.partitions[k] == nil || seen[k]:
				out.add(p.Values, fail(notFound, "Partition not found."))
			case items(p.Values) != "":
				out.add(p.Values, fail(items(p.Values), "injected"))
			default:
				seen[k] = true
				changes = append(changes, change{Op: dropPartition, Database: dbName, Table: n, Values: p.Values})
			}
		}
		return db.commit(changes...)
	})
	return out, err
}

type partitionAnswer struct{ Partition json.RawMessage }

func (db *DB) getPartition(in partitionRequest) (partitionAnswer, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return partitionAnswer{}, err
	}
	p := t.partitions[partitionKey(in.PartitionValues)]
	if p == nil {
		return partitionAnswer{}, fail(notFound, "Partition not found.")
	}
	out, err := p.answer(dbName, n, false)
	return partitionAnswer{out}, err
}

type batchGetAnswer struct {
	Partitions      []json.RawMessage
	UnprocessedKeys []valueList `json:",omitempty"`
}

// batchGetPartition leaves out what does not exist, as Glue does.
func (db *DB) batchGetPartition(in partitionRequest, items ItemFault) (out batchGetAnswer, err error) {
	if err := atMost(len(in.PartitionsToGet), maxBatchGet); err != nil {
		return out, err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return out, err
	}
	for _, want := range in.PartitionsToGet {
		if items(want.Values) == Unprocessed {
			out.UnprocessedKeys = append(out.UnprocessedKeys, want)
			continue
		}
		p := t.partitions[partitionKey(want.Values)]
		if p == nil {
			continue
		}
		doc, err := p.answer(dbName, n, false)
		if err != nil {
			return out, err
		}
		out.Partitions = append(out.Partitions, doc)
	}
	return out, nil
}

type partitionsRequest struct {
	page
	DatabaseName        string
	TableName           string
	Expression          string
	ExcludeColumnSchema bool
	Segment             *struct{ SegmentNumber, TotalSegments int }
}

type partitionList struct {
	Partitions []json.RawMessage
	NextToken  string `json:",omitempty"`
}

func (db *DB) getPartitions(in partitionsRequest) (out partitionList, err error) {
	if s := in.Segment; s != nil && (s.TotalSegments < 1 || s.TotalSegments > maxSegments || s.SegmentNumber < 0 || s.SegmentNumber >= s.TotalSegments) {
		return out, fail(invalidInput, "segment %d of %d is not valid", s.SegmentNumber, s.TotalSegments)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return out, err
	}
	matches, err := parseExpression(in.Expression, t.keys)
	if err != nil {
		return out, err
	}
	out.NextToken, err = in.walk(t.order, defaultPage, func(k string) (bool, error) {
		p := t.partitions[k]
		if s := in.Segment; s != nil && segmentOf(k, s.TotalSegments) != s.SegmentNumber {
			return false, nil
		}
		if ok, err := matches(p.values); err != nil || !ok {
			return false, err
		}
		doc, err := p.answer(dbName, n, in.ExcludeColumnSchema)
		out.Partitions = append(out.Partitions, doc)
		return true, err
	})
	return out, err
}

func segmentOf(partitionKey string, of int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(partitionKey))
	return int(h.Sum32() % uint32(of))
}

func (p *partition) answer(dbName, n string, excludeColumns bool) (json.RawMessage, error) {
	stored := p.doc
	if excludeColumns {
		var err error
		if stored, err = withoutColumns(stored); err != nil {
			return nil, err
		}
	}
	more := doc{}
	more.set("CatalogId", catalogID)
	more.set("DatabaseName", dbName)
	more.set("TableName", n)
	more.set("CreationTime", p.created)
	return with(stored, more)
}

// Statistics: none are kept. The table or partition must exist all the same.

type noStatistics struct {
	ColumnStatisticsList []json.RawMessage
	Errors               []json.RawMessage
}

func (db *DB) noTableStatistics(in partitionRequest) (noStatistics, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	_, _, _, err := db.table(in.DatabaseName, in.TableName)
	return noStatistics{[]json.RawMessage{}, []json.RawMessage{}}, err
}

func (db *DB) noPartitionStatistics(in partitionRequest) (noStatistics, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	_, _, t, err := db.table(in.DatabaseName, in.TableName)
	if err == nil && t.partitions[partitionKey(in.PartitionValues)] == nil {
		err = fail(notFound, "Partition not found.")
	}
	return noStatistics{[]json.RawMessage{}, []json.RawMessage{}}, err
}

func (db *DB) noFunctions(page) (struct{ UserDefinedFunctions []json.RawMessage }, error) {
	return struct{ UserDefinedFunctions []json.RawMessage }{[]json.RawMessage{}}, nil
}
