package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"aloft/tasks"
)

// validateOptions are the flags of `sky validate`.
type validateOptions struct {
	output                             string
	env, envFiles, secret, secretFiles []string
	strict, fill                       bool
}

// validateResult is what `sky validate -o json` prints.
type validateResult struct {
	OK          bool               `json:"ok"`
	Tasks       []*tasks.Task      `json:"tasks"`
	Diagnostics []tasks.Diagnostic `json:"diagnostics"`
}

// newValidateCmd checks a task file without touching the network or any state.
func newValidateCmd() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a task file and show every problem at once",
		Long: "Check a task file: grammar, types and values, with every problem at its line and column.\n" +
			"Nothing is launched, and neither network nor state is touched. FILE may be - for standard input.\n" +
			"Exit code 0: the file is valid. 1: it is not (or has warnings, with --strict). 2: wrong usage.",
		Example: "  sky validate task.yaml\n  sky validate task.yaml --env LR=0.1 --secret HF_TOKEN -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runValidate(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "text", "output `FORMAT`: text or json")
	f.StringArrayVar(&o.env, "env", nil, "environment variable `KEY=VALUE`, or KEY to take it from here; repeatable")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "`FILE` of environment variables; repeatable")
	f.StringArrayVar(&o.secret, "secret", nil, "secret `KEY=VALUE`, or KEY to take it from here; repeatable")
	f.StringArrayVar(&o.secretFiles, "secret-file", nil, "`FILE` of secrets; repeatable")
	f.BoolVar(&o.strict, "strict", false, "treat warnings as errors")
	f.BoolVar(&o.fill, "fill-required", false, "accept variables that the file leaves to the caller")
	return cmd
}

func runValidate(cmd *cobra.Command, file string, o validateOptions) error {
	if o.output != "text" && o.output != "json" {
		return &exitError{code: exitUsage, err: fmt.Errorf("--output %q: allowed: text, json", o.output)}
	}
	src, err := readTaskFile(cmd.InOrStdin(), file)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	doc, ds := tasks.Parse(file, src, tasks.Overrides{
		Env: o.env, EnvFiles: o.envFiles, Secrets: o.secret, SecretFiles: o.secretFiles,
		LookupEnv: os.LookupEnv, FillRequired: o.fill,
	})
	ds = append(ds, suiteDiagnostics(doc, ds)...)
	ok := !ds.HasErrors() && (!o.strict || len(ds) == 0)
	out := cmd.OutOrStdout()
	if o.output == "json" {
		err = writeValidation(out, doc, ds, ok)
	} else {
		err = explainValidation(out, file, src, doc, ds, ok)
	}
	if err != nil {
		return &exitError{code: exitFailure, err: fmt.Errorf("write the result: %w", err)}
	}
	if !ok {
		return &exitError{code: exitFailure}
	}
	return nil
}

// readTaskFile reads at most one byte more than the parser accepts, so that
// the parser reports files that are too long.
func readTaskFile(stdin io.Reader, file string) ([]byte, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("there is no file %q", file)
			}
			return nil, fmt.Errorf("open the task file %q: %w", file, pathErr(err))
		}
		defer func() { _ = f.Close() }()
		r = f
	}
	src, err := io.ReadAll(io.LimitReader(r, tasks.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the task file: %w", err)
	}
	return src, nil
}

func writeValidation(w io.Writer, doc *tasks.Document, ds tasks.Diagnostics, ok bool) error {
	res := validateResult{OK: ok, Tasks: []*tasks.Task{}, Diagnostics: []tasks.Diagnostic{}}
	if doc != nil {
		res.Tasks = doc.Tasks
	}
	res.Diagnostics = append(res.Diagnostics, ds...)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(res)
}

// explainValidation prints every diagnostic with the source line it points at.
func explainValidation(w io.Writer, file string, src []byte, doc *tasks.Document, ds tasks.Diagnostics, ok bool) error {
	_, err := io.WriteString(w, problems(file, src, ds, painter(w))+verdict(file, doc, ds, ok)+"\n")
	return err
}

