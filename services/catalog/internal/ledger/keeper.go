// Package ledger keeps the table of published files: it follows the manifests up to where the gates stand, and writes a
// row for each file, in batches. Its invariant: the file of every flush that passed a gate stands in the table once,
// whatever dies or is answered late, and whoever else keeps the same ledger. For that a batch is decided first, by a
// conditional put of the journal that names it (internal/ledger/journal), and then made: its partitions in Glue, its
// objects, its sums, each of which may be done again without harm. It reads manifests and no notifications, so that a
// start, a loss or a lake that is older than its ledger need nothing else. It writes no events and deletes nothing.
//
//	gates, manifests ─→ batch ─→ journal (If-Match) ─→ Glue: days ─→ objects (If-None-Match) ─→ sums (If-Match)
//
// Floor 3, SHELL; owned by the catalog service.
package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/ledger/journal"
)

// Dependency is how a keeper that cannot go on is named in faults.
const Dependency follow.Dependency = "ledger"

// Store is the part of the object store that is needed.
type Store = follow.Store

// Registrar makes Glue hold tables and partitions, and gives up some time.
type Registrar interface {
	Register(ctx context.Context, spec change.Spec, partitions []change.Partition) error // what is there stays as it is
	Move(ctx context.Context, spec change.Spec, partition change.Partition) error        // to another location
}

// Settings of a keeper.
type Settings struct {
	Database string
	Lake     change.Lake
	Every    time.Duration // batches start so far apart, but for what is left to catch up with
}

// Keeper is one ledger at work. Passed and Lost may be called by anybody, the rest belongs to the goroutine of Run.
type Keeper struct {
	settings  Settings
	store     Store
	registrar Registrar
	tell      Observer
	fault     follow.Observer

	objectRows int // of a merged object at least, but for the last

	journal journal.Journal
	body    []byte // of it, as it was written
	etag    string // "" = there is none yet
	read    bool   // the journal is known
	made    bool   // its batch is whole
	listed  bool   // Glue holds the table, and all days that have rows
	turn    int    // of the partitions: who comes first in the next batch
	first   map[lake.Owner]uint64
	tidied  time.Time // when it was looked last whether days are over

	mu     sync.Mutex
	passed map[string]time.Time // by manifest: when its files became visible
	lost   bool                 // the table was created anew
}

// New wires a keeper; Run starts it.
func New(s Settings, store Store, r Registrar, tell Observer, fault follow.Observer) *Keeper {
	return &Keeper{settings: s, store: store, registrar: r, tell: tell, fault: fault, objectRows: objectRows, passed: make(map[string]time.Time)}
}

// Bounds on what is remembered of flushes that became visible and are in no batch yet. What is forgotten is known to the
// minute only.
const (
	passedLimit = 50_000
	passedFor   = time.Hour
)

// Passed notes that the files of a flush can be queried now.
func (k *Keeper) Passed(manifest string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.passed) < passedLimit {
		k.passed[manifest] = time.Now()
	}
}

func (k *Keeper) forget(flushes []journal.Flush) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range flushes {
		delete(k.passed, f.Manifest)
	}
}

// Lost notes that Glue has lost the table: all its days are registered again.
func (k *Keeper) Lost() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost = true
}

// Run keeps the ledger until ctx ends. It gives up on nothing: faults are retried.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := time.Now().Add(k.settings.Every)
		var more bool
		err := follow.Retry(ctx, k.fault, Dependency, func() (err error) {
			more, err = k.round(ctx)
			return err
		})
		if err != nil || more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(next)):
		}
	}
}

// round makes the batch that was decided whole, decides the next one and makes that. more: there is more at once.
func (k *Keeper) round(ctx context.Context) (more bool, err error) {
	if err := k.recall(ctx); err != nil {
		return false, err
	}
	if !k.made { // first, or Glue would be led to a merged day that is not there yet
		if err := k.again(ctx); err != nil {
			return false, err
		}
	}
	if err := k.list(ctx); err != nil {
		return false, err
	}
	batch, more, troubled := k.gather(ctx)
	if !batch.Moved() {
		if troubled != nil {
			return false, troubled
		}
		return k.tidy(ctx)
	}
	decided, err := k.decide(ctx, k.journal.Next(batch))
	if err != nil || !decided {
		return !decided, errors.Join(err, troubled)
	}
	if err := k.make(ctx, batch); err != nil {
		return false, errors.Join(err, troubled)
	}
	return more, troubled
}

// recall reads the journal. One that is there and cannot be read is no empty one.
func (k *Keeper) recall(ctx context.Context) error {
	if k.read {
		return nil
	}
	key := lake.LedgerKey(k.settings.Database)
	body, etag, err := k.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		k.journal, k.body, k.etag, k.read, k.made = journal.Journal{}, nil, "", true, true
		return nil
	}
	if err != nil {
		return err
	}
	j, err := journal.Decode(body)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	k.journal, k.body, k.etag, k.read, k.made = j, body, etag, true, false
	return nil
}

// decide writes the journal of the next batch. Where another catalog has decided in between, that one's batch comes first.
// A put whose answer was lost finds its own bytes.
func (k *Keeper) decide(ctx context.Context, next journal.Journal) (decided bool, err error) {
	key := lake.LedgerKey(k.settings.Database)
	body, err := next.Encode()
	if err != nil {
		return false, err
	}
	etag, err := k.store.PutIfMatch(ctx, key, body, k.etag)
	if err == nil {
		k.journal, k.body, k.etag, k.made = next, body, etag, false
		k.forget(next.Flushes)
		return true, nil
	}
	k.read = false // what stands there may be this one all the same
	if !errors.Is(err, s3.ErrChanged) && !errors.Is(err, s3.ErrExists) {
		return false, err
	}
	if err := k.recall(ctx); err != nil {
		return false, err
	}
	if !bytes.Equal(k.body, body) {
		k.tell(Rival{Key: key})
	}
	return false, nil // the next round makes it, whosever it is
}

// flushAt is where the ledger is of a partition.
func (k *Keeper) flushAt(owner lake.Owner) flush.Link { return k.journal.Positions[owner] }
