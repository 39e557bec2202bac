package jobs

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"weir/pkg/lake"
	"weir/pkg/s3"
)

// ErrNoLogsYet: EMR puts logs into S3 some minutes after they were written.
var ErrNoLogsYet = errors.New("no log of it is there yet: EMR puts them there minutes after they were written, if the job's role may")

// Logs writes what the driver of a run said: its standard output to out, everything else
// to errs. They are read as they are written.
func (r *Runs) Logs(ctx context.Context, id string, out, errs io.Writer) error {
	folder, err := r.logs(ctx, id)
	if err != nil {
		return err
	}
	at, err := lake.ParseLocation(folder)
	if err != nil {
		return err
	}
	cfg := r.cfg.S3
	cfg.Lake = at
	store, err := s3.Open(ctx, cfg, nil)
	if err != nil {
		return err
	}
	shown := 0
	for o, err := range store.List(ctx, "", "") {
		if err != nil {
			return err
		}
		to := stream(path.Base(o.Key), out, errs)
		if to == nil {
			continue
		}
		shown++
		if err := show(ctx, store, o.Key, to); err != nil {
			return fmt.Errorf("read %s: %w", at.URL(o.Key), err)
		}
	}
	if shown == 0 {
		return fmt.Errorf("show the log of run %s from %s: %w", id, folder, ErrNoLogsYet)
	}
	return nil
}

// stream says where a log goes: stdout.gz, stderr.gz, of a step also controller.gz, which
// says why it did not begin. What a cluster's Hadoop says for itself is left out.
func stream(name string, out, errs io.Writer) io.Writer {
	switch {
	case strings.HasPrefix(name, "stdout"):
		return out
	case strings.HasPrefix(name, "stderr"), strings.HasPrefix(name, "controller"):
		return errs
	}
	return nil
}

func show(ctx context.Context, store *s3.Store, key string, to io.Writer) error {
	body, err := store.Reader(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	text := io.Reader(body)
	if strings.HasSuffix(key, ".gz") {
		z, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		text = z
	}
	_, err = io.Copy(to, text)
	return err
}
