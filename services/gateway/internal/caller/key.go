// Package caller reads what a request's header says about who sent it: a write key, an address, a page's
// origin, a trace. Its invariant:
// an address is one that the network or a trusted proxy vouches for. Whether a key is known is decided by source, what
// becomes of a request without one by ingest. Owned by the gateway's transports.
package caller

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
)

// maxKey bounds a write key as it comes in a header.
const maxKey = 512

// BasicKey reads the write key of "Basic base64(key:)", also where the colon or the
// padding is missing. Other schemes, Bearer among them, leave the key to the body.
func BasicKey(authorization string) []byte {
	scheme, text, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return nil
	}
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	if len(text) > base64.RawStdEncoding.EncodedLen(maxKey) {
		return nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	key, _, _ := bytes.Cut(raw, []byte(":"))
	return key
}

// QueryKey reads ?writeKey=, which beacons use.
func QueryKey(rawQuery string) string {
	if rawQuery == "" {
		return ""
	}
	values, _ := url.ParseQuery(rawQuery) // what could be read counts
	return values.Get("writeKey")
}

// AnyKey reads the write key of Basic, or of "Bearer key": programs that speak RPC have no token of anybody else.
func AnyKey(authorization string) []byte {
	scheme, text, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return BasicKey(authorization)
	}
	if text = strings.TrimSpace(text); len(text) > maxKey {
		return nil
	}
	return []byte(text)
}
