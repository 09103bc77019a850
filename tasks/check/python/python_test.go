package python_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"aloft/tasks/check/bridge"
	"aloft/tasks/check/python"
)

// TestMain lets this program be the engine that Python starts.
func TestMain(m *testing.M) {
	if os.Getenv("ALOFT_TEST_ENGINE") != "" && len(os.Args) > 1 && os.Args[1] == "bridge" {
		os.Exit(bridge.Main(context.Background(), os.Args[2:], os.Stderr))
	}
	os.Exit(m.Run())
}

// interpreter finds a Python that has NumPy.
func interpreter(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import numpy").Run() == nil {
			return path
		}
	}
	t.Skip("no python3 with numpy (apt-get install python3-numpy)")
	return ""
}

// TestPython runs the package's own tests with this program as the engine.
func TestPython(t *testing.T) {
	t.Parallel()
	py := interpreter(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := python.Install(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(py, "-m", "unittest", "discover", "-s", "tests")
	c.Env = append(os.Environ(), "ALOFT_TEST_ENGINE=1", "ALOFT_ENGINE="+self, "PYTHONPATH="+filepath.Join(dir, python.PathChecks), "PYTHONDONTWRITEBYTECODE=1", "OPENBLAS_NUM_THREADS=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInstall writes the package once, whoever comes at the same time.
func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wait sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		wait.Go(func() {
			var err error
			if got[i], err = python.Install(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Errorf("installed at %s and at %s", got[0], g)
		}
	}
	for _, name := range []string{"checks/aloft_checks/vision/suites.py", "checks/aloft_checks/_names.py", "deepchecks/deepchecks/__init__.py"} {
		if _, err := os.Stat(filepath.Join(got[0], name)); err != nil {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
