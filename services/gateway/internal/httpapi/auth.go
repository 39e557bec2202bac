package httpapi

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strings"
)

// maxKey bounds a write key as it comes in a header.
const maxKey = 512

// basicKey reads the write key of "Basic base64(key:)", also where the colon or the
// padding is missing. Other schemes, Bearer among them, leave the key to the body.
func basicKey(authorization string) []byte {
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

// queryKey reads ?writeKey=, which beacons use.
func queryKey(rawQuery string) string {
	if rawQuery == "" {
		return ""
	}
	values, _ := url.ParseQuery(rawQuery) // what could be read counts
	return values.Get("writeKey")
}
