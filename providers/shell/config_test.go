package shell_test

import (
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh/agent"

	"aloft/providers"
	"aloft/providers/shell"
	"aloft/providers/shell/shelltest"
)

// write writes files below a home's .ssh.
func write(t testing.TB, home string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(home, ".ssh", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	home := t.TempDir()
	write(t, home, map[string]string{"config": `
# a comment
Include more/*.conf
Host gpu* !gpu9
  HostName %h.example
  User ann
  Port=2200
  IdentityFile ~/.ssh/gpu
  IdentityFile "~/.ssh/gpu 2"
  ProxyJump bob@gate:24,inner
Match exec "true"
  User mallory
Match host quiet
  IdentityAgent none
  IdentitiesOnly yes
Host quiet
  UserKnownHostsFile ~/known
  ProxyCommand nc %h %p
Host *
  User everybody
`, "more/a.conf": "Host inner\n  HostName 10.0.0.9\n  HostKeyAlias inner-key\n  ProxyJump none\nHost loop\n  ProxyJump loop\n", "id_ed25519": "x"})
	c, err := shell.ReadConfig(home)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Resolve(shell.Target{Host: "gpu1"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Host != "gpu1.example" || got.User != "ann" || got.Port != 2200 || got.AgentSocket != "/agent" || got.ProxyCommand != "" ||
		strings.Join(got.Identities, " ") != home+"/.ssh/gpu "+home+"/.ssh/gpu 2" || got.KnownHosts[0] != home+"/.ssh/known_hosts" {
		t.Errorf("gpu1: %+v", got)
	}
	if v := got.Via; v == nil || v.Host != "10.0.0.9" || v.HostKeyAlias != "inner-key" || v.User != "everybody" ||
		v.Via == nil || v.Via.Host != "gate" || v.Via.Port != 24 || v.Via.User != "bob" || v.Via.Via != nil || v.Via.Identities[0] != home+"/.ssh/id_ed25519" {
		t.Errorf("the way to gpu1: %+v", got.Via)
	}
	got, err = c.Resolve(shell.Target{Host: "quiet", User: "me", Port: 7})
	if err != nil || got.User != "me" || got.Port != 7 || got.AgentSocket != "" || !got.OnlyIdentities || got.KnownHosts[0] != home+"/known" || got.ProxyCommand != "nc %h %p" {
		t.Errorf("quiet: %+v, %v", got, err)
	}
	if got, err = c.Resolve(shell.Target{Host: "gpu9"}); err != nil || got.Host != "gpu9" || got.User != "everybody" {
		t.Errorf("gpu9: %+v, %v", got, err)
	}
	if _, err = c.Resolve(shell.Target{Host: "loop"}); err == nil {
		t.Error("a way that goes in circles is resolved")
	}
	for _, bad := range []string{"a:b", "@", "-oX", "x:99999", "[::1"} {
		if _, err := c.Jumps(bad); err == nil {
			t.Errorf("proxy jump %q is accepted", bad)
		}
	}
	if c, err = shell.ReadConfig(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if got, err = c.Resolve(shell.Target{Host: "h"}); err != nil || got.Host != "h" || got.Via != nil {
		t.Errorf("without a file: %+v, %v", got, err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("Host a\n User b\nMatch host c\nInclude d\n")
	f.Add("Match\nHost\nPort x\nProxyJump a,b\n")
	f.Fuzz(func(t *testing.T, text string) {
		home := t.TempDir()
		write(t, home, map[string]string{"config": text})
		if c, err := shell.ReadConfig(home); err == nil {
			_, _ = c.Resolve(shell.Target{Host: "a"})
		}
	})
}

// knownHosts is a known_hosts line of a server.
func knownHosts(t testing.TB, s *shelltest.Server, key ed25519.PrivateKey) string {
	t.Helper()
	pub, err := shell.PublicKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return "[" + s.Host + "]:" + strconv.Itoa(s.Port) + " " + pub + "\n"
}

// person is somebody's home with a key, and known hosts.
func person(t testing.TB, known string) string {
	t.Helper()
	home := t.TempDir()
	private, err := shell.PrivateKey(keys().User, "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, home, map[string]string{"id_ed25519": string(private), "known_hosts": known})
	return home
}

func resolve(t testing.TB, home string, target shell.Target) shell.Target {
	t.Helper()
	c, err := shell.ReadConfig(home)
	if err != nil {
		t.Fatal(err)
	}
	if target, err = c.Resolve(target); err != nil {
		t.Fatal(err)
	}
	return target
}

// TestPersonsKeys: machines whose keys are the user's own.
func TestPersonsKeys(t *testing.T) {
	t.Parallel()
	s := server(t, "")
	dial := func(target shell.Target) error {
		sh, err := shell.Dial(t.Context(), target, shell.Options{Provider: "test"})
		if err == nil {
			if out, _ := run(t, sh, "echo in", nil); out != "in\n" {
				t.Errorf("said %q", out)
			}
			_ = sh.Close()
		}
		return err
	}
	home := person(t, knownHosts(t, s, keys().Host))
	if err := dial(resolve(t, home, s.Target())); err != nil {
		t.Error(err)
	}
	e := fails(t, dial(resolve(t, person(t, ""), s.Target())), providers.Invalid, shell.CodeUnknownHost)
	if !strings.Contains(e.Hint, "ssh-keyscan -p "+strconv.Itoa(s.Port)) {
		t.Errorf("hint %q", e.Hint)
	}
	e = fails(t, dial(resolve(t, person(t, knownHosts(t, s, shelltest.Key("another"))), s.Target())), providers.Auth, shell.CodeHostKey)
	if !strings.Contains(e.Error(), "known_hosts:1") {
		t.Errorf("says %v", e)
	}
	stranger := s.Target()
	private, err := shell.PrivateKey(shelltest.Key("stranger"), "")
	if err != nil {
		t.Fatal(err)
	}
	write(t, home, map[string]string{"stranger": string(private)})
	stranger.Identities = []string{"~/.ssh/stranger"}
	fails(t, dial(resolve(t, home, stranger)), providers.Auth, shell.CodeLogin)
	bare := person(t, knownHosts(t, s, keys().Host))
	if err := os.Remove(filepath.Join(bare, ".ssh", "id_ed25519")); err != nil {
		t.Fatal(err)
	}
	nothing := resolve(t, bare, s.Target())
	nothing.AgentSocket = ""
	fails(t, dial(nothing), providers.Auth, shell.CodeKeyFile)
	withAgent := nothing
	withAgent.AgentSocket = startAgent(t)
	if err := dial(withAgent); err != nil {
		t.Errorf("by ssh-agent: %v", err)
	}
}

// startAgent serves an ssh-agent that holds the user's key.
func startAgent(t *testing.T) string {
	t.Helper()
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: keys().User}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c) }()
		}
	}()
	return path
}

// TestWays: through another machine, through two, and through a command.
func TestWays(t *testing.T) {
	t.Parallel()
	gate, inner, s := server(t, ""), server(t, ""), server(t, "")
	home := person(t, knownHosts(t, gate, keys().Host)+knownHosts(t, inner, keys().Host))
	write(t, home, map[string]string{"config": "Host gate\n HostName " + gate.Host + "\n Port " + strconv.Itoa(gate.Port) + "\n User root\n"})
	c, err := shell.ReadConfig(home)
	if err != nil {
		t.Fatal(err)
	}
	pool := shell.NewPool()
	try := func(target shell.Target) {
		t.Helper()
		sh, err := shell.Dial(t.Context(), target, shell.Options{Provider: "test", Keys: keys(), Pool: pool})
		if err != nil {
			t.Error(err)
			return
		}
		defer sh.Close()
		if out, _ := run(t, sh, "echo through", nil); out != "through\n" {
			t.Errorf("said %q", out)
		}
	}
	for _, jumps := range []string{"gate", "gate,root@" + net.JoinHostPort(inner.Host, strconv.Itoa(inner.Port))} {
		target := s.Target()
		if target.Via, err = c.Jumps(jumps); err != nil {
			t.Fatal(err)
		}
		try(target)
	}
	target := s.Target()
	target.ProxyCommand = "python3 -c '" + netcat + "' %h %p"
	try(target)
	target.ProxyCommand = "sh -c 'echo no way there >&2; exit 1'"
	_, err = shell.Dial(t.Context(), target, shell.Options{Provider: "test", Keys: keys()})
	if e := fails(t, err, providers.Transient, "handshake"); !strings.Contains(e.Error(), "no way there") {
		t.Errorf("says %v", e)
	}
	gate.Down()
	target = s.Target()
	if target.Via, err = c.Jumps("gate"); err != nil {
		t.Fatal(err)
	}
	_, err = shell.Dial(t.Context(), target, shell.Options{Provider: "test", Keys: keys()})
	fails(t, err, providers.Transient, shell.CodeRefused)
}

// netcat is nc for machines without it.
const netcat = `import os,socket,sys,threading
s=socket.create_connection((sys.argv[1],int(sys.argv[2])))
def up():
    while True:
        b=os.read(0,65536)
        if not b: break
        s.sendall(b)
threading.Thread(target=up,daemon=True).start()
while True:
    b=s.recv(65536)
    if not b: break
    while b: b=b[os.write(1,b):]
`
