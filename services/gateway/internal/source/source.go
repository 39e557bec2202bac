// Package source knows who may send, and on which terms: the sources of sources.yaml
// with their write keys, limits and rules. A key is looked up by its digest, never compared byte by byte, so that the
// time a lookup takes says nothing about the keys, and a file that cannot be read
// or is wrong never takes the last good sources away. It does not decide what a
// request without a known key is answered; httpapi does. Owned by the gateway.
package source

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"sync/atomic"

	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/quota"
)

// Source is one sender of events. It does not change: an edit makes another one.
type Source struct {
	ID        string
	Key       []byte // the ID, as the key of its records
	Name      string
	Enabled   bool
	WriteKeys int // how many it has

	Limits  quota.Limits
	Origins []string      // of browsers' pages that may send; none = all may
	Policy  intake.Policy // as it was written
	Rules   *intake.Rules // the policy made ready; nil = every event is stored as it comes
}

// digest is the SHA-256 of a write key: what the index is keyed by.
type digest [sha256.Size]byte

// salted are the write keys that sources.yaml holds as sha256:<salt>:<hex> with one salt:
// the SHA-256 of the salt followed by the key.
type salted struct {
	salt string
	sums map[digest]*Source
}

// maxMisses bounds what is remembered of unknown keys; whoever tries many keys
// makes lookups slower, by a hash for every salt there is, and nothing larger.
const maxMisses = 4096

// Index finds the source of a write key. It is immutable but for what it remembers
// of salted keys, and safe for concurrent use.
type Index struct {
	sources []*Source
	plain   map[digest]*Source
	salted  []salted

	found  sync.Map // digest → *Source (nil: no such key), of keys that are not plain
	misses atomic.Int64
}

// maxKey is the longest write key in bytes. One that is longer is hashed for nobody: a body may name a key of megabytes,
// and there may be many salts.
const maxKey = 512

// Lookup finds the source that owns a write key.
func (x *Index) Lookup(key []byte) (*Source, bool) {
	if len(key) == 0 || len(key) > maxKey {
		return nil, false
	}
	d := digest(sha256.Sum256(key))
	if s, ok := x.plain[d]; ok {
		return s, true
	}
	if len(x.salted) == 0 {
		return nil, false
	}
	if s, ok := x.found.Load(d); ok {
		return s.(*Source), s.(*Source) != nil
	}
	s := x.search(key)
	if s != nil || x.misses.Add(1) <= maxMisses {
		x.found.Store(d, s)
	}
	return s, s != nil
}

// search tries every salt, without stopping at the first that fits.
func (x *Index) search(key []byte) (found *Source) {
	buf := make([]byte, 0, 256)
	for i := range x.salted {
		k := &x.salted[i]
		buf = append(append(buf[:0], k.salt...), key...)
		if s := k.sums[sha256.Sum256(buf)]; s != nil {
			found = s
		}
	}
	return found
}

// Sources lists all, in the file's order.
func (x *Index) Sources() []*Source { return x.sources }

// parseKey reads a key of sources.yaml: itself, or sha256:<salt>:<hex>.
func parseKey(text string) (salt string, sum digest, isSalted bool, fault string) {
	rest, hashed := strings.CutPrefix(text, "sha256:")
	if !hashed {
		return "", digest(sha256.Sum256([]byte(text))), false, ""
	}
	salt, sumText, ok := strings.Cut(rest, ":")
	if !ok || salt == "" {
		return "", sum, true, "want sha256:<salt>:<64 hex digits>"
	}
	raw, err := hex.DecodeString(sumText)
	if err != nil || len(raw) != len(sum) {
		return "", sum, true, "want 64 hex digits after sha256:<salt>:"
	}
	copy(sum[:], raw)
	return salt, sum, true, ""
}

// HashKey gives the form of a write key that sources.yaml can hold in its place.
func HashKey(salt, key string) string {
	sum := sha256.Sum256([]byte(salt + key))
	return "sha256:" + salt + ":" + hex.EncodeToString(sum[:])
}
