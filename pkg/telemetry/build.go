package telemetry

import "runtime/debug"

// Build is what the Go tool recorded in the binary.
type Build struct {
	Version string // "dev" where nothing was recorded
	Commit  string
}

// ReadBuild reads it.
func ReadBuild() Build {
	b := Build{Version: "dev"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}
