package lake

import (
	"fmt"
	"strings"
)

// Location is where a lake stands: a bucket, and the prefix that all its keys begin with.
type Location struct {
	Bucket string
	Prefix string // without slashes at its ends; empty: the lake is the whole bucket
}

// ParseLocation reads s3://bucket or s3://bucket/prefix.
func ParseLocation(s string) (Location, error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if !ok {
		return Location{}, fmt.Errorf("parse lake location %q: want s3://bucket/prefix", s)
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if !validBucket(bucket) {
		return Location{}, fmt.Errorf("parse lake location %q: %q is no bucket name", s, bucket)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return Location{Bucket: bucket}, nil
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || part == "." || part == ".." {
			return Location{}, fmt.Errorf("parse lake location %q: the prefix has a part that is empty or dots", s)
		}
	}
	if strings.ContainsFunc(prefix, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return Location{}, fmt.Errorf("parse lake location %q: the prefix has characters that are no text", s)
	}
	return Location{Bucket: bucket, Prefix: prefix}, nil
}

// validBucket keeps out what would become part of a path or a host; the store judges the rest.
func validBucket(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Key is the key in the bucket of a key relative to the lake.
func (l Location) Key(rel string) string {
	if l.Prefix == "" {
		return rel
	}
	return l.Prefix + "/" + rel
}

// Rel is the inverse of Key; false if the key is not in the lake.
func (l Location) Rel(key string) (string, bool) {
	if l.Prefix == "" {
		return key, true
	}
	return strings.CutPrefix(key, l.Prefix+"/")
}

// URL is the address of a key relative to the lake.
func (l Location) URL(rel string) string { return "s3://" + l.Bucket + "/" + l.Key(rel) }

// String is the lake's address, as ParseLocation reads it.
func (l Location) String() string { return strings.TrimSuffix(l.URL(""), "/") }
