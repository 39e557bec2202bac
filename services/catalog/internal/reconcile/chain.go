package reconcile

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/s3"
)

// What passes before the gate is written: a repair that is ended goes on from there.
const (
	passFlushes = 500
	passFiles   = 20_000
)

// partition leads a partition's gate to the newest flush that its group has decided and
// published. refusal is what is missing.
func (w *work) partition(ctx context.Context, p int32, s Standing) (done, refusal string, err error) {
	mark := w.gate.Marks[p]
	if s.Why != "" {
		return "", s.Why, nil
	}
	if mark.Group != "" && mark.Group != w.group {
		return "", fmt.Sprintf("the gate has accepted flushes of group %s, the lake belongs to group %s", mark.Group, w.group), nil
	}
	head, refusal, err := w.head(ctx, s.State)
	if refusal != "" || err != nil {
		return "", refusal, err
	}
	switch {
	case head.Seq < mark.Seq:
		return "", fmt.Sprintf("the gate has accepted flush %d, %s, and what group %s has committed ends at flush %d: its offsets were taken back; see weir sink recover",
			mark.Seq, mark.Manifest, w.group, head.Seq), nil
	case head.Seq == mark.Seq && head.Manifest != mark.Manifest:
		return "", fmt.Sprintf("flush %d was decided twice: the gate has accepted %s, group %s has committed %s; the rows of both may be in the lake, see weir verify",
			mark.Seq, mark.Manifest, w.group, head.Manifest), nil
	case head.Seq == mark.Seq:
		return fmt.Sprintf("what the gate accepted last, flush %d, is what group %s has committed", mark.Seq, w.group), "", nil
	}
	missing, refusal, err := w.lead(ctx, p, head)
	if refusal != "" || err != nil {
		return "", refusal, err
	}
	done = fmt.Sprintf("flushes %d to %d follow without a hole", mark.Seq+1, head.Seq)
	if missing > 0 {
		done += fmt.Sprintf("; %d of their objects are not there, see weir verify", missing)
	}
	return done, "", nil
}

// head is the newest flush of a state that is known to be published: an intent's own is
// perhaps not yet, and is notified once it is.
func (w *work) head(ctx context.Context, s flush.State) (head flush.Link, refusal string, err error) {
	head = flush.Link{Seq: s.Seq, Manifest: s.Manifest}
	if s.Phase == flush.Done {
		return head, "", nil
	}
	m, refusal, err := w.manifest(ctx, head)
	if refusal != "" || err != nil {
		return head, refusal, err
	}
	return flush.Link{Seq: m.Seq - 1, Manifest: m.Predecessor}, "", nil
}

// lead follows the manifests from head back to the mark, and then forwards: what they
// need in Glue is registered, then they pass the gate. A dry run turns back where the
// chain has proved to be whole.
func (w *work) lead(ctx context.Context, p int32, head flush.Link) (missing int, refusal string, err error) {
	m, refusal, err := w.manifest(ctx, head)
	if refusal != "" || err != nil {
		return 0, refusal, err
	}
	chain, broken := flush.NewChain(w.gate.Marks[p], m.Notification(m.CreatedAt))
	if broken != nil {
		return 0, broken.Error(), nil
	}
	var notes []flush.Notification
	files := 0
	for {
		l, forward := chain.Next()
		if l.Seq == 0 || forward && w.DryRun {
			return missing, "", w.pass(ctx, notes)
		}
		w.tell("%s: flush %d of %d to %d", name(w.topic, w.id, p), l.Seq, chain.Progress().From, head.Seq)
		if m, refusal, err = w.manifest(ctx, l); refusal != "" || err != nil {
			return missing, refusal, err
		}
		n, broken := chain.Read(m)
		if broken != nil {
			return missing, broken.Error(), nil
		}
		if n == nil {
			continue
		}
		gone, err := w.gone(ctx, n)
		if err != nil {
			return missing, "", err
		}
		missing, files, notes = missing+gone, files+len(n.Files), append(notes, *n)
		if len(notes) == passFlushes || files >= passFiles {
			if err := w.pass(ctx, notes); err != nil {
				return missing, "", err
			}
			if err := w.save(ctx); err != nil {
				return missing, "", err
			}
			notes, files = notes[:0], 0
		}
	}
}

// pass registers what flushes need, and then lets the gate accept them.
func (w *work) pass(ctx context.Context, notes []flush.Notification) error {
	if err := w.registrar.Partitions(ctx, notes); err != nil {
		return err
	}
	for _, n := range notes {
		if verdict, reason := w.gate.Judge(n); verdict != flush.Accept {
			return fmt.Errorf("flush %d of %s: the gate says %s %s", n.Seq, name(w.topic, w.id, n.Partition), verdict, reason)
		}
		w.gate.Accept(n)
	}
	return nil
}

func (w *work) manifest(ctx context.Context, l flush.Link) (m *flush.Manifest, refusal string, err error) {
	body, _, err := w.Store.Get(ctx, l.Manifest)
	if errors.Is(err, s3.ErrNotFound) {
		return nil, fmt.Sprintf("the manifest of flush %d, %s, is not there", l.Seq, l.Manifest), nil
	}
	if err != nil {
		return nil, "", err
	}
	if m, err = codec.DecodeManifest(l.Manifest, body); err != nil {
		return nil, fmt.Sprintf("the manifest of flush %d cannot be read: %v", l.Seq, err), nil
	}
	return m, "", nil
}

// gone counts a flush's objects that are not there.
func (w *work) gone(ctx context.Context, n *flush.Notification) (int, error) {
	missing := make([]bool, len(n.Files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOne)
	for i := range n.Files {
		group.Go(func() error {
			_, err := w.Store.Head(ctx, n.Files[i].Key)
			if missing[i] = errors.Is(err, s3.ErrNotFound); missing[i] {
				return nil
			}
			return err
		})
	}
	err := group.Wait()
	count := 0
	for _, m := range missing {
		if m {
			count++
		}
	}
	return count, err
}
