package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
	"google.golang.org/grpc/status"

	"aloft/controller/forge/cienv"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/tasks"
)

// app is what every command shares: streams, environment and where the state lives.
type app struct {
	in        io.Reader
	out       io.Writer
	errOut    io.Writer
	getenv    func(string) (string, bool)
	rate      string // of what is waited for, as text; "" = it costs nothing, or that is not known. Under mu
	homeKey   string // that several homes share; "" = this one has its own
	providers map[string]providers.Factory
	home      string
	ttyIn     bool
	ttyOut    bool
	ttyErr    bool
	width     int
	mu        sync.Mutex // one writer at a time on out and errOut
	spinner   *spinner   // the transient line on errOut; nil = none
	// readBuffer is how much is read from the controller at once.
	readBuffer int
	// logLimit is how many bytes of a log are printed in CI; outputFile takes the outcome of a job for later steps.
	logLimit   int64
	outputFile string
	ciOnce     sync.Once
	ci         cienv.System
}

// spinner is a transient line that says what is being waited for, and for how long.
type spinner struct {
	text  string
	began time.Time
	shown bool
}

const (
	spinDelay = 200 * time.Millisecond // what is faster needs no progress
	spinPause = 100 * time.Millisecond
)

var spinFrames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// Sizes of reads from the controller: most commands read little, those that follow a log read much.
const (
	smallReads = 16 << 10
	largeReads = 128 << 10
)

