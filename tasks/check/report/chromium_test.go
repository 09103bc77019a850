package report_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browser is a headless Chromium driven over a pair of pipes in the DevTools
// protocol: messages are JSON, each ended by a zero byte.
type browser struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	next    int
	session string
}

// newBrowser starts Chromium; the test is skipped where there is none.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium on PATH: the look of reports is not tested (apt-get install chromium)")
	}
	if testing.Short() {
		t.Skip("the look of reports is not tested in short runs")
	}
	toRead, toWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromRead, fromWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "look")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-extensions", "--disable-background-networking", "--force-color-profile=srgb",
		"--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toRead, fromWrite} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, in: toWrite, out: bufio.NewReader(fromRead)}
	t.Cleanup(func() {
		b.session = ""
		_, _ = b.send("Browser.close", nil)
		_ = toWrite.Close()
		_ = cmd.Wait()
		_ = fromRead.Close()
		remove(t, profile)
	})
	_ = toRead.Close()
	_ = fromWrite.Close()
	if err := fromRead.SetReadDeadline(time.Now().Add(8 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	var target struct{ TargetID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.do("Page.enable", nil, nil)
	return b
}

// remove deletes the browser's files; its helpers may write a little longer
// than it lives.
func remove(t *testing.T, dir string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if os.RemoveAll(dir) == nil {
			return
		}
		<-tick.C
	}
	t.Errorf("the browser still writes into %s", dir)
}

// message is one in either direction.
type message struct {
	ID        int             `json:"id,omitempty"`
	Session   string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	ErrorText *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// send calls a method and waits for its answer; events are dropped.
func (b *browser) send(method string, params any) (json.RawMessage, error) {
	b.next++
	raw, err := json.Marshal(message{ID: b.next, Session: b.session, Method: method, Params: params})
	if err != nil {
		return nil, err
	}
	if _, err := b.in.Write(append(raw, 0)); err != nil {
		return nil, err
	}
	for {
		answer, err := b.read()
		if err != nil {
			return nil, err
		}
		if answer.ID == b.next {
			if answer.ErrorText != nil {
				return nil, fmt.Errorf("%s: %s", method, answer.ErrorText.Message)
			}
			return answer.Result, nil
		}
	}
}

func (b *browser) read() (message, error) {
	var m message
	raw, err := b.out.ReadBytes(0)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(raw[:len(raw)-1], &m)
}

// do is send for what must succeed.
func (b *browser) do(method string, params, result any) {
	b.t.Helper()
	raw, err := b.send(method, params)
	if err == nil && result != nil {
		err = json.Unmarshal(raw, result)
	}
	if err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
}

// open shows a file at a width, in a theme, and waits until it is laid out.
func (b *browser) open(path string, width int, theme string) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": theme}}}, nil)
	b.do("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	b.eval(`new Promise(done => { const wait = () => document.readyState === "complete" && location.protocol === "file:" ? requestAnimationFrame(() => done(true)) : setTimeout(wait, 5); wait(); })`, nil)
}

// eval runs an expression in the page, waits for it if it is a promise, and
// decodes its value.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("script: %s", out.ExceptionDetails.Exception.Description)
	}
	if value != nil {
		if err := json.Unmarshal(out.Result.Value, value); err != nil {
			b.t.Fatalf("script: %v", err)
		}
	}
}

// key presses a key.
func (b *browser) key(name string, code int) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		p := map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code}
		if kind == "keyDown" && name == "Enter" {
			p["text"] = "\r"
		}
		b.do("Input.dispatchKeyEvent", p, nil)
	}
}

// shoot keeps a picture of the whole page where ALOFT_SCREENSHOTS names a
// folder.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("ALOFT_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data []byte }
	b.do("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
