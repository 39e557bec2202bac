package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"weir/pkg/jsonscan"
)

// Policy is what a source wants done to its events before they are stored. Paths are keys joined by dots, such as
// traits.email; an array on the way stands for each of its elements.
type Policy struct {
	Drop []string // members that go, every one of that name
	Hash []string // members whose scalars become their HMAC-SHA256 in hex; null and "" stay
	Key  []byte   // of the HMAC

	// DropIP lets no address of the sender be stored, neither context.ip nor the connection's.
	DropIP bool
	// MaskIP appends what may be stored of an address, ASCII without quotes, and nothing where it is none; nil stores all.
	MaskIP func(dst, address []byte) []byte

	Blocked    []string // event names that are rejected
	Suppressed []string // userId, anonymousId or previousId of whom nothing is kept, not even what is rejected
}

// Rules are a Policy made ready, safe for concurrent use.
type Rules struct {
	event, batch branch // what they do to a body of one event, and of a batch; without kids: nothing
	mac          mac
	dropIP       bool
	maskIP       func(dst, address []byte) []byte
	blocked      map[string]struct{}
	suppressed   map[string]struct{}
}

// action is what happens to a member.
type action uint8

const (
	keepMember action = iota
	dropMember
	hashMember // with everything inside
	maskMember
)

// branch is one step of the paths.
type branch struct {
	act  action
	kids map[string]*branch
	rest *branch // all members that are not among kids; nil = they stay
}

// CheckPath tells what is wrong with a path of Drop, or of Hash; "" if nothing is.
func CheckPath(path string, hash bool) string {
	first, _, _ := strings.Cut(path, ".")
	switch {
	case path == "" || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, ".."):
		return "want keys joined by dots, such as traits.email"
	case path == "context.ip":
		return "say ip: drop or ip: mask, which also holds for the connection's address"
	}
	switch fieldOf([]byte(first)) {
	case fieldWriteKey, fieldType, fieldMessageID, fieldOriginalTimestamp, fieldTimestamp, fieldSentAt, fieldReceivedAt, fieldEvent:
		return first + " is what weir knows an event by: it stays as it is"
	case fieldUserID, fieldAnonymousID, fieldPreviousID:
		if !hash {
			return "without " + first + " nobody may know whose an event is: hash it"
		}
	}
	return ""
}

// NewRules makes a policy ready; nil where it does nothing. Its paths are right by CheckPath.
func NewRules(p Policy) *Rules {
	r := &Rules{mac: newMAC(p.Key), dropIP: p.DropIP, maskIP: p.MaskIP, blocked: setOf(p.Blocked), suppressed: setOf(p.Suppressed)}
	for _, path := range p.Hash {
		r.event.add(path, hashMember)
	}
	for _, path := range p.Drop {
		r.event.add(path, dropMember)
	}
	switch {
	case p.DropIP:
		r.event.add("context.ip", dropMember)
	case p.MaskIP != nil:
		r.event.add("context.ip", maskMember)
	}
	r.event.spread()
	r.addBatch()
	for _, id := range p.Suppressed {
		if len(p.Hash) == 0 {
			break
		}
		r.suppressed[string(r.mac.append(nil, []byte(id)))] = struct{}{} // as it stands once the rules were applied
	}
	if r.event.kids == nil && r.blocked == nil && r.suppressed == nil {
		return nil
	}
	return r
}

// addBatch says where the paths of an event stand in a batch: in each of its events, and in what they inherit.
func (r *Rules) addBatch() {
	if r.event.kids == nil {
		return
	}
	r.batch.kids = map[string]*branch{"batch": &r.event}
	for _, shared := range [...]string{fieldNames[fieldContext], fieldNames[fieldIntegrations]} {
		if b := r.event.kids[shared]; b != nil {
			r.batch.kids[shared] = b
		}
	}
}