// newApp reads the process's surroundings.
func newApp(table map[string]providers.Factory) (*app, error) {
	a := &app{providers: table, in: os.Stdin, out: os.Stdout, errOut: os.Stderr, getenv: os.LookupEnv, readBuffer: smallReads}
	a.ttyIn = term.IsTerminal(int(os.Stdin.Fd()))
	a.ttyOut = term.IsTerminal(int(os.Stdout.Fd()))
	a.ttyErr = term.IsTerminal(int(os.Stderr.Fd()))
	a.width = 120
	if a.ttyOut {
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 20 {
			a.width = w
		}
	}
	if a.ttyErr && !a.ttyOut {
		if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 20 {
			a.width = w
		}
	}
	if a.ciSystem() != cienv.None { // some give a terminal that nobody sits at
		a.ttyIn, a.ttyOut, a.ttyErr, a.width = false, false, false, 120
	}
	home, err := aloftHome(a.getenv)
	if err != nil {
		return nil, err
	}
	a.home = home
	if key, ok := a.getenv(homeKeyEnv); ok && strings.TrimSpace(key) != "" {
		a.homeKey = strings.TrimSpace(key)
		// No other process is to have it: not the controller, which reads it from the home, and no command of a user.
		if err := os.Unsetenv(homeKeyEnv); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// aloftHome is $ALOFT_HOME, else ~/.aloft, made absolute.
func aloftHome(getenv func(string) (string, bool)) (string, error) {
	if h, ok := getenv("ALOFT_HOME"); ok && h != "" {
		abs, err := filepath.Abs(h)
		if err != nil {
			return "", fmt.Errorf("ALOFT_HOME %q: %w", h, err)
		}
		return abs, nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory (set ALOFT_HOME): %w", err)
	}
	return filepath.Join(h, ".aloft"), nil
}

// userName is who launches, for SKYPILOT_USER and the tables.
func (a *app) userName() string {
	for _, k := range []string{"SKYPILOT_USER", "USER", "LOGNAME"} {
		if v, ok := a.getenv(k); ok && v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "user"
}

func (a *app) color() bool {
	if v, ok := a.getenv("NO_COLOR"); ok && v != "" {
		return false
	}
	for _, k := range []string{"FORCE_COLOR", "CLICOLOR_FORCE"} {
		if v, ok := a.getenv(k); ok && v != "" && v != "0" {
			return true
		}
	}
	if a.github() || a.ciSystem() == cienv.GitLab { // their pages show colours
		return true
	}
	if t, _ := a.getenv("TERM"); t == "dumb" {
		return false
	}
	return a.ttyOut
}

// Styles of the terminal, by meaning.
const (
	styleBold  = "1"
	styleDim   = "2"
	styleRed   = "31"
	styleGreen = "32"
	styleAmber = "33"
	styleCyan  = "36"
)

func (a *app) style(code, s string) string {
	if !a.color() || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// say prints a line for people on standard output.
func (a *app) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clearSpinner()
	fmt.Fprintf(a.out, format+"\n", args...)
}

// note prints a line on standard error.
func (a *app) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clearSpinner()
	fmt.Fprintf(a.errOut, format+"\n", args...)
}

// spin shows what is being waited for, until something else is printed: on a terminal as a transient line, in CI as a line
// each minute.
func (a *app) spin(format string, args ...any) {
	if !a.ttyErr && a.ciSystem() == cienv.None {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if a.spinner != nil {
		a.spinner.text = text
		return
	}
	s := &spinner{text: text, began: time.Now()}
	a.spinner = s
	if a.ttyErr {
		go a.turn(s)
	} else {
		go a.beat(s)
	}
}

// turn draws a spinner until another line takes its place.
func (a *app) turn(s *spinner) {
	tick := time.NewTicker(spinPause)
	defer tick.Stop()
	for n := 0; ; n++ {
		<-tick.C
		a.mu.Lock()
		if a.spinner != s {
			a.mu.Unlock()
			return
		}
		if waited := time.Since(s.began); waited >= spinDelay {
			a.drawSpinner(s, n, waited)
		}
		a.mu.Unlock()
	}
}

// drawSpinner is called with mu held.
func (a *app) drawSpinner(s *spinner, n int, waited time.Duration) {
	text := s.text
	if waited >= time.Second {
		text += " (" + span(waited) + ")"
	}
	frame := string(spinFrames[n%len(spinFrames)])
	fmt.Fprintf(a.errOut, "\r\x1b[K%s %s", a.style(styleCyan, frame), cut(text, a.width-3))
	s.shown = true
}

func (a *app) endSpin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clearSpinner()
}

// clearSpinner is called with mu held.
func (a *app) clearSpinner() {
	if a.spinner == nil {
		return
	}
	if a.spinner.shown {
		fmt.Fprint(a.errOut, "\r\x1b[K")
	}
	a.spinner = nil
}

// printJSON writes one indented JSON document.
func (a *app) printJSON(v any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonError is how any command reports a failure under -o json, on standard output as the last document.
type jsonError struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Kind    string `json:"kind,omitempty"`
	Code    string `json:"code,omitempty"`
	Hint    string `json:"hint,omitempty"`
	ExitInt int    `json:"exit_code"`

	Diagnostics tasks.Diagnostics `json:"diagnostics,omitempty"` // of a task file
}

// failureOf finds the Failure detail that the controller puts on every refused call.
func failureOf(err error) *statev1.Failure {
	var st interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &st) {
		return nil
	}
	for _, d := range st.GRPCStatus().Details() {
		if f, ok := d.(*statev1.Failure); ok {
			return f
		}
	}
	return nil
}

// rpcError turns a failed call into an exit code and one clear sentence.
func rpcError(doing string, err error) error {
	if err == nil {
		return nil
	}
	var told *exitError
	if errors.As(err, &told) {
		return err // a way back to a controller was sought, and why there is none is said
	}
	if errors.Is(err, context.Canceled) || status.Convert(err).Code().String() == "Canceled" {
		return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	}
	if f := failureOf(err); f != nil {
		return &exitError{code: codeOfKind(f.GetKind()), err: &failureError{f}}
	}
	return &exitError{code: exitFailure, err: fmt.Errorf("%s: %s", doing, status.Convert(err).Message())}
}

// failureError shows a Failure to a person.
type failureError struct{ f *statev1.Failure }

func (e *failureError) Error() string {
	s := e.f.GetMessage()
	if h := hintText(e.f.GetHint()); h != "" {
		s += "\n  " + h
	}
	return s
}

// hintText is a hint as a line of its own: a bare command is shown as one.
func hintText(h string) string {
	if strings.HasPrefix(h, "sky ") && !strings.ContainsAny(h, ";:`") {
		return "run `" + h + "`"
	}
	return h
}

// usageError is a mistake in flags or arguments.
func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// confirm asks a yes/no question, default yes. Without a terminal it fails naming the flag.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.ttyIn || a.ciSystem() != cienv.None {
		return usageError("%s\n  there is no terminal to answer on: pass -y to proceed", question)
	}
	a.mu.Lock()
	a.clearSpinner()
	fmt.Fprintf(a.out, "%s [Y/n]: ", question)
	a.mu.Unlock()
	answer, err := readLine(a.in)
	if err != nil {
		return &exitError{code: exitInterrupted, err: errors.New("aborted")}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "", "y", "yes":
		return nil
	}
	return &exitError{code: exitFailure, err: errors.New("aborted: nothing was changed")}
}

// readLine reads bytes up to a newline without reading ahead.
func readLine(r io.Reader) (string, error) {
	var b []byte
	one := make([]byte, 1)
	for {
		n, err := r.Read(one)
		if n == 1 {
			if one[0] == '\n' {
				return string(b), nil
			}
			b = append(b, one[0])
		}
		if err != nil {
			if len(b) > 0 && errors.Is(err, io.EOF) {
				return string(b), nil
			}
			return "", err
		}
	}
}
