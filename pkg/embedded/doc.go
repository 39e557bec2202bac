// Package embedded runs a Kafka, an S3 and a Glue inside this process: the
// parts that `weir dev` starts when nobody has any, and the doubles of every
// test. What a server acknowledged stands on disk before the answer, so a
// kill -9 of the process loses nothing (a power cut may take Kafka's and S3's
// last seconds). None of them is a production server: kfake calls itself a fake
// for testing, the S3 is one directory, the Glue checks no signatures; real
// parts are named by kafka-brokers and the AWS SDK's own variables. Whoever
// starts a server owns it and closes it, clients first.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// ErrBusy: somebody else listens on the address. The error that wraps it names
// the address; the caller knows which flag moves it.
var ErrBusy = errors.New("address already in use")

// ErrLocked: another process runs on the same directory.
var ErrLocked = errors.New("directory is in use by another process")

// listen binds addr ("host:port", port 0 picks a free one).
func listen(part, addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("start embedded %s on %s: %w", part, addr, ErrBusy)
	}
	if err != nil {
		return nil, fmt.Errorf("start embedded %s on %s: %w", part, addr, err)
	}
	return ln, nil
}

// lockDir makes dir and takes it for this process until the returned file is
// closed. The kernel drops the lock when the process dies, however it dies.
func lockDir(part, dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("start embedded %s: %w", part, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start embedded %s: %w", part, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("start embedded %s in %s: %w", part, dir, ErrLocked)
	}
	return f, nil
}
