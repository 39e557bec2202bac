package follow

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/s3"
)

const headsAtOnce = 16

// closeGap fills the hole before n with the manifests in the lake: each names
// its predecessor. alarm says why they do not lead to what the gate knows.
func (g *gates) closeGap(ctx context.Context, gate *flush.Gate, n flush.Notification) (closed []flush.Notification, alarm string, err error) {
	mark := gate.Marks[n.Partition].Seq
	chain, alarm, err := g.chain(ctx, mark, n)
	if alarm != "" || err != nil {
		return nil, alarm, err
	}
	closed, broken := gate.CloseGap(n, chain)
	if broken != nil {
		return nil, broken.Error(), nil
	}
	for i := range closed[:len(closed)-1] { // n itself was sent with the sizes as seen
		if err := g.sizes(ctx, &closed[i]); err != nil {
			return nil, "", err
		}
	}
	g.tell(GapClosed{Topic: n.Topic, Partition: n.Partition, From: mark + 1, To: n.Seq - 1})
	return closed, "", nil
}

// chain reads the manifests from n's predecessor down to the flush after mark.
// It goes on only as long as the seqs fall, so that it ends whatever it reads.
func (g *gates) chain(ctx context.Context, mark uint64, n flush.Notification) (chain []*flush.Manifest, alarm string, err error) {
	key := n.Predecessor
	for seq := n.Seq - 1; seq > mark; seq-- {
		m, alarm, err := g.manifest(ctx, key, seq)
		if alarm != "" || err != nil {
			return nil, alarm, err
		}
		chain = append(chain, m)
		key = m.Predecessor
	}
	return chain, "", nil
}

func (g *gates) manifest(ctx context.Context, key string, seq uint64) (m *flush.Manifest, alarm string, err error) {
	if key == "" {
		return nil, fmt.Sprintf("flush %d is missing: the flush after it names no predecessor", seq), nil
	}
	body, _, err := g.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return nil, fmt.Sprintf("the notification of flush %d is missing, and its manifest %s is not there", seq, key), nil
	}
	if err != nil {
		return nil, "", err
	}
	m, err = codec.DecodeManifest(key, body)
	if err != nil {
		return nil, fmt.Sprintf("the notification of flush %d is missing, and its manifest %s cannot be read: %v", seq, key, err), nil
	}
	if m.Seq != seq {
		return nil, fmt.Sprintf("flush %d is missing, and %s, which should be its manifest, is flush %d", seq, key, m.Seq), nil
	}
	lighten(m)
	return m, "", nil
}

// lighten drops what a notification does not carry: a chain may be long.
func lighten(m *flush.Manifest) {
	m.Ahead = nil
	for i := range m.Files {
		m.Files[i].Offsets, m.Files[i].Parts = nil, nil
	}
}

// sizes looks at the files of a flush that was published before the gap's end.
// One that is gone is reported and keeps the manifest's size: that the flush
// took place is not in doubt, and the rows after it must not wait.
func (g *gates) sizes(ctx context.Context, n *flush.Notification) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headsAtOnce)
	missing := make([]bool, len(n.Files))
	for i := range n.Files {
		group.Go(func() error {
			o, err := g.store.Head(ctx, n.Files[i].Key)
			switch {
			case errors.Is(err, s3.ErrNotFound):
				missing[i] = true
			case err != nil:
				return err
			default:
				n.Files[i].Bytes = o.Bytes
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, m := range missing {
		if m {
			g.tell(MissingObject{Manifest: n.Manifest, Key: n.Files[i].Key})
		}
	}
	return nil
}
