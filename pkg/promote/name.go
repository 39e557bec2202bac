package promote

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest name in bytes; Glue takes 255, and side columns add to it.
const maxName = 128

// nameOf is the name of a path's column before it is compared to others: every key in lower case with underscores, all
// joined by one. Letters that are not ASCII lose their marks, or are left out.
func nameOf(path []string) string {
	words := make([]string, len(path))
	for i, key := range path {
		if words[i] = wordOf(key); words[i] == "" {
			words[i] = "f_" + digest(key)
		}
	}
	name := strings.Join(words, "_")
	if len(name) > maxName {
		name = name[:maxName-9] + "_" + digest(strings.Join(path, "."))
	}
	return name
}

// wordOf is one key: fooBar and foo-bar are foo_bar, HTTPServer is http_server, utm2 stays utm2, Cízǔ is cizu.
func wordOf(key string) string {
	var letters []rune
	for _, r := range norm.NFD.String(norm.NFKC.String(key)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			letters = append(letters, r)
		default:
			letters = append(letters, '_')
		}
	}
	var b strings.Builder
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == '_' }), "_")
}

// digest tells texts apart that have the same name.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