func (b *branch) add(path string, act action) {
	for name := range strings.SplitSeq(path, ".") {
		next := b.kids[name]
		if next == nil {
			next = new(branch)
			if b.kids == nil {
				b.kids = make(map[string]*branch)
			}
			b.kids[name] = next
		}
		b = next
	}
	b.act = act
}

// spread gives what stands inside a member that is hashed or masked the same, but for what has a path of its own.
func (b *branch) spread() {
	for _, kid := range b.kids {
		if kid.act == keepMember {
			kid.act = b.act
		}
		kid.spread()
	}
	if b.act != keepMember {
		b.rest = &branch{act: b.act}
		b.rest.rest = b.rest
	}
}

// under is what happens to the member of that name: nil is nothing.
func (b *branch) under(name []byte) *branch {
	if kid := b.kids[string(name)]; kid != nil {
		return kid
	}
	return b.rest
}

func setOf(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]struct{}, len(list))
	for _, text := range list {
		set[text] = struct{}{}
	}
	return set
}

// mac is HMAC-SHA256 (RFC 2104) by hand: the standard library's keeps a state, which requests could not share.
type mac struct{ inner, outer [sha256.BlockSize]byte }

func newMAC(key []byte) (m mac) {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	copy(m.inner[:], key)
	copy(m.outer[:], key)
	for i := range m.inner {
		m.inner[i] ^= 0x36
		m.outer[i] ^= 0x5c
	}
	return m
}

// append appends the sum of text in hex to dst, which is scratch beyond its length.
func (m *mac) append(dst, text []byte) []byte {
	from := len(dst)
	dst = append(append(dst, m.inner[:]...), text...)
	inner := sha256.Sum256(dst[from:])
	dst = append(append(dst[:from], m.outer[:]...), inner[:]...)
	sum := sha256.Sum256(dst[from:])
	return hex.AppendEncode(dst[:from], sum[:])
}

// whose are the fields that say whose an event is.
var whose = [...]field{fieldUserID, fieldAnonymousID, fieldPreviousID}

// hidesID tells whether an event may name somebody of whom nothing may be kept where isSuppressed does not look: what is
// stored has none of it, but the event as it was sent has.
func (in *Intake) hidesID(f *found) bool {
	switch {
	case in.rules == nil || in.rules.suppressed == nil || f.malformed:
		return false
	case f.value.Kind != jsonscan.Object:
		return true
	}
	for _, c := range in.cuts[f.cuts.from:f.cuts.to] {
		if slices.Contains(whose[:], c.field) { // it stands twice
			return true
		}
	}
	return slices.ContainsFunc(whose[:], func(name field) bool {
		kind := f.members[name].kind
		return kind == jsonscan.Object || kind == jsonscan.Array
	})
}

// isSuppressed tells whether the event is of somebody of whom nothing may be kept.
func (in *Intake) isSuppressed(f *found) bool {
	if in.rules == nil || in.rules.suppressed == nil {
		return false
	}
	for _, name := range whose {
		var id []byte
		switch m := &f.members[name]; m.kind {
		case jsonscan.String:
			id = in.textOf(m)
		case jsonscan.Number:
			id = in.body[m.value.from:m.value.to]
		default:
			continue
		}
		if _, ok := in.rules.suppressed[string(id)]; ok {
			return true
		}
	}
	return false
}

func (in *Intake) isBlocked(f *found) bool {
	if in.rules == nil || in.rules.blocked == nil || f.members[fieldEvent].kind != jsonscan.String {
		return false
	}
	_, ok := in.rules.blocked[string(in.textOf(&f.members[fieldEvent]))]
	return ok
}

// withhold tells whether anything may be personal that nobody can read, so that it cannot be kept.
func (r *Rules) withhold() bool {
	return r != nil && (r.event.kids != nil || r.suppressed != nil)
}

// address is what the rules allow to be stored of the connection's address.
func (r *Rules) address(ip string) string {
	switch {
	case r == nil || ip == "":
		return ip
	case r.dropIP:
		return ""
	case r.maskIP == nil:
		return ip
	}
	return string(r.maskIP(nil, []byte(ip)))
}
