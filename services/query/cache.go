package query

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/pkg/settings"
)

// cache keeps objects as files, named by bucket, key and ETag, so that one that
// is there never needs to be asked for. Its size is bounded; the files that were
// used least recently go first. Processes share it: who reads holds the lock
// shared, who removes holds it alone.
type cache struct {
	dir   string
	limit settings.Bytes
}

func newCache(dir string, limit settings.Bytes) (*cache, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a folder for the cache, or name one with cache-dir: %w", err)
		}
		dir = filepath.Join(base, "weir", "objects")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	return &cache{dir: dir, limit: limit}, nil
}

// get brings the objects into the cache; the files stay until release.
func (c *cache) get(ctx context.Context, objects []object) (files []string, release func(), err error) {
	files = make([]string, len(objects))
	wanted := make(map[string]bool)
	var total settings.Bytes
	for i, o := range objects {
		files[i] = filepath.Join(c.dir, cacheName(o))
		if !wanted[files[i]] {
			total += settings.Bytes(o.Bytes)
		}
		wanted[files[i]] = true
	}
	if total > c.limit {
		return nil, nil, fmt.Errorf("the query reads %s in %d objects, more than cache-size allows (%s): ask for fewer partitions (sourceid, dt) or raise it",
			total, len(objects), c.limit)
	}
	lock, err := os.OpenFile(filepath.Join(c.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("lock the cache: %w", err)
	}
	release = func() { _ = lock.Close() }
	if err := c.makeRoom(ctx, lock, wanted, total); err != nil {
		release()
		return nil, nil, err
	}
	if err := fill(ctx, objects, files); err != nil {
		release()
		return nil, nil, err
	}
	return files, release, nil
}

// cacheName keeps the ending, by which the engine knows the compression.
func cacheName(o object) string {
	sum := sha256.Sum256([]byte(o.bucket + "\x00" + o.Key + "\x00" + o.ETag))
	return hex.EncodeToString(sum[:16]) + path.Ext(o.Key)
}

// makeRoom removes what must go and leaves the lock held shared.
func (c *cache) makeRoom(ctx context.Context, lock *os.File, wanted map[string]bool, total settings.Bytes) error {
	if err := flock(ctx, lock, syscall.LOCK_SH); err != nil {
		return err
	}
	if _, room, err := c.stale(wanted); err != nil || room >= total {
		return err
	}
	if err := flock(ctx, lock, syscall.LOCK_EX); err != nil { // the shared lock is given up meanwhile
		return err
	}
	stale, room, err := c.stale(wanted)
	if err != nil {
		return err
	}
	for _, f := range stale {
		if room >= total {
			break
		}
		if err := os.Remove(f.path); err != nil {
			return fmt.Errorf("make room in the cache: %w", err)
		}
		room += settings.Bytes(f.info.Size())
	}
	return flock(ctx, lock, syscall.LOCK_SH)
}

type cached struct {
	path string
	info fs.FileInfo
}

// stale lists what is not wanted, the least recently used first, and how much
// the cache may hold beside it.
func (c *cache) stale(wanted map[string]bool) (stale []cached, room settings.Bytes, err error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, 0, fmt.Errorf("read the cache: %w", err)
	}
	room = c.limit
	for _, e := range entries {
		name := filepath.Join(c.dir, e.Name())
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || wanted[name] || e.Name() == ".lock" {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the cache: %w", err)
		}
		stale = append(stale, cached{path: name, info: info})
		room -= settings.Bytes(info.Size())
	}
	slices.SortFunc(stale, func(a, b cached) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	return stale, room, nil
}

// flock waits for the lock. A process that dies gives its lock back.
func flock(ctx context.Context, f *os.File, how int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the cache, which another query holds: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func fill(ctx context.Context, objects []object, files []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	started := make(map[string]bool)
	for i, o := range objects {
		if !started[files[i]] {
			started[files[i]] = true
			group.Go(func() error { return fetchOne(ctx, o, files[i]) })
		}
	}
	return group.Wait()
}

// fetchOne leaves a whole file or none.
func fetchOne(ctx context.Context, o object, file string) error {
	if info, err := os.Stat(file); err == nil && info.Size() == o.Bytes {
		now := time.Now()
		return os.Chtimes(file, now, now)
	}
	body, err := o.store.Reader(ctx, o.Key)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	part, err := os.CreateTemp(filepath.Dir(file), "part-")
	if err != nil {
		return fmt.Errorf("keep %s: %w", o.Key, err)
	}
	n, err := io.Copy(part, body)
	err = cmp.Or(err, part.Close())
	if err == nil && n != o.Bytes {
		err = fmt.Errorf("it has %d bytes, the listing says %d", n, o.Bytes)
	}
	if err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", o.Key, errors.Join(err, os.Remove(part.Name())))
	}
	return nil
}
