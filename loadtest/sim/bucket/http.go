package bucket

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// fault is an answer that is an error.
type fault struct {
	status int
	code   string
}

var (
	noSuchBucket   = &fault{http.StatusNotFound, "NoSuchBucket"}
	noSuchKey      = &fault{http.StatusNotFound, "NoSuchKey"}
	noSuchUpload   = &fault{http.StatusNotFound, "NoSuchUpload"}
	precondition   = &fault{http.StatusPreconditionFailed, "PreconditionFailed"}
	invalidPart    = &fault{http.StatusBadRequest, "InvalidPart"}
	invalidOrder   = &fault{http.StatusBadRequest, "InvalidPartOrder"}
	tooSmall       = &fault{http.StatusBadRequest, "EntityTooSmall"}
	malformed      = &fault{http.StatusBadRequest, "MalformedXML"}
	badDigest      = &fault{http.StatusBadRequest, "BadDigest"}
	invalidRange   = &fault{http.StatusRequestedRangeNotSatisfiable, "InvalidRange"}
	alreadyOwned   = &fault{http.StatusConflict, "BucketAlreadyOwnedByYou"}
	notImplemented = &fault{http.StatusNotImplemented, "NotImplemented"}
)

func (f *fault) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", f.code, f.code)
	}
}

const checksumHeader = "X-Amz-Checksum-Crc32"

func checksumOf(body []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)))
}

// ServeHTTP answers one request, path-style. It makes exactly one change or none.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := b.serve(w, r); f != nil {
		f.write(w, r)
	}
}

func (b *Bucket) serve(w http.ResponseWriter, r *http.Request) *fault {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if bucket != b.name {
		return noSuchBucket
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return malformed
	}
	if sum := r.Header.Get(checksumHeader); sum != "" && sum != checksumOf(body) {
		return badDigest
	}
	q := r.URL.Query()
	upload := q.Get("uploadId")
	switch {
	case key == "" && r.Method == http.MethodPut:
		return alreadyOwned
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		return b.serveList(w, r)
	case key == "":
		return notImplemented
	case r.Method == http.MethodPost && q.Has("uploads"):
		return answer(w, initiated{Bucket: b.name, Key: key, UploadID: b.begin(key)})
	case r.Method == http.MethodPost && upload != "":
		return b.serveComplete(w, r, key, upload, body)
	case r.Method == http.MethodPut && upload != "":
		return b.servePart(w, key, upload, q.Get("partNumber"), body)
	case r.Method == http.MethodDelete && upload != "":
		if f := b.abort(key, upload); f != nil {
			return f
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case r.Method == http.MethodPut:
		etag := tagOf(body)
		if f := b.put(key, body, etag, conditionOf(r)); f != nil {
			return f
		}
		w.Header().Set("Etag", etag)
		return nil
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return b.serveObject(w, r, key)
	}
	return notImplemented
}

func conditionOf(r *http.Request) condition {
	return condition{ifNoneMatch: r.Header.Get("If-None-Match"), ifMatch: r.Header.Get("If-Match")}
}

type initiated struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

type completedPart struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
	CRC32  string `xml:"ChecksumCRC32"`
}

type completed struct {
	XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
	Key     string
	ETag    string
	CRC32   string `xml:"ChecksumCRC32"`
}

func (b *Bucket) servePart(w http.ResponseWriter, key, upload, number string, body []byte) *fault {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 10_000 {
		return malformed
	}
	etag, f := b.putPart(key, upload, n, body)
	if f != nil {
		return f
	}
	w.Header().Set("Etag", etag)
	w.Header().Set(checksumHeader, checksumOf(body))
	return nil
}

func (b *Bucket) serveComplete(w http.ResponseWriter, r *http.Request, key, upload string, body []byte) *fault {
	var asked struct {
		Parts []completedPart `xml:"Part"`
	}
	if err := xml.Unmarshal(body, &asked); err != nil {
		return malformed
	}
	etag, f := b.complete(key, upload, asked.Parts, conditionOf(r))
	if f != nil {
		return f
	}
	// The checksum says that this request found the object made; weir wants it.
	return answer(w, completed{Key: key, ETag: etag, CRC32: checksumOf([]byte(etag)) + "-" + strconv.Itoa(len(asked.Parts))})
}

func (b *Bucket) serveObject(w http.ResponseWriter, r *http.Request, key string) *fault {
	o, ok := b.Object(key)
	if !ok {
		return noSuchKey
	}
	if want := r.Header.Get("If-Match"); want != "" && want != o.ETag {
		return precondition
	}
	body, status := o.Body, http.StatusOK
	if asked, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		at, end, ok := span(asked, len(body))
		if !ok {
			return invalidRange
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, end-1, len(body)))
		body, status = body[at:end], http.StatusPartialContent
	}
	h := w.Header()
	h.Set("Etag", o.ETag)
	h.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, bytes.NewReader(body))
	}
	return nil
}

// span reads "from-" and "from-last" of an object of size bytes; end is not part of it.
func span(asked string, size int) (at, end int, ok bool) {
	from, last, _ := strings.Cut(asked, "-")
	at, err := strconv.Atoi(from)
	if err != nil || at >= size {
		return 0, 0, false
	}
	if last == "" {
		return at, size, true
	}
	to, err := strconv.Atoi(last)
	if err != nil || to < at {
		return 0, 0, false
	}
	return at, min(to+1, size), true
}

type listed struct {
	XMLName   xml.Name `xml:"ListBucketResult"`
	Name      string
	Prefix    string
	KeyCount  int
	MaxKeys   int
	Truncated bool   `xml:"IsTruncated"`
	Next      string `xml:"NextContinuationToken,omitempty"`
	Contents  []listedObject
}

type listedObject struct {
	Key          string
	LastModified string
	ETag         string
	Size         int
}

// maxKeys is S3's page.
const maxKeys = 1000

func (b *Bucket) serveList(w http.ResponseWriter, r *http.Request) *fault {
	q := r.URL.Query()
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	page := listed{Name: b.name, Prefix: q.Get("prefix"), MaxKeys: maxKeys}
	all := b.Objects()
	from, _ := slices.BinarySearchFunc(all, max(after, page.Prefix), func(o Object, k string) int { return strings.Compare(o.Key, k) })
	for _, o := range all[from:] {
		if !strings.HasPrefix(o.Key, page.Prefix) {
			break
		}
		if after != "" && o.Key <= after {
			continue
		}
		if len(page.Contents) == maxKeys {
			page.Truncated, page.Next = true, page.Contents[maxKeys-1].Key
			break
		}
		page.Contents = append(page.Contents, listedObject{
			Key: o.Key, LastModified: o.Modified.UTC().Format("2006-01-02T15:04:05.000Z"), ETag: o.ETag, Size: len(o.Body),
		})
	}
	page.KeyCount = len(page.Contents)
	return answer(w, page)
}

func answer(w http.ResponseWriter, v any) *fault {
	text, err := xml.Marshal(v)
	if err != nil {
		return &fault{http.StatusInternalServerError, "InternalError"}
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(append([]byte(xml.Header), text...))
	return nil
}
