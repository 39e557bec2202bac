// Package bucket is an object store in memory that speaks as much of S3's XML API as weir uses: conditional puts and
// completes, multipart uploads, listing, ranges. Its invariant: what S3 promises of a key holds here too, and nothing
// that the real store leaves open is made better: what it answers to the repetition of a completed upload is the
// Dialect's. It does not check signatures, makes no trouble by itself (package sim stands in front of it) and keeps no
// history. Owned by package sim; every change is told to one observer.
package bucket

import (
	"crypto/md5"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Dialect is what stores answer differently.
type Dialect int

// What the second Complete of one upload is answered.
const (
	Remembers Dialect = iota // 412: the upload is still known, and the object is there
	Forgets                  // NoSuchUpload: it went with the first
	Repeats                  // 200, as the first
	dialects
)

// Dialects is how many there are.
const Dialects = int(dialects)

// Op is a change of the bucket.
type Op string

// The changes.
const (
	Created   Op = "object"   // an object that was not there
	Replaced  Op = "replaced" // an object over another
	Began     Op = "upload"
	Aborted   Op = "aborted"
	Forgotten Op = "expired" // an upload that a lifecycle rule removed
	Removed   Op = "removed"
)

// Change is one of them.
type Change struct {
	Op     Op
	Key    string
	Upload string
	Body   []byte // of objects
}

// Object is one object.
type Object struct {
	Key      string
	Body     []byte
	ETag     string // quoted
	Modified time.Time
}

// Upload is one multipart upload that is neither completed nor aborted.
type Upload struct {
	ID, Key string
	Began   time.Time
	parts   map[int]part
	done    bool // completed, and still known
}

type part struct {
	body []byte
	etag string
}

// Bucket holds objects of one bucket. Its zero value is not usable.
type Bucket struct {
	name    string
	dialect Dialect
	minPart int          // bytes of each part but the last; S3 has 5 MiB
	tell    func(Change) // after the change, under no lock

	mu      sync.Mutex
	objects map[string]Object
	uploads map[string]*Upload
	serial  int
}

// New makes an empty bucket that takes parts of minPart bytes and more. tell hears of every change, on the goroutine of the request; nil is allowed.
func New(name string, d Dialect, minPart int, tell func(Change)) *Bucket {
	if tell == nil {
		tell = func(Change) {}
	}
	return &Bucket{name: name, dialect: d, minPart: minPart, tell: tell, objects: map[string]Object{}, uploads: map[string]*Upload{}}
}

// Objects lists all objects by key.
func (b *Bucket) Objects() []Object {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Object, 0, len(b.objects))
	for _, k := range slices.Sorted(maps.Keys(b.objects)) {
		list = append(list, b.objects[k])
	}
	return list
}

// Object finds one.
func (b *Bucket) Object(key string) (Object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[key]
	return o, ok
}

// Uploads lists those that are unfinished, by id.
func (b *Bucket) Uploads() []Upload {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Upload
	for _, id := range slices.Sorted(maps.Keys(b.uploads)) {
		if u := b.uploads[id]; !u.done {
			list = append(list, *u)
		}
	}
	return list
}

// Expire removes the unfinished uploads, as a lifecycle rule does, and says how many there were.
func (b *Bucket) Expire() int {
	gone := b.Uploads()
	for _, u := range gone {
		b.mu.Lock()
		delete(b.uploads, u.ID)
		b.mu.Unlock()
		b.tell(Change{Op: Forgotten, Key: u.Key, Upload: u.ID})
	}
	return len(gone)
}

// Remove deletes an object, as an operator does.
func (b *Bucket) Remove(key string) {
	b.mu.Lock()
	delete(b.objects, key)
	b.mu.Unlock()
	b.tell(Change{Op: Removed, Key: key})
}

// Put writes an object, as an operator does.
func (b *Bucket) Put(key string, body []byte) { _ = b.put(key, body, tagOf(body), condition{}) }

// Begin begins an upload, as an operator does.
func (b *Bucket) Begin(key string) { _ = b.begin(key) }

// condition is what a request asks of the object that is there.
type condition struct{ ifNoneMatch, ifMatch string }

