package promote

import (
	"fmt"
	"slices"
	"strings"

	"weir/pkg/lake"
)

// List is the setting: paths with their types, separated by commas. The word default stands for the default list, none
// for no path at all.
type List struct {
	text  string
	Paths []Wanted
}

// DefaultList is what is promoted where nobody says.
func DefaultList() List {
	var l List
	if err := l.UnmarshalText([]byte("default")); err != nil {
		panic(err) // TestDefault parses it
	}
	return l
}

// UnmarshalText reads the setting.
func (l *List) UnmarshalText(text []byte) error {
	got := List{text: strings.TrimSpace(string(text))}
	if got.text != "none" {
		for item := range strings.SplitSeq(got.text, ",") {
			if err := got.add(strings.TrimSpace(item)); err != nil {
				return err
			}
		}
	}
	if len(got.Paths) > MaxWanted {
		return fmt.Errorf("%d paths are more than %d", len(got.Paths), MaxWanted)
	}
	*l = got
	return nil
}

func (l *List) add(item string) error {
	if item == "default" {
		for item := range strings.Lines(defaults) {
			if err := l.add(strings.TrimSpace(item)); err != nil {
				return err
			}
		}
		return nil
	}
	w, err := Parse(item)
	if err != nil {
		return err
	}
	// A path that the default list has too is of the type that is asked for beside it.
	if at := slices.IndexFunc(l.Paths, func(o Wanted) bool { return slices.Equal(o.Path, w.Path) }); at >= 0 {
		if l.Paths[at] = w; !strings.Contains(l.text, "default") {
			return fmt.Errorf("%s stands twice", w.path())
		}
		return nil
	}
	l.Paths = append(l.Paths, w)
	return nil
}

// MarshalText is the setting as it was written.
func (l List) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

func (l List) String() string {
	if l.text == "" {
		return "none"
	}
	return l.text
}

// DefaultType is the type that a path has in the default list.
func DefaultType(path []string) (lake.Type, bool) {
	at := slices.IndexFunc(defaultPaths, func(w Wanted) bool { return slices.Equal(w.Path, path) })
	if at < 0 {
		return 0, false
	}
	return defaultPaths[at].Type, true
}

var defaultPaths = DefaultList().Paths
