// Package settings holds the value types and the fault list that every service's
// Config is built from. A value prints as it was meant to be written, so that
// `weir config print` can be pasted back, and a Config's Validate reports every
// fault at once, each under the setting's name. It does not read flags, the
// environment or files: cmd-level wiring does, by one library. Floor 3; owned by
// whoever owns the binary's configuration.
package settings

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size. Its text is a whole number with an optional unit: B, KiB,
// MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000).
type Bytes int64

// Powers of 1024.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

type unit struct {
	name string
	size Bytes
}

// units is ordered for printing: the first that divides a size evenly is used,
// binary before decimal, large before small.
func units() [8]unit {
	return [...]unit{
		{"TiB", TiB},
		{"GiB", GiB},
		{"MiB", MiB},
		{"KiB", KiB},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
	}
}

// ParseBytes reads the text form of Bytes. Letter case and a space before the
// unit do not matter; a fraction, a sign and an overflow are refused.
func ParseBytes(text string) (Bytes, error) {
	s := strings.TrimSpace(text)
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: want a whole number and a unit, such as 256MiB", text)
	}
	size, ok := unitSize(strings.TrimSpace(s[digits:]))
	if !ok {
		return 0, fmt.Errorf("%q has no known unit: want B, KiB, MiB, GiB, TiB, KB, MB, GB or TB", text)
	}
	if n > math.MaxInt64/int64(size) {
		return 0, fmt.Errorf("%q is larger than any size", text)
	}
	return Bytes(n) * size, nil
}

func unitSize(name string) (Bytes, bool) {
	if name == "" || strings.EqualFold(name, "B") {
		return 1, true
	}
	for _, u := range units() {
		if strings.EqualFold(name, u.name) {
			return u.size, true
		}
	}
	return 0, false
}

// String gives the shortest exact text: 256MiB, 1GB, 1234.
func (b Bytes) String() string {
	for _, u := range units() {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText and UnmarshalText make Bytes a setting for flags, YAML and JSON.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is ParseBytes.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// Fault is one wrong setting.
type Fault struct {
	Setting string // its name, as in file-age
	Reason  string
}

func (f Fault) Error() string { return f.Setting + ": " + f.Reason }

// ErrNoRegion is the one of the AWS SDK's own settings that has no default: without
// it no request can be signed, not even to an endpoint of one's own.
var ErrNoRegion = Fault{Setting: "AWS_REGION", Reason: "is not set, and the AWS profile names no region either"}

// Faults collects what is wrong with a Config; its zero value is ready.
type Faults []error

// Addf notes a fault of a setting.
func (f *Faults) Addf(setting, format string, args ...any) {
	*f = append(*f, Fault{Setting: setting, Reason: fmt.Sprintf(format, args...)})
}

// Check notes the fault unless ok holds.
func (f *Faults) Check(ok bool, setting, format string, args ...any) {
	if !ok {
		f.Addf(setting, format, args...)
	}
}

// AddErr notes an error of a setting; nil is no fault.
func (f *Faults) AddErr(setting string, err error) {
	if err != nil {
		f.Addf(setting, "%s", err)
	}
}

// Join makes one error of a list of faults, a line each; nil when there is none.
func Join(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	noun := "settings are"
	if len(faults) == 1 {
		noun = "setting is"
	}
	return fmt.Errorf("%d %s wrong:\n%w", len(faults), noun, errors.Join(faults...))
}
