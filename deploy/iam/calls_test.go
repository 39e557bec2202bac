package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sdk is where the clients of AWS are, each in a package that is named for its service.
const sdk = "github.com/aws/aws-sdk-go-v2/service/"

// calls is which function of weir's code may come to call which: every mention of a
// function counts as a call, and a method of an interface of weir's as that of every type
// of weir's which has it.
type calls struct {
	edges      map[*types.Func][]*types.Func
	operations map[*types.Func][]string // "s3:HeadObject", of a client that it calls itself
	byName     map[string]*types.Func   // weir/services/sink.Run, (*weir/pkg/s3.Store).Put
	concrete   []types.Type             // weir's own, as pointers
}

// listed is what `go list` tells of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// load reads weir and everything that it imports, in the order of imports.
func load(t *testing.T) *calls {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles", "weir/services/weir")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(t, err, said.String())
	c := &calls{edges: map[*types.Func][]*types.Func{}, operations: map[*types.Func][]string{}, byName: map[string]*types.Func{}}
	files, exports := token.NewFileSet(), map[string]string{}
	own := map[string]*types.Package{}
	foreign := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var checked []unit
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		if exports[p.ImportPath] = p.Export; strings.HasPrefix(p.ImportPath, "weir/") {
			u := check(t, files, p, own, foreign)
			own[p.ImportPath] = u.pkg
			checked = append(checked, u)
		}
	}
	for _, u := range checked {
		c.types(u.pkg)
	}
	for _, u := range checked {
		c.read(u)
	}
	return c
}

// unit is one package of weir's, with its types.
type unit struct {
	pkg   *types.Package
	files []*ast.File
	info  *types.Info
}

func check(t *testing.T, files *token.FileSet, p listed, own map[string]*types.Package, foreign types.Importer) unit {
	t.Helper()
	u := unit{info: &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		u.files = append(u.files, f)
	}
	cfg := types.Config{Importer: both{own, foreign}}
	pkg, err := cfg.Check(p.ImportPath, files, u.files, u.info)
	require.NoError(t, err)
	u.pkg = pkg
	return u
}

// both knows weir's packages from their sources and others from what was compiled.
type both struct {
	own     map[string]*types.Package
	foreign types.Importer
}

func (b both) Import(path string) (*types.Package, error) {
	if p := b.own[path]; p != nil {
		return p, nil
	}
	return b.foreign.Import(path)
}

func (c *calls) types(p *types.Package) {
	for _, name := range p.Scope().Names() {
		if n, ok := p.Scope().Lookup(name).(*types.TypeName); ok && !n.IsAlias() && !types.IsInterface(n.Type()) {
			c.concrete = append(c.concrete, types.NewPointer(n.Type()))
		}
	}
}

func (c *calls) read(u unit) {
	for _, f := range u.files {
		for _, d := range f.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || decl.Body == nil {
				continue
			}
			from := u.info.Defs[decl.Name].(*types.Func)
			c.byName[from.FullName()] = from
			ast.Inspect(decl.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					if to, ok := u.info.Uses[id].(*types.Func); ok {
						c.mention(from, to.Origin())
					}
				}
				return true
			})
		}
	}
}

// paginator is how the SDK names what calls an operation again and again.
var paginator = regexp.MustCompile(`^New(\w+)Paginator$`)

func (c *calls) mention(from, to *types.Func) {
	if to.Pkg() == nil {
		return // error.Error
	}
	recv := to.Signature().Recv()
	if service, ok := strings.CutPrefix(to.Pkg().Path(), sdk); ok {
		if m := paginator.FindStringSubmatch(to.Name()); m != nil {
			c.operations[from] = append(c.operations[from], service+":"+m[1])
		} else if recv != nil && strings.HasSuffix(recv.Type().String(), ".Client") && to.Name() != "Options" {
			c.operations[from] = append(c.operations[from], service+":"+to.Name())
		}
		return
	}
	if !strings.HasPrefix(to.Pkg().Path(), "weir/") {
		return
	}
	if recv == nil || !types.IsInterface(recv.Type()) {
		c.edges[from] = append(c.edges[from], to)
		return
	}
	i := recv.Type().Underlying().(*types.Interface)
	for _, t := range c.concrete {
		if !types.Implements(t, i) {
			continue
		}
		if m, _, _ := types.LookupFieldOrMethod(t, true, to.Pkg(), to.Name()); m != nil {
			c.edges[from] = append(c.edges[from], m.(*types.Func))
		}
	}
}

// reached are the operations of AWS that the named functions may come to call.
func (c *calls) reached(t *testing.T, roots ...string) (operations []string) {
	t.Helper()
	var todo []*types.Func
	for _, name := range roots {
		f := c.byName[name]
		require.NotNil(t, f, "there is no function %s", name)
		todo = append(todo, f)
	}
	seen := map[*types.Func]bool{}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[f] {
			continue
		}
		seen[f] = true
		operations = append(operations, c.operations[f]...)
		todo = append(todo, c.edges[f]...)
	}
	slices.Sort(operations)
	return slices.Compact(operations)
}
