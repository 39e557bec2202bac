package source

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// NewSecret makes a write key of 160 random bits, and a salt.
func NewSecret() Secret {
	var key, salt [20]byte
	_, _ = rand.Read(key[:]) // never fails
	_, _ = rand.Read(salt[:])
	return Secret{Key: strings.ToLower(base32.StdEncoding.EncodeToString(key[:])), Salt: hex.EncodeToString(salt[:8])}
}

// EditFile edits the file of the sources, which is made where it is not there. Whoever
// reads it meets the old text or the new one, also after a crash; edits wait for each
// other.
func EditFile(path string, edit Edit) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a rename would put the file in the place of the link
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	old, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := Apply(path, old, edit)
	if err != nil {
		return err
	}
	return replaceFile(path, text)
}

// lockFolder keeps others from editing files of the folder; the lock ends with the
// process.
func lockFolder(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = d.Close() }, nil
}

// replaceFile puts text in the place of a file, for the same user and with the same
// rights, so that the gateway can read it as before.
func replaceFile(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // nobody but this user can read it
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, alike(f, path), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Name(), err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// alike gives f the owner and the rights of the file at path, if there is one.
func alike(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own, isUnix := info.Sys().(*syscall.Stat_t)
	if isUnix && int(own.Uid) != os.Geteuid() || isUnix && int(own.Gid) != os.Getegid() {
		if err := f.Chown(int(own.Uid), int(own.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}
