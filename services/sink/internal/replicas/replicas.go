// Package replicas asks Kubernetes whether a pod of a StatefulSet is wanted any longer. Its invariant: it says that a
// pod is gone only where the API server says that the set wants fewer pods than the ordinal needs; outside of Kubernetes
// every pod stays. It decides nothing about what that means for a group (group does). Any goroutine may call it.
package replicas

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// account is where Kubernetes puts what a pod needs to talk to the API server (kubernetes.io, "Accessing the API from a
// Pod").
const account = "/var/run/secrets/kubernetes.io/serviceaccount"

// Gone tells whether the pod, named <set>-<ordinal>, is one that its StatefulSet does not want any longer. It needs the
// right to get statefulsets/scale.
func Gone(ctx context.Context, pod string) (bool, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" {
		return false, nil
	}
	return gone(ctx, "https://"+net.JoinHostPort(host, port), account, pod)
}

func gone(ctx context.Context, server, account, pod string) (bool, error) {
	set, ordinal, ok := split(pod)
	if !ok {
		return false, nil // no pod of a StatefulSet
	}
	scale, err := get(ctx, server, account, set)
	if err != nil {
		return false, fmt.Errorf("ask for the scale of StatefulSet %s: %w", set, err)
	}
	return ordinal >= scale.Spec.Replicas, nil
}

// split takes a pod's name apart.
func split(pod string) (set string, ordinal int, ok bool) {
	i := strings.LastIndexByte(pod, '-')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(pod[i+1:], 10, 31)
	return pod[:i], int(n), err == nil
}

// scale is what the subresource says (autoscaling/v1).
type scale struct {
	Spec struct {
		Replicas int `json:"replicas"`
	} `json:"spec"`
}

func get(ctx context.Context, server, account, set string) (s scale, err error) {
	files := map[string]string{}
	for _, name := range []string{"token", "namespace", "ca.crt"} {
		b, err := os.ReadFile(filepath.Join(account, name))
		if err != nil {
			return s, err
		}
		files[name] = strings.TrimSpace(string(b))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(files["ca.crt"])) {
		return s, fmt.Errorf("%s/ca.crt holds no certificate", account)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	path := fmt.Sprintf("%s/apis/apps/v1/namespaces/%s/statefulsets/%s/scale", server, url.PathEscape(files["namespace"]), url.PathEscape(set))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return s, err
	}
	req.Header.Set("Authorization", "Bearer "+files["token"])
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return s, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("the API server answers %s: the pod's service account needs the right to get statefulsets/scale", resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&s)
	return s, err
}
