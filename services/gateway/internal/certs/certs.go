// Package certs gives the listener its certificate, and follows the files that it comes from. Its invariant: what is in
// force is a pair that fits, and where client certificates are asked for, with the authorities that they must come from;
// files that cannot be read or do not fit each other never take the last good ones away. It opens no connection; the
// server does. Owned by the gateway.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"weir/services/gateway/internal/filestamp"
)

// Files are where certificates stand, in PEM.
type Files struct {
	Cert     string // the server's, with those between it and its authority
	Key      string
	ClientCA string // authorities of clients, each of which must have a certificate then; "" = none is asked for
}

// Reload is one look at files that had changed, or at a certificate that has ended.
type Reload struct {
	Until time.Time // when the certificate in force ends
	Err   error     // what is wrong; the last good files stay in force
}

// Watcher holds what the files say.
type Watcher struct {
	files   Files
	current atomic.Pointer[pair]
	seen    [3]filestamp.Stamp
	failure string // why the content last seen was refused; "" = it is in force
	ended   bool   // it was told that the certificate in force has ended
}

type pair struct {
	config *tls.Config
	until  time.Time
}

// Open reads the files.
func Open(files Files) (*Watcher, error) {
	w := &Watcher{files: files, seen: files.stamps()}
	p, err := load(files)
	if err != nil {
		return nil, err
	}
	w.current.Store(p)
	return w, nil
}

// Check gives every fault of the files, each with the part of Files that it is in.
func (f Files) Check() (cert, clientCA error) {
	if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
		cert = fmt.Errorf("read the certificate %s with its key %s: %w", f.Cert, f.Key, err)
	}
	if f.ClientCA != "" {
		_, clientCA = authorities(f.ClientCA)
	}
	return cert, clientCA
}

// Config is that of a listener: each handshake takes what is in force then.
func (w *Watcher) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return w.current.Load().config, nil
		},
	}
}

// Until is when the certificate in force ends.
func (w *Watcher) Until() time.Time { return w.current.Load().until }

// Follow looks at the files every interval until ctx ends, and tells report of each change.
func (w *Watcher) Follow(ctx context.Context, interval time.Duration, report func(Reload)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if r, changed := w.look(now); changed {
				report(r)
			}
		}
	}
}

// look reads changed files anew. Files that were refused are read again at each look: a certificate and its key are not
// replaced at one instant. What is refused is reported once, as is a certificate that ends.
func (w *Watcher) look(now time.Time) (Reload, bool) {
	stamps := w.files.stamps()
	changed := false
	for i := range stamps {
		changed = changed || !stamps[i].Same(w.seen[i])
	}
	if !changed && w.failure == "" {
		return w.end(now)
	}
	w.seen = stamps
	p, err := load(w.files)
	if err != nil {
		again := w.failure == err.Error()
		w.failure = err.Error()
		return Reload{Until: w.Until(), Err: err}, !again
	}
	w.failure, w.ended = "", false
	w.current.Store(p)
	return Reload{Until: p.until}, true
}

func (w *Watcher) end(now time.Time) (Reload, bool) {
	until := w.Until()
	if w.ended || now.Before(until) {
		return Reload{}, false
	}
	w.ended = true
	return Reload{Until: until, Err: fmt.Errorf("the certificate %s has ended at %s: replace it", w.files.Cert, until.Format(time.RFC3339))}, true
}

func (f Files) stamps() [3]filestamp.Stamp {
	s := [3]filestamp.Stamp{filestamp.Of(f.Cert), filestamp.Of(f.Key)}
	if f.ClientCA != "" {
		s[2] = filestamp.Of(f.ClientCA)
	}
	return s
}

func load(f Files) (*pair, error) {
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s with its key %s: %w", f.Cert, f.Key, err)
	}
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if f.ClientCA != "" {
		if config.ClientCAs, err = authorities(f.ClientCA); err != nil {
			return nil, err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return &pair{config: config, until: cert.Leaf.NotAfter}, nil
}

var errNoCertificate = errors.New("holds no certificate in PEM")

func authorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s %w", path, errNoCertificate)
	}
	return pool, nil
}
