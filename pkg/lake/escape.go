package lake

import (
	"fmt"
	"strings"
)

// nullPartition is how Hive writes the part of a path that has no value.
const nullPartition = "__HIVE_DEFAULT_PARTITION__"

const upperHex = "0123456789ABCDEF"

// special tells whether Hive percent-escapes c in a part of a path (FileUtils.escapePathName).
func special(c byte) bool {
	return c < ' ' || c == 0x7f || strings.IndexByte(`"#%'*/:=?\{[]^`, c) >= 0
}

// EscapePathName is s as one part of a path, percent-escaped as Hive does. Escaped as a whole are a part of dots, which
// would lead out of its directory in stores whose keys are paths, and the text that stands for no value.
func EscapePathName(s string) string {
	if s == "" {
		return nullPartition
	}
	whole := s == "." || s == ".." || s == nullPartition
	n := 0
	for i := range len(s) {
		if whole || special(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	out := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; whole || special(c) {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// UnescapePathName is the inverse of EscapePathName. It also takes escapes that EscapePathName would not make.
func UnescapePathName(s string) (string, error) {
	if s == nullPartition {
		return "", nil
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15 {
			return "", fmt.Errorf("unescape path part %q: %% without two hexadecimal digits", s)
		}
		out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
		i += 2
	}
	return string(out), nil
}

// unhex is the value of a hexadecimal digit, 0xff for any other byte.
func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20-'a' <= 5:
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}
