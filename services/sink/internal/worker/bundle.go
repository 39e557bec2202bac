package worker

import (
	"context"
	"fmt"

	"weir/pkg/flush"
	"weir/pkg/s3"
)

// A file that is smaller than a part would cost three requests as an upload of its own.
// The small files of a flush are staged together instead, as one object that nobody
// queries, and put at their own keys once the flush is decided: n of them cost n + 1
// requests, beside the manifest's.

// stage stores the small files of a cut in a bundle and says in files where each lies.
func (w *Worker) stage(f *flushing, files []flush.File, take []*file) error {
	key := w.c.Owner.BundleKey(w.machine.Seq()+1, f.id)
	u := &upload{ctx: w.uploads, store: w.c.Store, slots: w.c.Uploaders, contentType: bundleType, key: key}
	f.bodies = make(map[string][]byte)
	for i, t := range take {
		body := t.upload.small()
		if body == nil {
			continue
		}
		files[i].BundleAt = u.size
		f.bodies[files[i].Key] = body
		if _, err := u.Write(body); err != nil {
			return err
		}
	}
	if u.size == 0 {
		return nil
	}
	f.bundle = key
	return w.storeBundle(u)
}

// storeBundle makes the bundle readable for whoever has to finish the flush. One that
// the store has lost meanwhile goes on like a lost upload: it is missed only by another
// owner, who repairs its files.
func (w *Worker) storeBundle(u *upload) error {
	if err := u.seal(); err != nil {
		return err
	}
	var err error
	if body := u.small(); body != nil {
		err = w.c.Store.PutFileIfAbsent(u.ctx, u.key, u.contentType, body)
	} else {
		err = w.c.Store.CompleteUpload(u.ctx, u.key, u.id, u.parts)
	}
	if err == nil || is(err, s3.ErrExists, s3.ErrNoSuchUpload, s3.ErrNotFound, s3.ErrConflict) {
		return nil
	}
	return fmt.Errorf("store bundle %s: %w", u.key, err)
}

// bundleType is the content type of a bundle.
const bundleType = "application/octet-stream"

// putStaged makes a small file visible: from memory where this ownership has cut it,
// otherwise from the bundle. A bundle that is gone is a lost upload.
func (w *Worker) putStaged(ctx context.Context, m *flush.Manifest, f *flush.File) error {
	body := w.staged(m, f)
	if body == nil {
		var err error
		if body, err = w.c.Store.GetRange(ctx, m.Bundle, f.BundleAt, f.Bytes); err != nil {
			return err
		}
	}
	return w.c.Store.PutFileIfAbsent(ctx, f.Key, w.contentType(f), body)
}

func (w *Worker) staged(m *flush.Manifest, f *flush.File) []byte {
	if w.flushing == nil || w.flushing.id != m.FlushID {
		return nil
	}
	return w.flushing.bodies[f.Key]
}

// contentType is that of the file's table, also where it is not written any more.
func (w *Worker) contentType(f *flush.File) string {
	if t := w.tableOf(f); t != nil {
		return t.ContentType
	}
	return bundleType
}
