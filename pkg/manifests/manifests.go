// Package manifests finds manifests in a lake: whose there are, and the newest of one owner, without listing them all,
// because an owner may have hundreds of thousands. It reads none of them, and what a manifest means is pkg/flush's to say.
// Floor 3, SHELL; it tries nothing again, callers do.
package manifests

import (
	"context"
	"fmt"
	"iter"

	"weir/pkg/lake"
	"weir/pkg/s3"
)

// Lister is the part of the object store that is needed.
type Lister interface {
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
}

// Owners finds whose manifests are in the lake, one request for each: a listing is left as soon as it shows the next.
func Owners(ctx context.Context, store Lister) ([]lake.Owner, error) {
	var all []lake.Owner
	for after, more := "", true; more; {
		more = false
		for o, err := range store.List(ctx, lake.ManifestsDir(), after) {
			if err != nil {
				return nil, err
			}
			owner, _, _, err := lake.ParseManifestKey(o.Key)
			if err != nil {
				continue
			}
			all = append(all, owner)
			after, more = owner.ManifestDir()+"~", true // sorts after whatever stands in it
			break
		}
	}
	return all, nil
}

// Newest finds the owner's manifest with the highest seq; key "" where there is none. It asks what comes after a seq, first
// in growing steps, then in halves.
func Newest(ctx context.Context, store Lister, owner lake.Owner) (key string, seq uint64, err error) {
	key, seq, err = After(ctx, store, owner, 0)
	if err != nil || key == "" {
		return "", 0, err
	}
	step, none := uint64(1), uint64(0) // none: a seq after which there is nothing; 0 = not known
	for none == 0 || none > seq {
		probe := seq + step
		if none != 0 {
			probe = seq + (none-seq)/2
		}
		next, at, err := After(ctx, store, owner, probe)
		switch {
		case err != nil:
			return "", 0, err
		case next != "":
			key, seq, step = next, at, 2*step
		case probe == seq:
			return key, seq, nil
		default:
			none = probe
		}
	}
	return key, seq, nil
}

// After is the owner's first manifest whose seq is above after; key "" where there is none.
func After(ctx context.Context, store Lister, owner lake.Owner, after uint64) (key string, seq uint64, err error) {
	from := fmt.Sprintf("%s%020d.", owner.ManifestDir(), after) // '.' sorts after '-': past every manifest of that seq
	for o, err := range store.List(ctx, owner.ManifestDir(), from) {
		if err != nil {
			return "", 0, err
		}
		if _, seq, _, err := lake.ParseManifestKey(o.Key); err == nil {
			return o.Key, seq, nil
		}
	}
	return "", 0, nil
}
