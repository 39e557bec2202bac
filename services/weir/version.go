package main

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"

	"weir/pkg/telemetry"
	"weir/services/query"
	"weir/services/query/rows"
)

type versionCommand struct {
	output `embed:""`
}

func (c *versionCommand) run(_ context.Context, std stdio) error {
	build := telemetry.ReadBuild()
	found := rows.New("what", "value")
	found.Add("version", cmp.Or(version, build.Version))
	found.Add("commit", cmp.Or(build.Commit, "unknown"))
	found.Add("go", runtime.Version())
	found.Add("platform", runtime.GOOS+"/"+runtime.GOARCH)
	engine := "DuckDB"
	if query.Available() != nil {
		engine = "none"
	}
	found.Add("sql engine", engine)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Value != "" && s.Key != "vcs.revision" {
				found.Add(s.Key, s.Value)
			}
		}
	}
	return found.Write(std.out, c.Output)
}
