package source

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"weir/pkg/settings"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/quota"
)

// Secrets finds the key of an HMAC by its reference; nil finds none and asks for none,
// for whoever looks at the list and not at events.
type Secrets func(env, file string) ([]byte, error)

// leastSecret is how long the key of an HMAC must be, in bytes: shorter ones are guessed
// with the sums of known addresses.
const leastSecret = 16

// FileSecrets reads the environment, and files; a relative one stands beside the list.
func FileSecrets(list string) Secrets {
	return func(env, file string) ([]byte, error) {
		if env != "" {
			return checkSecret("the variable that key_env names", os.Getenv(env)) // the key itself may stand there by mistake
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(list), file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return checkSecret("file "+file, string(text))
	}
}

func checkSecret(where, text string) ([]byte, error) {
	text = strings.TrimRight(text, "\r\n")
	if len(text) < leastSecret {
		return nil, fmt.Errorf("%s has %d bytes: a key has at least %d", where, len(text), leastSecret)
	}
	return []byte(text), nil
}

const (
	defaultBurst = 10 * time.Second
	longestBurst = time.Hour
)

// policy is what a source says about its requests and events.
type policy struct {
	limits  quota.Limits
	origins []string
	event   intake.Policy
}

// policy reads the fields of a source.
func (b *builder) policy(place int, fields map[string]*yaml.Node) (p policy) {
	r := policyReader{b: b, place: place}
	p.limits = r.limits(fields["limits"])
	p.origins = r.origins(fields["allowed_origins"])
	r.address(&p.event, fields["ip"])
	p.event.Drop = r.paths("drop", fields["drop"], false)
	r.hmac(&p.event, fields["hmac"])
	p.event.Blocked = r.texts("blocked_events", fields["blocked_events"])
	p.event.Suppressed = r.texts("suppressed_users", fields["suppressed_users"])
	return p
}

type policyReader struct {
	b     *builder
	place int
}

func (r policyReader) fault(line int, format string, args ...any) {
	r.b.fault(line, "source %d: %s", r.place, fmt.Sprintf(format, args...))
}

func (r policyReader) limits(n *yaml.Node) (l quota.Limits) {
	if n == nil || isNull(n) {
		return l
	}
	fields := r.b.fields(n, "events_per_second", "bytes_per_second", "burst")
	l.Burst = defaultBurst
	if events := fields["events_per_second"]; events != nil {
		v, err := strconv.ParseUint(events.Value, 10, 32)
		if err != nil || v == 0 {
			r.fault(events.Line, "events_per_second: want a number, at least 1")
		}
		l.EventsPerSecond = float64(v)
	}
	if bytes := fields["bytes_per_second"]; bytes != nil {
		var v settings.Bytes
		if v.UnmarshalText([]byte(bytes.Value)) != nil || v <= 0 {
			r.fault(bytes.Line, "bytes_per_second: want a size such as 1MiB")
		}
		l.BytesPerSecond = float64(v)
	}
	if burst := fields["burst"]; burst != nil {
		var err error
		if l.Burst, err = time.ParseDuration(burst.Value); err != nil || l.Burst < time.Second || l.Burst > longestBurst {
			r.fault(burst.Line, "burst: want a time between 1s and %s", longestBurst)
		}
	}
	if l.None() && len(fields) > 0 {
		r.fault(n.Line, "limits: want events_per_second, bytes_per_second or both")
	}
	return l
}

func (r policyReader) origins(n *yaml.Node) []string {
	list := r.texts("allowed_origins", n)
	if list != nil && len(list) == 0 {
		r.fault(n.Line, "allowed_origins is empty: leave it out where pages of all origins may send")
	}
	for i, text := range list {
		if !validOrigin(text) {
			r.fault(n.Content[i].Line, "allowed_origins: want such as https://shop.example, or https://*.shop.example for all hosts below it")
		}
		list[i] = strings.ToLower(text)
	}
	return list
}

func (r policyReader) address(p *intake.Policy, n *yaml.Node) {
	if n == nil || isNull(n) {
		return
	}
	switch n.Value {
	case "keep":
	case "mask":
		p.MaskIP = maskAddress
	case "drop":
		p.DropIP = true
	default:
		r.fault(n.Line, "ip: want keep, mask or drop")
	}
}

func (r policyReader) paths(field string, n *yaml.Node, hash bool) []string {
	list := r.texts(field, n)
	for i, path := range list {
		if fault := intake.CheckPath(path, hash); fault != "" {
			r.fault(n.Content[i].Line, "%s: path %d: %s", field, i+1, fault)
		}
	}
	return list
}

func (r policyReader) hmac(p *intake.Policy, n *yaml.Node) {
	if n == nil || isNull(n) {
		return
	}
	fields := r.b.fields(n, "paths", "key_env", "key_file")
	p.Hash = r.paths("hmac", fields["paths"], true)
	if p.Hash == nil && fields["paths"] == nil {
		r.fault(n.Line, "hmac: want paths")
	}
	env := r.b.scalar(r.place, n.Line, "key_env", fields["key_env"]).text
	file := r.b.scalar(r.place, n.Line, "key_file", fields["key_file"]).text
	if (env == "") == (file == "") {
		r.fault(n.Line, "hmac: want key_env, the name of a variable that holds the key, or key_file, the name of a file")
		return
	}
	if r.b.secrets == nil {
		return
	}
	key, err := r.b.secrets(env, file)
	if err != nil {
		r.fault(n.Line, "hmac: %s", err)
	}
	p.Key = key
}

// texts reads a list. The texts themselves are not told in a fault: they may be ids.
func (r policyReader) texts(field string, n *yaml.Node) []string {
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.fault(n.Line, "%s: want a list", field)
		return nil
	}
	list := make([]string, len(n.Content))
	for i, item := range n.Content {
		s := r.b.scalar(r.place, item.Line, field, item)
		if list[i] = s.text; s.text == "" && !s.unreadable {
			r.fault(item.Line, "%s: item %d is empty", field, i+1)
		}
	}
	return list
}

// maskAddress appends the network of an address: without the last 8 bits of IPv4, the
// last 80 of IPv6.
func maskAddress(dst, text []byte) []byte {
	addr, err := netip.ParseAddr(string(text))
	if err != nil {
		return dst
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return dst
	}
	return network.Addr().AppendTo(dst)
}

// validOrigin tells whether a text can be an origin as browsers write it; a host may
// begin with "*.".
func validOrigin(text string) bool {
	scheme, host, ok := strings.Cut(text, "://")
	host = strings.TrimPrefix(host, "*.")
	return ok && scheme != "" && host != "" && !strings.ContainsAny(host, "/*?#@ \t") && !strings.ContainsAny(scheme, "*/ ")
}

// Allows tells whether the source takes requests of that Origin: "" is of no browser's
// page, which is always taken. A source that names no origins takes all.
func (s *Source) Allows(origin string) bool {
	if len(s.Origins) == 0 || origin == "" {
		return true
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(s.Origins, func(allowed string) bool {
		scheme, domain, isWild := strings.Cut(allowed, "*")
		if !isWild {
			return origin == allowed
		}
		host, ok := strings.CutPrefix(origin, scheme)
		return ok && strings.HasSuffix(host, domain) && len(host) > len(domain)
	})
}
