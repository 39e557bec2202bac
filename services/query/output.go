package query

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// newPart is a Parquet file that is being written beside its place.
type newPart struct{ path, place string }

// newFile prepares a file that must not exist; place "" = there is none.
func newFile(place string) (newPart, error) {
	if place == "" {
		return newPart{}, nil
	}
	if strings.HasPrefix(place, "s3://") {
		return newPart{}, fmt.Errorf("write %s: without Athena a Parquet file is written to this machine: name a file with --to", place)
	}
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		return newPart{}, fmt.Errorf("write %s: it exists", place)
	}
	return newPart{path: place + ".part", place: place}, nil
}

// end leaves the whole file at its place, or nothing.
func (n newPart) end(err error) error {
	if n.path == "" {
		return err
	}
	if err == nil {
		err = os.Rename(n.path, n.place)
	}
	if err == nil {
		return nil
	}
	if gone := os.Remove(n.path); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
