// Package puretest keeps pure packages pure. Its invariant: a package whose test calls Check imports nothing that does I/O,
// waits, locks or draws lots, asks no clock, and knows no adapter. The linter says the same of the packages that it lists;
// this test stands beside the code. Owned by all pure packages.
package puretest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// impure are the packages, with those below them, that nothing pure imports.
var impure = []string{
	"context", "crypto/rand", "hash/maphash", "io", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "testing", "unsafe",
	"github.com/aws", "github.com/parquet-go", "github.com/twmb", "go.opentelemetry.io", "google.golang.org",
	"weir/pkg/athena", "weir/pkg/columnar", "weir/pkg/embedded", "weir/pkg/emr", "weir/pkg/glue", "weir/pkg/kafka", "weir/pkg/rawcopy", "weir/pkg/s3", "weir/pkg/telemetry",
	"weir/proto",
}

// clock are the functions of package time that ask it or wait for it. Its values are welcome.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// Check looks at the package in the test's own directory, under every build tag, but for its tests. also are packages that
// this one must not import either.
func Check(t *testing.T, also ...string) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, fault := range faults(file, slices.Concat(impure, also)) {
			t.Errorf("%s %s", name, fault)
		}
	}
	if looked == 0 {
		t.Error("there is no package here")
	}
}

// faults are what a file imports, or asks of a clock, that it must not.
func faults(file *ast.File, forbidden []string) (list []string) {
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value) // the parser has read it
		if slices.ContainsFunc(forbidden, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") }) {
			list = append(list, "imports "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, s.Sel.Name) {
				list = append(list, "asks time."+s.Sel.Name)
			}
		}
		return true
	})
	return list
}
