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
	PythonSDKVersion = "2.3.4"
	NodeSDKVersion   = "3.1.0"
)

// FetchPythonSDK makes a Python environment with Segment's library in it. Prerequisite: Python 3 with venv and pip.
func FetchPythonSDK(ctx context.Context) (python string, err error) {
	dir, err := fetchPython(ctx, "segment-python-"+PythonSDKVersion, "segment-analytics-python=="+PythonSDKVersion)
	return filepath.Join(dir, "bin", "python"), err
}

// FetchNodeSDK returns the node_modules folder with Segment's library in it. Prerequisites: Node.js 20 and npm.
func FetchNodeSDK(ctx context.Context) (modules string, err error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("segment's node library needs %s on the path: %w", tool, err)
		}
	}
	dir, err := once(ctx, "segment-node-"+NodeSDKVersion, func(ctx context.Context, dir string) error {
		return run(ctx, dir, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", "@segment/analytics-node@"+NodeSDKVersion)
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