// problems shows diagnostics with the source lines they point at.
func problems(file string, src []byte, ds tasks.Diagnostics, paint func(code, s string) string) string {
	var b strings.Builder
	lines := strings.Split(strings.TrimPrefix(string(src), "\ufeff"), "\n")
	for _, d := range ds {
		colour := styleRed
		if d.Severity == tasks.SeverityWarning {
			colour = styleAmber
		}
		place := d.File
		if d.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
		}
		b.WriteString(paint(styleBold, place) + ": " + paint(colour, string(d.Severity)) + ": ")
		if d.Field != "" {
			b.WriteString(d.Field + ": ")
		}
		b.WriteString(d.Message + "\n")
		if d.File == file {
			b.WriteString(excerpt(lines, d.Line, d.Column, paint))
		}
		if d.Allowed != "" && !strings.HasPrefix(d.Suggestion, "did you mean") {
			b.WriteString("    allowed: " + d.Allowed + "\n")
		}
		if d.Suggestion != "" {
			b.WriteString("    " + paint(styleGreen, d.Suggestion) + "\n")
		}
	}
	return b.String()
}

func verdict(file string, doc *tasks.Document, ds tasks.Diagnostics, ok bool) string {
	var parts []string
	if doc != nil {
		parts = append(parts, counted(len(doc.Tasks), "task"))
	}
	for _, c := range []struct {
		n    int
		word string
	}{{len(ds.Errors()), "error"}, {len(ds.Warnings()), "warning"}} {
		if c.n > 0 {
			parts = append(parts, counted(c.n, c.word))
		}
	}
	word := "valid"
	if !ok {
		word = "not valid"
	}
	return fmt.Sprintf("%s: %s (%s)", file, word, strings.Join(parts, ", "))
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// excerpt shows a source line with a caret under the column. Lines of the
// secrets section stay hidden: output of this command ends up in build logs.
func excerpt(lines []string, line, column int, paint func(code, s string) string) string {
	if line < 1 || line > len(lines) || inSecrets(lines, line) {
		return ""
	}
	text := []rune(strings.TrimRight(lines[line-1], "\r"))
	column = max(min(column, len(text)+1), 1)
	// A window around the column keeps long lines readable.
	const width = 120
	from := 0
	if column > width {
		from = column - width/2
	}
	shown := text[from:min(len(text), from+width)]
	var pad strings.Builder
	for _, r := range shown[:min(column-1-from, len(shown))] {
		if r == '\t' {
			pad.WriteByte('\t')
		} else {
			pad.WriteByte(' ')
		}
	}
	number := fmt.Sprint(line)
	margin := strings.Repeat(" ", utf8.RuneCountInString(number))
	return fmt.Sprintf("  %s | %s\n  %s | %s%s\n", number, cleanLine(shown), margin, pad.String(), paint(styleGreen, "^"))
}

// cleanLine replaces control characters, which could drive a terminal.
func cleanLine(rs []rune) string {
	out := make([]rune, len(rs))
	for i, r := range rs {
		if r != '\t' && (r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0)) {
			r = utf8.RuneError
		}
		out[i] = r
	}
	return string(out)
}

// inSecrets says whether a line belongs to the top-level secrets section.
func inSecrets(lines []string, line int) bool {
	for i := line - 1; i >= 0; i-- {
		l := lines[i]
		if l == "" || strings.ContainsAny(l[:1], " \t#\r-]}") {
			continue
		}
		if l[0] == '{' { // one flow map: sections cannot be told apart by lines
			return strings.Contains(strings.Join(lines, "\n"), "secrets")
		}
		return strings.HasPrefix(strings.TrimLeft(l, `"'? `), "secrets")
	}
	return false
}

// painter colours text when w is a terminal and NO_COLOR is not set.
func painter(w io.Writer) func(code, s string) string {
	f, isFile := w.(*os.File)
	noColor := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	if !isFile || noColor || !term.IsTerminal(int(f.Fd())) {
		return func(_, s string) string { return s }
	}
	return func(code, s string) string { return "\x1b[" + code + "m" + s + "\x1b[0m" }
}