func (c condition) fault(o Object, there bool) *fault {
	switch {
	case c.ifNoneMatch == "*" && there:
		return precondition
	case c.ifMatch != "" && !there:
		return noSuchKey
	case c.ifMatch != "" && c.ifMatch != o.ETag:
		return precondition
	}
	return nil
}

// put stores an object if its condition holds.
func (b *Bucket) put(key string, body []byte, etag string, c condition) *fault {
	b.mu.Lock()
	old, there := b.objects[key]
	if f := c.fault(old, there); f != nil {
		b.mu.Unlock()
		return f
	}
	b.objects[key] = Object{Key: key, Body: body, ETag: etag, Modified: time.Now()}
	b.mu.Unlock()
	op := Created
	if there {
		op = Replaced
	}
	b.tell(Change{Op: op, Key: key, Body: body})
	return nil
}

func (b *Bucket) begin(key string) string {
	b.mu.Lock()
	b.serial++
	u := &Upload{ID: "upload-" + strconv.Itoa(b.serial), Key: key, Began: time.Now(), parts: map[int]part{}}
	b.uploads[u.ID] = u
	b.mu.Unlock()
	b.tell(Change{Op: Began, Key: key, Upload: u.ID})
	return u.ID
}

// upload finds one that may be filled. The lock is held.
func (b *Bucket) upload(key, id string) (*Upload, *fault) {
	u := b.uploads[id]
	if u == nil || u.Key != key || u.done {
		return nil, noSuchUpload
	}
	return u, nil
}

func (b *Bucket) putPart(key, id string, n int, body []byte) (etag string, f *fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, f := b.upload(key, id)
	if f != nil {
		return "", f
	}
	etag = tagOf(body)
	u.parts[n] = part{body, etag}
	return etag, nil
}

func (b *Bucket) abort(key, id string) *fault {
	b.mu.Lock()
	_, f := b.upload(key, id)
	if f == nil {
		delete(b.uploads, id)
	}
	b.mu.Unlock()
	if f == nil {
		b.tell(Change{Op: Aborted, Key: key, Upload: id})
	}
	return f
}

// complete makes the object of the upload's parts. A condition that does not hold leaves the upload as it is.
func (b *Bucket) complete(key, id string, named []completedPart, c condition) (etag string, f *fault) {
	b.mu.Lock()
	u := b.uploads[id]
	if u != nil && u.done && u.Key == key && b.dialect == Repeats {
		defer b.mu.Unlock()
		return b.objects[key].ETag, nil
	}
	old, there := b.objects[key]
	if u == nil || u.Key != key {
		b.mu.Unlock()
		return "", noSuchUpload
	}
	if f := c.fault(old, there); f != nil {
		b.mu.Unlock()
		return "", f
	}
	body, tags, f := u.join(named, b.minPart)
	if f != nil {
		b.mu.Unlock()
		return "", f
	}
	etag = tagOf(tags)
	etag = etag[:len(etag)-1] + "-" + strconv.Itoa(len(named)) + `"`
	b.objects[key] = Object{Key: key, Body: body, ETag: etag, Modified: time.Now()}
	u.done, u.parts = true, nil
	if b.dialect == Forgets {
		delete(b.uploads, id)
	}
	b.mu.Unlock()
	op := Created
	if there {
		op = Replaced
	}
	b.tell(Change{Op: op, Key: key, Upload: id, Body: body})
	return etag, nil
}

// join puts the parts together that the request names, in rising order. All but the last have minPart bytes.
func (u *Upload) join(named []completedPart, minPart int) (body, tags []byte, f *fault) {
	if len(named) == 0 {
		return nil, nil, malformed
	}
	for i, p := range named {
		have, ok := u.parts[p.Number]
		switch {
		case i > 0 && p.Number <= named[i-1].Number:
			return nil, nil, invalidOrder
		case !ok || have.etag != p.ETag:
			return nil, nil, invalidPart
		case i < len(named)-1 && len(have.body) < minPart:
			return nil, nil, tooSmall
		}
		if p.CRC32 != "" && p.CRC32 != checksumOf(have.body) {
			return nil, nil, invalidPart
		}
		body = append(body, have.body...)
		tags = append(tags, have.etag...)
	}
	return body, tags, nil
}

func tagOf(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}
