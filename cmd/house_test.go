package cmd

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	module   = "aloft"
	maxLines = 600
)

// source is one Go file that people wrote.
type source struct {
	path string // slash, from the top
	pkg  string // import path below the module
	test bool
	file *ast.File
	text string
}

func sources(t *testing.T) ([]source, *token.FileSet) {
	t.Helper()
	fset := token.NewFileSet()
	var out []source
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); p != ".." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "bin" || n == "dist" || n == resultsName) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, ".pb.go") {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, p, b, parser.ParseComments)
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(filepath.ToSlash(p), "../")
		out = append(out, source{path: rel, pkg: strings.TrimSuffix(filepath.ToSlash(filepath.Dir(rel)), "/"), test: strings.HasSuffix(p, "_test.go"), file: f, text: string(b)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, fset
}

const resultsName = "sky_results"

// TestFileSizes keeps files to a size that can be read.
func TestFileSizes(t *testing.T) {
	t.Parallel()
	srcs, _ := sources(t)
	for _, s := range srcs {
		if n := strings.Count(s.text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines, at most %d: split it", s.path, n, maxLines)
		}
	}
}

// rule forbids imports: packages under From may not import packages under any of Never.
type rule struct {
	From  string
	Never []string
	Why   string
}

func rules() []rule {
	return []rule{
		{"tasks", []string{"aloft/proto", "aloft/controller", "aloft/agent", "aloft/providers", "aloft/cmd", "google.golang.org/grpc", "net/http"}, "what the user asked for knows nobody"},
		{"tasks/train", []string{"os/exec"}, "it describes a process, it does not start one"},
		{"providers", []string{"aloft/controller", "aloft/agent", "aloft/cmd"}, "a provider knows only the contract"},
		{"agent", []string{"aloft/controller", "aloft/providers", "aloft/cmd", "go.etcd.io/bbolt"}, "the agent is cattle with a spool"},
		{"controller", []string{"aloft/agent", "aloft/cmd"}, "the controller talks to agents by protocol"},
		{"controller/state", []string{"aloft/controller/store", "aloft/providers", "os", "context", "log/slog"}, "truth tables are pure"},
		{"controller/plan", []string{"aloft/controller/store", "context", "log/slog", "os", "math/rand", "math/rand/v2", "crypto/rand"}, "plan decides, it never acts"},
		{"controller/catalog/sheet", []string{"aloft", "context", "log/slog", "net", "net/http", "os"}, "a sheet is data: plan reads it"},
		{"controller/store", []string{"aloft/providers", "aloft/controller/fleet", "net"}, "the store knows nobody"},
		{"controller/reconcile", []string{"google.golang.org/grpc"}, "effects go through ports"},
		{"controller/fleet", []string{"aloft/providers", "aloft/controller/plan"}, "fleet talks to agents only"},
	}
}

// TestImports enforces who may know whom.
func TestImports(t *testing.T) {
	t.Parallel()
	srcs, fset := sources(t)
	for _, s := range srcs {
		if s.test {
			continue
		}
		for _, im := range s.file.Imports {
			p := strings.Trim(im.Path.Value, `"`)
			if strings.HasPrefix(p, module+"/cmd") && !strings.HasPrefix(s.pkg, "cmd") {
				t.Errorf("%s imports %s: nothing imports cmd", fset.Position(im.Pos()), p)
			}
			if p == "go.etcd.io/bbolt" && s.pkg != "controller/store/boltstore" {
				t.Errorf("%s: bbolt is boltstore's alone", fset.Position(im.Pos()))
			}
			for _, r := range rules() {
				if !under(s.pkg, r.From) || strings.HasPrefix(s.pkg, "controller/sim") {
					continue
				}
				for _, n := range r.Never {
					if under(p, n) {
						t.Errorf("%s: %s may not import %s: %s", fset.Position(im.Pos()), s.pkg, p, r.Why)
					}
				}
			}
			// Providers do not know each other.
			if strings.HasPrefix(s.pkg, "providers/") && strings.HasPrefix(p, module+"/providers/") && s.pkg != "providers/all" &&
				!under(module+"/"+s.pkg, p) && !under(p, module+"/"+s.pkg) && !sharedByProviders(p) {
				t.Errorf("%s: provider %s imports %s", fset.Position(im.Pos()), s.pkg, p)
			}
		}
	}
}

// sharedByProviders are the rooms that providers have in common.
func sharedByProviders(p string) bool {
	return under(p, module+"/providers/shell") || p == module+"/providers/nvidia" || p == module+"/providers/boot" || under(p, module+"/providers/oidc") || p == module+"/providers/providertest" || p == module+"/providers/hostlab"
}

func under(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// TestForbiddenCalls keeps clocks, chance and magic out of where they do not belong.
func TestForbiddenCalls(t *testing.T) {
	t.Parallel()
	srcs, fset := sources(t)
	for _, s := range srcs {
		if s.test {
			continue
		}
		pure := under(s.pkg, "controller/plan") || under(s.pkg, "controller/state")
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: no init()", fset.Position(fn.Pos()))
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch f := call.Fun.(type) {
			case *ast.Ident:
				// plan may panic on a transition that the table forbids: the reconciler fences it to the one cluster.
				if f.Name == "panic" && f.Obj == nil && s.path != "controller/plan/draft.go" {
					t.Errorf("%s: no panic", fset.Position(call.Pos()))
				}
			case *ast.SelectorExpr:
				if x, ok := f.X.(*ast.Ident); ok && pure && x.Name == "time" && (f.Sel.Name == "Now" || f.Sel.Name == "Since" || f.Sel.Name == "Sleep") {
					t.Errorf("%s: %s is pure: no time.%s", fset.Position(call.Pos()), s.pkg, f.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestDocs asks for a comment on every package and every exported name outside of programs.
func TestDocs(t *testing.T) {
	t.Parallel()
	srcs, fset := sources(t)
	documented := map[string]bool{}
	for _, s := range srcs {
		if !s.test && s.file.Doc != nil {
			documented[s.pkg] = true
		}
	}
	reported := map[string]bool{}
	for _, s := range srcs {
		if s.test {
			continue
		}
		if !documented[s.pkg] && !reported[s.pkg] {
			reported[s.pkg] = true
			t.Errorf("package %s has no doc comment", s.pkg)
		}
		if s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s is exported and has no comment", fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch sp := spec.(type) {
					case *ast.TypeSpec:
						if sp.Name.IsExported() && sp.Doc == nil && d.Doc == nil {
							t.Errorf("%s: %s is exported and has no comment", fset.Position(sp.Pos()), sp.Name.Name)
						}
					case *ast.ValueSpec:
						for _, name := range sp.Names {
							if name.IsExported() && sp.Doc == nil && sp.Comment == nil && d.Doc == nil {
								t.Errorf("%s: %s is exported and has no comment", fset.Position(sp.Pos()), name.Name)
							}
						}
					}
				}
			}
		}
	}
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	x := d.Recv.List[0].Type
	for {
		switch v := x.(type) {
		case *ast.StarExpr:
			x = v.X
		case *ast.IndexExpr:
			x = v.X
		case *ast.Ident:
			return v.IsExported()
		default:
			return true
		}
	}
}

// TestDependencies compares the modules each program links with its golden list.
func TestDependencies(t *testing.T) {
	t.Parallel()
	for _, bin := range []string{"sky", "sky-agent"} {
		t.Run(bin, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./"+bin)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("list dependencies: %v", err)
			}
			seen := map[string]bool{}
			for _, l := range strings.Fields(string(out)) {
				seen[l] = true
			}
			var mods []string
			for m := range seen {
				mods = append(mods, m)
			}
			sort.Strings(mods)
			got := strings.Join(mods, "\n") + "\n"
			golden := filepath.Join("testdata", "deps_"+bin+".txt")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s links other modules than %s says; if that is meant: go test ./cmd -run TestDependencies -update\ngot:\n%swant:\n%s", bin, golden, got, want)
			}
		})
	}
}
