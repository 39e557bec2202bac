package gluedb

import "slices"

type indexRequest struct {
	DatabaseName   string
	TableName      string
	PartitionIndex index
	IndexName      string
}

func (db *DB) createPartitionIndex(in indexRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return empty{}, err
	}
	if err := checkIndex(in.PartitionIndex, t.indexes, t.keys); err != nil {
		return empty{}, err
	}
	return empty{}, db.commit(change{Op: putIndex, Database: dbName, Table: n, Index: &in.PartitionIndex})
}

func checkIndex(i index, there []index, keys []key) error {
	if _, err := name("index", i.IndexName); err != nil {
		return err
	}
	if len(i.Keys) == 0 {
		return fail(invalidInput, "index %s has no keys", i.IndexName)
	}
	for _, k := range i.Keys {
		if !slices.Contains(keyNames(keys), k) {
			return fail(invalidInput, "index %s: %s is no partition key", i.IndexName, k)
		}
	}
	for _, old := range there {
		if old.IndexName == i.IndexName {
			return fail(alreadyExists, "Index already exists: %s", i.IndexName)
		}
	}
	if len(there) >= maxIndexes {
		return fail(limitExceeded, "a table has at most %d indexes", maxIndexes)
	}
	return nil
}

type indexDescriptor struct {
	IndexName   string
	IndexStatus string
	Keys        []key
}

type indexList struct {
	PartitionIndexDescriptorList []indexDescriptor
}

func (db *DB) getPartitionIndexes(in indexRequest) (indexList, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	_, _, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return indexList{}, err
	}
	out := indexList{PartitionIndexDescriptorList: []indexDescriptor{}}
	for _, i := range t.indexes {
		d := indexDescriptor{IndexName: i.IndexName, IndexStatus: "ACTIVE"}
		for _, k := range t.keys {
			if slices.Contains(i.Keys, k.Name) {
				d.Keys = append(d.Keys, k)
			}
		}
		out.PartitionIndexDescriptorList = append(out.PartitionIndexDescriptorList, d)
	}
	return out, nil
}

func (db *DB) deletePartitionIndex(in indexRequest) (empty, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	dbName, n, t, err := db.table(in.DatabaseName, in.TableName)
	if err != nil {
		return empty{}, err
	}
	for _, i := range t.indexes {
		if i.IndexName == in.IndexName {
			return empty{}, db.commit(change{Op: dropIndex, Database: dbName, Table: n, Index: &i})
		}
	}
	return empty{}, fail(notFound, "Index %s not found.", in.IndexName)
}
