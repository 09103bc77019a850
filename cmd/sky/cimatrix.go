package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"aloft/tasks"
)

// mostLegs is how many legs GitHub and GitLab take of a matrix, the smaller of the two.
const mostLegs = 256

func newCIMatrixCmd(a *app) *cobra.Command {
	var vars []string
	cmd := &cobra.Command{
		Use:   "matrix TASK.yaml --var NAME=VALUE,VALUE...",
		Short: "Print the matrix of a task's variables as JSON",
		Long: `Print the legs of a matrix as JSON, for GitHub's ` + "`strategy: matrix: ${{ fromJSON(...) }}`" + `:
one leg for each combination of values. Variables have to be among the task's envs.
Each leg has the variables, and ` + "`leg`" + `, a name for files. GitHub takes 256 legs.
Candidates in any_of make no legs: sky launch takes the cheapest of them.`,
		Example: "  sky ci matrix task.yaml --var LR=0.1,0.01 --var DEPTH=3,5",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			legs, err := matrixLegs(args[0], vars)
			if err != nil {
				return err
			}
			b, err := json.Marshal(map[string]any{"include": legs})
			if err != nil {
				return &exitError{code: exitFailure, err: fmt.Errorf("write the matrix: %w", err)}
			}
			a.say("%s", b)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&vars, "var", nil, "`NAME=VALUE,VALUE...`: values of a variable; repeatable")
	return cmd
}

// matrixLegs are the combinations of values, the last variable fastest.
func matrixLegs(file string, vars []string) ([]map[string]string, error) {
	if len(vars) == 0 {
		return nil, usageError("there is nothing to vary: give --var NAME=VALUE,VALUE")
	}
	names, values, err := matrixVars(vars)
	if err != nil {
		return nil, err
	}
	plain, diags := tasks.ParseFile(file, tasks.Overrides{FillRequired: true})
	if diags.HasErrors() {
		return nil, &exitError{code: exitFailure, err: fmt.Errorf("%s is not valid: run `sky validate %s`: %w", file, file, diags.Err())}
	}
	for _, n := range names {
		known := slices.ContainsFunc(plain.Tasks, func(t *tasks.Task) bool { _, ok := t.Envs[n]; return ok })
		if !known {
			return nil, usageError("--var %s: %s has no such variable in envs", n, file)
		}
	}
	legs := []map[string]string{{}}
	for i, n := range names {
		if len(legs)*len(values[i]) > mostLegs {
			return nil, usageError("more than %d legs, which is the most that GitHub takes: give fewer values", mostLegs)
		}
		var next []map[string]string
		for _, leg := range legs {
			for _, v := range values[i] {
				one := map[string]string{n: v}
				for k, w := range leg {
					one[k] = w
				}
				next = append(next, one)
			}
		}
		legs = next
	}
	seen := map[string]bool{}
	for _, leg := range legs {
		var parts []string
		for _, n := range names {
			parts = append(parts, n+"-"+leg[n])
		}
		name := fileName(strings.Join(parts, "_"))
		for i := 2; seen[name]; i++ {
			name = fmt.Sprintf("%s_%d", fileName(strings.Join(parts, "_")), i)
		}
		seen[name] = true
		leg["leg"] = name
	}
	return legs, nil
}

// matrixVars reads NAME=VALUE,VALUE flags.
func matrixVars(vars []string) (names []string, values [][]string, err error) {
	for _, v := range vars {
		name, list, ok := strings.Cut(v, "=")
		if !ok || name == "" || list == "" {
			return nil, nil, usageError("--var %q: want NAME=VALUE,VALUE", v)
		}
		if name == "leg" || slices.Contains(names, name) {
			return nil, nil, usageError("--var %s: the name is taken", name)
		}
		parts := strings.Split(list, ",")
		for i, p := range parts {
			if p == "" || slices.Contains(parts[:i], p) {
				return nil, nil, usageError("--var %q: a value is empty, or there twice", v)
			}
		}
		names, values = append(names, name), append(values, parts)
	}
	return names, values, nil
}

// fileName keeps of a name what every file system and artifact takes.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, s)
}
