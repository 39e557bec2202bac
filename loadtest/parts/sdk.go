package parts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Versions of Segment's own libraries, as users install them.
const (
	PythonSDKVersion  = "2.3.4"
	NodeSDKVersion    = "3.1.0"
	BrowserSDKVersion = "1.84.3"
	JavaSDKVersion    = "3.5.4"

	jsdomVersion = "26.1.0" // the page that the browser's library runs in
)

// FetchPythonSDK makes a Python environment with Segment's library in it. Prerequisite: Python 3 with venv and pip.
func FetchPythonSDK(ctx context.Context) (python string, err error) {
	dir, err := fetchPython(ctx, "segment-python-"+PythonSDKVersion, "segment-analytics-python=="+PythonSDKVersion)
	return filepath.Join(dir, "bin", "python"), err
}

// FetchNodeSDK returns the node_modules folder with Segment's library in it. Prerequisites: Node.js 20 and npm.
func FetchNodeSDK(ctx context.Context) (modules string, err error) {
	return fetchNode(ctx, "segment-node-"+NodeSDKVersion, "@segment/analytics-node@"+NodeSDKVersion)
}

// FetchBrowserSDK returns the node_modules folder with Segment's library for browsers, and jsdom, in it. Prerequisites:
// Node.js 20 and npm.
func FetchBrowserSDK(ctx context.Context) (modules string, err error) {
	return fetchNode(ctx, "segment-browser-"+BrowserSDKVersion, "@segment/analytics-next@"+BrowserSDKVersion, "jsdom@"+jsdomVersion)
}

const javaSDKPom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir.parts</groupId><artifactId>segment-java</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>com.segment.analytics.java</groupId><artifactId>analytics</artifactId><version>` + JavaSDKVersion + `</version></dependency>
  </dependencies>
</project>
`

// FetchJavaSDK returns the class path of Segment's library. Prerequisites: a JDK and Maven.
func FetchJavaSDK(ctx context.Context) (classpath string, err error) {
	for _, tool := range []string{"javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("segment's java library needs %s on the path: %w", tool, err)
		}
	}
	dir, err := once(ctx, "segment-java-"+JavaSDKVersion, func(ctx context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(javaSDKPom), 0o644); err != nil {
			return err
		}
		return run(ctx, dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
	})
	return filepath.Join(dir, "lib", "*"), err
}

// BuildGoSDK builds the program of a module of its own that names Segment's library for Go; Go's client fetches that. The
// module pins it, so that weir's own does not hold it.
func BuildGoSDK(ctx context.Context, module, bin string) error {
	return run(ctx, module, "go", "build", "-o", bin, ".")
}

// CompileJava compiles one source file into a folder.
func CompileJava(ctx context.Context, source, classpath, into string) error {
	return run(ctx, "", "javac", "-encoding", "UTF-8", "-cp", classpath, "-d", into, source)
}

// fetchNode makes a node_modules folder with packages in it, and runs none of their scripts.
func fetchNode(ctx context.Context, name string, packages ...string) (string, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s needs %s on the path: %w", packages[0], tool, err)
		}
	}
	dir, err := once(ctx, name, func(ctx context.Context, dir string) error {
		return run(ctx, dir, "npm", append([]string{"install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts"}, packages...)...)
	})
	return filepath.Join(dir, "node_modules"), err
}

// fetchPython makes a Python environment with the requirements in it. An environment holds its own path, so it is made
// where it stays; the stamp says that it is whole.
func fetchPython(ctx context.Context, name string, requirements ...string) (string, error) {
	if _, err := exec.LookPath("python3"); err != nil {
		return "", fmt.Errorf("%s needs python3 on the path: %w", name, err)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	stamp := filepath.Join(dir, "whole")
	if _, err := os.Stat(stamp); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	if err := run(ctx, cache, "python3", "-m", "venv", "--clear", dir); err != nil {
		return "", err
	}
	if err := run(ctx, dir, filepath.Join(dir, "bin", "pip"), append([]string{"install", "-q"}, requirements...)...); err != nil {
		return "", err
	}
	return dir, os.WriteFile(stamp, nil, 0o644)
}
