package caller

import (
	"net/http"
	"net/netip"
	"strings"
)

// Address is the address that a request came from. X-Forwarded-For can be written
// by anyone, so it is read from its end, and only as far as the hops are proxies
// that the operator trusts.
func Address(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap().WithZone("")
	if len(trusted) == 0 || !within(addr, trusted) {
		return addr.String()
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseHop(hops[i])
		if !ok {
			break // whatever stands before it was not written by a trusted proxy
		}
		addr = hop
		if !within(addr, trusted) {
			break
		}
	}
	return addr.String()
}

// parseHop reads an address, with or without a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func within(addr netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
