package shell_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"aloft/providers/shell"
)

// TestPrivateKey: the file is what OpenSSH reads, and always the same.
func TestPrivateKey(t *testing.T) {
	t.Parallel()
	for _, comment := range []string{"", "a", "aloft", "eight ch", "a longer comment"} {
		k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(len(comment) + 1)}, ed25519.SeedSize))
		b, err := shell.PrivateKey(k, comment)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := shell.PrivateKey(k, comment); !bytes.Equal(b, again) {
			t.Error("the same key twice is not the same")
		}
		got, err := ssh.ParseRawPrivateKey(b)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		if p, ok := got.(*ed25519.PrivateKey); !ok || !p.Equal(k) {
			t.Errorf("parsed %T", got)
		}
		pub, err := shell.PublicKey(k, comment)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := exec.LookPath("ssh-keygen"); err != nil {
			t.Log("ssh-keygen is not installed: not checked with it")
			continue
		}
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ssh-keygen", "-y", "-f", path).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != pub {
			t.Errorf("ssh-keygen: %v: %s, want %s", err, out, pub)
		}
	}
	if _, err := shell.PrivateKey(nil, ""); err == nil {
		t.Error("no key is taken")
	}
}
