package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The embedded S3's keys and region. They guard nothing: every part listens on
// loopback.
const (
	AccessKey = "dev"
	SecretKey = "dev-secret"
	Region    = "us-east-1"
)

// addressesFile says where the parts of a running `weir dev` listen. It is there
// while one runs (a kill -9 leaves it behind).
const addressesFile = "addresses.json"

// Addresses is host:port of every part.
type Addresses struct {
	Gateway string `json:"gateway"`
	Kafka   string `json:"kafka"`
	S3      string `json:"s3"`
	Glue    string `json:"glue"`
	Admin   string `json:"admin"`
}

// ErrNotRunning: the directory holds a lake, and no weir dev serves it.
var ErrNotRunning = errors.New("weir dev does not run on this directory")

// ErrNoDirectory: nothing of weir dev is there.
var ErrNoDirectory = errors.New("no directory of weir dev")

// ReadAddresses reads where the weir dev of a directory listens.
func ReadAddresses(dir string) (Addresses, error) {
	text, err := os.ReadFile(filepath.Join(dir, addressesFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, sourcesFile)); err != nil {
			return Addresses{}, fmt.Errorf("%s: %w", dir, ErrNoDirectory)
		}
		return Addresses{}, fmt.Errorf("%s: %w: start it with `weir dev --dir %s`", dir, ErrNotRunning, dir)
	}
	if err != nil {
		return Addresses{}, err
	}
	var a Addresses
	if err := json.Unmarshal(text, &a); err != nil {
		return Addresses{}, fmt.Errorf("read %s: %w", filepath.Join(dir, addressesFile), err)
	}
	return a, nil
}

// BucketRoot is the folder of a directory's S3 buckets.
func BucketRoot(dir string) (string, error) {
	return filepath.Abs(filepath.Join(dir, "s3", "buckets"))
}

// write leaves the old file or the new one, never half of one.
func (a Addresses) write(dir string) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, addressesFile), append(text, '\n'), 0o644)
}

func replaceFile(path string, text []byte, mode fs.FileMode) error {
	part, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	_, err = part.Write(text)
	err = errors.Join(err, part.Chmod(mode), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	return nil
}
