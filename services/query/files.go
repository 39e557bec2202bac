package query

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"weir/pkg/lake"
	"weir/pkg/s3"
)

// inParallel bounds listings and downloads under way.
const inParallel = 16

// object is one object of a partition.
type object struct {
	store  *s3.Store
	bucket string
	s3.Object
}

// open finds the objects of every partition and makes them readable as files
// until release is called.
func (l *Lake) open(ctx context.Context, tables []table, result *Result) (release func(), err error) {
	var places []*partition
	for i := range tables {
		for j := range tables[i].partitions {
			places = append(places, &tables[i].partitions[j])
		}
	}
	group, listing := errgroup.WithContext(ctx)
	group.SetLimit(inParallel)
	for _, p := range places {
		group.Go(func() error { return l.listed(listing, p) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, p := range places {
		result.Files += len(p.objects)
		p.files = l.inPlace(p.objects)
	}
	if l.cache == nil {
		return func() {}, nil
	}
	return l.fetch(ctx, places)
}

// listed sees to it that a partition's objects are known.
func (l *Lake) listed(ctx context.Context, p *partition) (err error) {
	if p.listed {
		return nil
	}
	p.objects, err = l.list(ctx, p.location)
	p.listed = err == nil
	return err
}

// list gives the objects of one place. Names that begin with _ or . are hidden,
// as they are to Hive and to Athena.
func (l *Lake) list(ctx context.Context, location string) ([]object, error) {
	bucket, prefix, ok := strings.Cut(strings.TrimPrefix(location, "s3://"), "/")
	if !ok || !strings.HasPrefix(location, "s3://") {
		return nil, fmt.Errorf("%q is no place in S3", location)
	}
	store, err := l.stores.of(ctx, bucket)
	if err != nil {
		return nil, err
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	var objects []object
	for o, err := range store.List(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		name := path.Base(o.Key)
		if strings.HasSuffix(o.Key, "/") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
			continue
		}
		objects = append(objects, object{store: store, bucket: bucket, Object: o})
	}
	return objects, nil
}

// inPlace names the files that hold the objects in the embedded S3's folder.
func (l *Lake) inPlace(objects []object) []string {
	files := make([]string, len(objects))
	for i, o := range objects {
		files[i] = filepath.Join(l.cfg.LocalRoot, o.bucket, filepath.FromSlash(o.Key))
	}
	return files
}

// fetch brings the objects into the cache and names the files there.
func (l *Lake) fetch(ctx context.Context, places []*partition) (release func(), err error) {
	var all []object
	for _, p := range places {
		all = append(all, p.objects...)
	}
	files, release, err := l.cache.get(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		p.files, files = files[:len(p.objects)], files[len(p.objects):]
	}
	return release, nil
}

// whole is the lake itself, where its state is.
func (l *Lake) whole(ctx context.Context) (*s3.Store, error) {
	location, err := lake.ParseLocation(l.cfg.Lake)
	if err != nil {
		return nil, err
	}
	cfg := l.cfg.S3
	cfg.Lake = location
	return s3.Open(ctx, cfg, nil)
}

// stores opens one store per bucket: Glue may send us to more than one.
type stores struct {
	cfg s3.Config
	mu  *sync.Mutex
	by  map[string]*s3.Store
}

func newStores(cfg s3.Config) stores {
	return stores{cfg: cfg, mu: new(sync.Mutex), by: make(map[string]*s3.Store)}
}

func (s stores) of(ctx context.Context, bucket string) (*s3.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if store := s.by[bucket]; store != nil {
		return store, nil
	}
	cfg := s.cfg
	cfg.Lake = lake.Location{Bucket: bucket}
	store, err := s3.Open(context.WithoutCancel(ctx), cfg, nil)
	if err != nil {
		return nil, err
	}
	s.by[bucket] = store
	return store, nil
}
