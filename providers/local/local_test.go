package local_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/providers"
	"aloft/providers/local"
	"aloft/providers/providertest"
)

func spec() providers.NodeSpec {
	return providers.NodeSpec{Region: "local", InstanceType: "local", CPUs: 2}
}

func open(t *testing.T, home string, settings map[string]string) *local.Provider {
	t.Helper()
	p, err := local.New(providers.Config{Home: home, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request(token string) providers.CreateRequest {
	return providers.CreateRequest{Token: token, Name: "c-head", Spec: spec(), Tags: providers.Tags{Installation: "me", ClusterID: "c"}}
}

func create(t *testing.T, p *local.Provider, r providers.CreateRequest) providers.Instance {
	t.Helper()
	in, err := p.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Delete(context.Background(), in.InstanceRef) })
	return in
}

// state is what Describe says of an instance; 0 = nothing.
func state(t *testing.T, p *local.Provider, id string) (providers.InstanceState, string) {
	t.Helper()
	for in, err := range p.Describe(t.Context(), providers.Selector{IDs: []string{id}}) {
		if err != nil {
			t.Fatal(err)
		}
		return in.State, in.Reason
	}
	return 0, ""
}

func run(t *testing.T, p *local.Provider, in providers.Instance, line string) string {
	t.Helper()
	sh, err := p.Shell(t.Context(), in, providers.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	var out bytes.Buffer
	if exit, err := sh.Run(t.Context(), providers.Cmd{Line: line, Stdout: &out, Stderr: &out}); err != nil || exit.Code != 0 {
		t.Fatalf("%s: %+v, %v: %s", line, exit, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Config{
		New:  func(t *testing.T) providers.Provider { return open(t, t.TempDir(), nil) },
		Spec: spec,
		Many: 300,
		Faults: func(t *testing.T, kind providers.Kind) providers.Provider {
			return open(t, t.TempDir(), map[string]string{"fail": kind.String()})
		},
		Stranger: func(t *testing.T, p providers.Provider) string {
			r := request("sky1-stranger")
			r.Tags.Installation = "another"
			in, err := p.Create(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return in.ID
		},
	})
}

// TestNodesEndWithTheirProcesses: nothing of a node survives its end, however it was started.
func TestNodesEndWithTheirProcesses(t *testing.T) {
	for _, x := range []struct{ name, line string }{
		{"background", "sleep 600 >/dev/null 2>&1 & echo $!"},
		{"daemon in a session of its own", "setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!"},
		{"deaf to TERM", "(trap '' TERM; while :; do sleep 1; done) >/dev/null 2>&1 & echo $!"},
		{"child without the mark", "(env -i /bin/sh -c 'sleep 600; :' >/dev/null 2>&1; :) & echo $!"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p := open(t, t.TempDir(), nil)
			in := create(t, p, request("sky1-"+x.name))
			pid := run(t, p, in, x.line)
			other := create(t, p, request("sky1-other"))
			bystander := run(t, p, other, "sleep 600 >/dev/null 2>&1 & echo $!")
			for _, id := range []string{pid, bystander} {
				if !alive(t, id) {
					t.Fatalf("process %s does not run", id)
				}
			}
			if err := p.Delete(t.Context(), in.InstanceRef); err != nil {
				t.Fatal(err)
			}
			if alive(t, pid) {
				t.Error("a process of the node is left")
			}
			if !alive(t, bystander) {
				t.Error("a process of another node was ended")
			}
			if _, err := os.Stat(filepath.Dir(p.HomeOf(in.ID))); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is left: %v", err)
			}
			if st, why := state(t, p, in.ID); st != providers.InstanceTerminated || why != "deleted" {
				t.Errorf("state %d, %q", st, why)
			}
		})
	}
}

// alive reports whether a process runs; a zombie does not.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return !bytes.HasPrefix(b[bytes.LastIndexByte(b, ')')+1:], []byte(" Z"))
}

func TestNodeEndsItself(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(20 * time.Second)
	for _, x := range []struct {
		word string
		want providers.InstanceState
	}{{"stop", providers.InstanceStopped}, {"terminate", providers.InstanceTerminated}} {
		p := open(t, t.TempDir(), nil)
		in := create(t, p, request("sky1-self"))
		pid := run(t, p, in, "echo "+x.word+" > ../poweroff; sleep 600 >/dev/null 2>&1 & echo $!")
		if st, why := state(t, p, in.ID); st != x.want || why != "powered off" {
			t.Errorf("%s: state %d, %q", x.word, st, why)
		}
		for alive(t, pid) { // a killed process is gone once the kernel has come to it
			if time.Now().After(soon) {
				t.Fatalf("%s: a process is left", x.word)
			}
			runtime.Gosched()
		}
		if x.want != providers.InstanceStopped {
			continue
		}
		if _, err := p.Shell(t.Context(), in, providers.Keys{}); err == nil {
			t.Error("a shell on a stopped node")
		}
		if err := p.Start(t.Context(), in.InstanceRef); err != nil {
			t.Fatal(err)
		}
		if got := run(t, p, in, "echo back"); got != "back" {
			t.Errorf("after the start: %q", got)
		}
	}
}

func TestRebootStopsNodes(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	p := open(t, home, nil)
	in := create(t, p, request("sky1-boot"))
	path := filepath.Join(home, "local", in.ID, "instance.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte(`"boot_id": "`)) + len(`"boot_id": "`)
	b[i] = 'z'
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if st, why := state(t, p, in.ID); st != providers.InstanceStopped || why != "the host was rebooted" {
		t.Fatalf("state %d, %q", st, why)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(t.Context(), in.InstanceRef); err != nil {
		t.Fatalf("delete with a damaged record: %v", err)
	}
	if st, _ := state(t, p, in.ID); st.Alive() && st != 0 {
		t.Fatalf("state %d", st)
	}
}

func TestEnvironmentOfNodes(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("WANTED", "yes")
	p := open(t, t.TempDir(), map[string]string{"pass_env": "WANTED"})
	in := create(t, p, request("sky1-env"))
	env := "\n" + run(t, p, in, "env") + "\n"
	for _, want := range []string{"\nHOME=" + p.HomeOf(in.ID) + "\n", "\nALOFT_LOCAL_NODE=" + in.ID + "\n", "\nWANTED=yes\n", "\nPATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in %s", want, env)
		}
	}
	if strings.Contains(env, "hush") {
		t.Error("the node sees a secret of the controller")
	}
	if got := run(t, p, in, "ps -o sid= -p $$ | tr -d ' '; echo $$"); strings.Fields(got)[0] != strings.Fields(got)[1] {
		t.Errorf("not the leader of a session of its own: %q", got)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	t.Run("pretended GPUs", func(t *testing.T) {
		t.Parallel()
		p := open(t, t.TempDir(), map[string]string{"gpus": "V100:2,H200", "regions": "east,west"})
		var got []string
		for o, err := range p.Offers(t.Context(), providers.OfferQuery{Region: "west"}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, o.Accelerator+strings.Repeat("+", int(o.AcceleratorCount)))
		}
		if strings.Join(got, " ") != " V100+ V100++ H200+" {
			t.Errorf("offers %q", got)
		}
		r := request("sky1-gpu")
		r.Spec.Accelerator, r.Spec.Accelerators = "V100", 2
		in := create(t, p, r)
		if got := run(t, p, in, "cat .aloft/pretend-gpus"); got != "V100 16\nV100 16" {
			t.Errorf("pretended %q", got)
		}
	})
	t.Run("failures", func(t *testing.T) {
		t.Parallel()
		p := open(t, t.TempDir(), map[string]string{"fail": "quota:2@local,capacity:1"})
		for i, want := range []providers.Kind{providers.Quota, providers.Quota, providers.Capacity, providers.KindUnknown} {
			_, err := p.Create(t.Context(), request("sky1-fail"))
			if providers.KindOf(err) != want {
				t.Errorf("call %d: %v, want %v", i, err, want)
			}
		}
		r := request("sky1-label")
		r.Spec.Labels = map[string]string{"aloft.dev/local-fail": "auth:always"}
		if _, err := p.Create(t.Context(), r); providers.KindOf(err) != providers.Auth {
			t.Errorf("by label: %v", err)
		}
	})
	t.Run("preemption", func(t *testing.T) {
		t.Parallel()
		p := open(t, t.TempDir(), map[string]string{"preempt_after": "1ns"})
		in := create(t, p, request("sky1-preempt"))
		if st, why := state(t, p, in.ID); st != providers.InstanceTerminated || why != "preempted" {
			t.Errorf("state %d, %q", st, why)
		}
	})
	t.Run("delay gives up without effect", func(t *testing.T) {
		t.Parallel()
		p := open(t, t.TempDir(), map[string]string{"create_delay": "1h"})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := p.Create(ctx, request("sky1-slow")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		for in := range p.Describe(t.Context(), providers.Selector{Token: "sky1-slow"}) {
			t.Errorf("made %v", in)
		}
	})
	for _, bad := range []map[string]string{
		{"gpus": "V100:none"}, {"gpus": ":2"}, {"fail": "fire"}, {"fail": "quota:-1"}, {"create_delay": "soon"}, {"nonsense": "1"},
	} {
		if _, err := local.New(providers.Config{Home: t.TempDir(), Settings: bad}); providers.KindOf(err) != providers.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, err := local.New(providers.Config{}); err == nil {
		t.Error("no error without a home")
	}
}
