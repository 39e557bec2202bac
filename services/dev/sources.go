package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sourcesFile is the gateway's list of sources; the first start writes it, later
// ones leave it alone.
const sourcesFile = "sources.yaml"

const firstSources = `# Who may send events, and with which write keys. The gateway reads changes by itself.
sources:
  - id: source1
    name: First source
    enabled: true
    write_keys: [dev-write-key]
`

// SourcesPath is where a dev folder keeps its sources.
func SourcesPath(dir string) string { return filepath.Join(dir, sourcesFile) }

func writeFirstSources(dir string) (path string, err error) {
	path = SourcesPath(dir)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	return path, replaceFile(path, []byte(firstSources), 0o600)
}

// sender is a source that the demo and the printed examples can use.
type sender struct{ ID, WriteKey string }

// readSender finds the first enabled source with a write key in plain text.
func readSender(path string) (sender, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return sender{}, err
	}
	var file struct {
		Sources []struct {
			ID        string
			Enabled   *bool
			WriteKeys []string `yaml:"write_keys"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return sender{}, fmt.Errorf("read %s: %w", path, err)
	}
	for _, s := range file.Sources {
		for _, key := range s.WriteKeys {
			if (s.Enabled == nil || *s.Enabled) && !strings.HasPrefix(key, "sha256:") {
				return sender{ID: s.ID, WriteKey: key}, nil
			}
		}
	}
	return sender{}, fmt.Errorf("%s has no enabled source with a write key in plain text", path)
}
