package journal

import (
	"fmt"
	"maps"
	"slices"

	"weir/pkg/flush"
	"weir/pkg/lake"
)

// Step is a flush between where the ledger is and where the gate is. Seqs that no step has are gone.
type Step struct {
	Seq  uint64
	Keys []string // of its manifests: one; none where it is gone; several where attempts were made that do not count
}

// Path is the way of one partition from the ledger to the gate, as far as a listing shows it.
type Path struct {
	Steps []Step
	Ahead []string // manifests of the flush after the gate's: attempts, or it is about to pass
}

// Lead makes the path from a listing of the partition's manifests, which begins behind from and was cut or is whole. The
// gate's flush is known, whatever else stands under its seq.
func Lead(from, gate flush.Link, listed []string, cut bool) (Path, error) {
	if gate.Seq < from.Seq || gate.Seq == from.Seq && gate.Manifest != from.Manifest {
		return Path{}, fmt.Errorf("the ledger has flush %d, %s, and the gate stands at flush %d, %s: the gate's memory was taken back",
			from.Seq, from.Manifest, gate.Seq, gate.Manifest)
	}
	bySeq := make(map[uint64][]string)
	for _, key := range listed {
		if _, seq, _, err := lake.ParseManifestKey(key); err == nil && seq > from.Seq && seq <= gate.Seq+1 {
			bySeq[seq] = append(bySeq[seq], key)
		}
	}
	p := Path{Ahead: bySeq[gate.Seq+1]}
	delete(bySeq, gate.Seq+1)
	seqs := slices.Sorted(maps.Keys(bySeq))
	if cut && len(seqs) > 0 { // of the last there may be more, and of what is ahead of the gate's
		delete(bySeq, seqs[len(seqs)-1])
		seqs = seqs[:len(seqs)-1]
	}
	for _, seq := range seqs {
		if seq < gate.Seq {
			p.Steps = append(p.Steps, Step{Seq: seq, Keys: bySeq[seq]})
		}
	}
	switch {
	case slices.Contains(bySeq[gate.Seq], gate.Manifest):
		p.Steps = append(p.Steps, Step{Seq: gate.Seq, Keys: []string{gate.Manifest}})
	case !cut && gate.Seq > from.Seq:
		p.Steps = append(p.Steps, Step{Seq: gate.Seq})
	}
	return p, nil
}

// Unsure are the steps of which only the manifests after them tell what counts: read the one behind the last of them, if
// there is one. None: first is behind the last step.
func (p Path) Unsure() (first, behind int) {
	first = slices.IndexFunc(p.Steps, func(s Step) bool { return len(s.Keys) > 1 })
	if first < 0 {
		return len(p.Steps), len(p.Steps)
	}
	for behind = first; behind < len(p.Steps) && len(p.Steps[behind].Keys) > 1; {
		behind++
	}
	return first, behind
}

// Settle says which manifest of the step counts: the one that the flush after it names. One that nothing names, or that is
// not there, counts as gone.
func (p Path) Settle(i int, named flush.Link) {
	s := &p.Steps[i]
	if s.Seq == named.Seq && slices.Contains(s.Keys, named.Manifest) {
		s.Keys = []string{named.Manifest}
	} else {
		s.Keys = nil
	}
}
