//go:build e2e

package sdk

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// library is one of Segment's, in a program that does what testdata says, or the reason why it cannot be had.
type library struct {
	name     string // of the source, too
	part     string // what E2E_REQUIRE calls it
	context  string // what it says of itself in context.library: its name
	version  string // and its version
	agent    string // how its User-Agent begins
	reads429 bool   // it reads Retry-After on 429 alone, and gets that where the others get 503
	command  []string
	env      []string
	trusts   func(t *testing.T, file string) []string // of a certificate's authority, in PEM: the documented way
	err      error
}

// gone is what the library is answered where events cannot be stored.
func (l library) gone() int {
	if l.reads429 {
		return 429
	}
	return 503
}

// libraries fetches each, and never fails: who needs one asks parts.Need with its err.
func libraries(t *testing.T) []library {
	t.Helper()
	python, pythonErr := parts.FetchPythonSDK(t.Context())
	node, nodeErr := parts.FetchNodeSDK(t.Context())
	browser, browserErr := parts.FetchBrowserSDK(t.Context())
	return []library{
		{
			name: "python", part: "python-sdk", context: "analytics-python", version: parts.PythonSDKVersion, agent: "analytics-python/",
			command: []string{python, "testdata/python.py"}, trusts: variable("REQUESTS_CA_BUNDLE"), err: pythonErr,
		},
		{
			name: "node", part: "node-sdk", context: "@segment/analytics-node", version: parts.NodeSDKVersion, agent: "analytics-node-next/", reads429: true,
			command: []string{"node", "testdata/node.cjs"}, env: []string{"NODE_PATH=" + node}, trusts: variable("NODE_EXTRA_CA_CERTS"), err: nodeErr,
		},
		{
			name: "browser", part: "browser-sdk", context: "analytics.js", version: "npm:next-" + parts.BrowserSDKVersion, agent: "Mozilla/", reads429: true,
			command: []string{"node", "testdata/browser.cjs"}, env: []string{"NODE_PATH=" + browser}, trusts: variable("NODE_EXTRA_CA_CERTS"), err: browserErr,
		},
		goLibrary(t),
		javaLibrary(t),
	}
}

// The Go library calls itself 3.0.0 in every release of its third version.
func goLibrary(t *testing.T) library {
	l := library{name: "go", part: "go-sdk", context: "analytics-go", version: "3.0.0", agent: "analytics-go ", trusts: variable("SSL_CERT_FILE")}
	bin := filepath.Join(t.TempDir(), "sender")
	l.command, l.err = []string{bin}, parts.BuildGoSDK(t.Context(), "testdata/go", bin)
	return l
}

func javaLibrary(t *testing.T) library {
	l := library{name: "java", part: "java-sdk", context: "analytics-java", version: parts.JavaSDKVersion, agent: "analytics-java/", trusts: keytool}
	classpath, err := parts.FetchJavaSDK(t.Context())
	if l.err = err; err != nil {
		return l
	}
	classes := t.TempDir()
	l.err = parts.CompileJava(t.Context(), "testdata/java/Sender.java", classpath, classes)
	l.command = []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx96m", "-cp", classes + ":" + classpath, "Sender"}
	return l
}

// variable is a library that trusts the authorities of a file that a variable names.
func variable(name string) func(*testing.T, string) []string {
	return func(_ *testing.T, file string) []string { return []string{name + "=" + file} }
}

// keytool makes a trust store: Java reads no PEM.
func keytool(t *testing.T, file string) []string {
	t.Helper()
	store := filepath.Join(t.TempDir(), "trust.p12")
	out, err := exec.Command("keytool", "-importcert", "-noprompt", "-alias", "authority", "-file", file, "-keystore", store, "-storepass", "changeit").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return []string{"JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=" + store + " -Djavax.net.ssl.trustStorePassword=changeit"}
}
