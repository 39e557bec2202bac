package caller

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBasicKey(t *testing.T) {
	for authorization, want := range map[string]string{
		"Basic a2V5Og==": "key", "basic a2V5Og": "key", "BASIC  a2V5": "key", "Basic a2V5OnA6cQ==": "key",
		"Basic": "", "Basic ": "", "Basic Og==": "", "Bearer a2V5Og==": "", "a2V5Og==": "", "": "", "Basic %%%": "",
		"Basic " + strings.Repeat("YWFh", 1000): "",
	} {
		require.Equal(t, want, string(BasicKey(authorization)), authorization)
	}
}

func TestAnyKey(t *testing.T) {
	for authorization, want := range map[string]string{
		"Bearer key": "key", "bearer  key ": "key", "Basic a2V5Og==": "key", "Bearer": "", "Bearer ": "", "key": "", "Digest key": "",
		"Bearer " + strings.Repeat("x", maxKey+1): "",
	} {
		require.Equal(t, want, string(AnyKey(authorization)), authorization)
	}
}

func TestAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		peer, forwarded, want string
		trusted               []netip.Prefix
	}{
		{"198.51.100.1:1234", "", "198.51.100.1", nil},
		{"198.51.100.1:1234", "203.0.113.9", "198.51.100.1", nil},
		{"198.51.100.1:1234", "203.0.113.9", "198.51.100.1", trusted},
		{"10.0.0.1:1", "203.0.113.9", "203.0.113.9", trusted},
		{"10.0.0.1:1", "8.8.8.8, 203.0.113.9", "203.0.113.9", trusted},
		{"10.0.0.1:1", "203.0.113.9, 10.1.1.1,10.2.2.2", "203.0.113.9", trusted},
		{"10.0.0.1:1", "10.3.3.3", "10.3.3.3", trusted},
		{"10.0.0.1:1", "203.0.113.9, garbage, 10.1.1.1", "10.1.1.1", trusted},
		{"10.0.0.1:1", "", "10.0.0.1", trusted},
		{"10.0.0.1:1", "203.0.113.9:5555", "203.0.113.9", trusted},
		{"[::ffff:10.0.0.1]:1", "[2001:db8::1]:443", "2001:db8::1", trusted},
		{"[fd00::1%eth0]:1", "2001:db8::2", "2001:db8::2", trusted},
		{"@", "203.0.113.9", "", trusted},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header["X-Forwarded-For"] = []string{c.forwarded}
		}
		require.Equal(t, c.want, Address(r, c.trusted), "%+v", c)
	}
}
