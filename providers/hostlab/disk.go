package hostlab

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

//go:embed init.sh
var initScript string

//go:embed enter.sh
var enterScript string

//go:embed shutdown.sh
var shutdownScript string

//go:embed sudo.sh
var sudoScript string

const sshdConfig = `Include /etc/ssh/sshd_config.d/*.conf
PidFile /run/sshd.pid
UsePAM yes
UseDNS no
PrintMotd no
PrintLastLog no
KbdInteractiveAuthentication no
MaxStartups 200:30:400
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
`

// pam lets an account without a password log in with its key, as on machines that clouds rent; the environment comes from
// /etc/environment.
const pam = `auth required pam_deny.so
account required pam_permit.so
session required pam_env.so
session required pam_permit.so
`

// masked are directories of the machine that no host sees.
func masked() []string {
	return []string{"root", "home", "tmp", "var/tmp", "run", "work", "mnt", "srv", "var/lib/aloft", "etc/ssh", "etc/sudoers.d", "var/lib/cloud", "var/log"}
}

// makeDisk fills the upper half of a host's overlay: what differs from the machine's own root.
func makeDisk(upper string, s Spec, address string) error {
	for _, d := range masked() {
		mode := os.FileMode(0o755)
		switch d {
		case "root", "etc/sudoers.d":
			mode = 0o700
		case "tmp", "var/tmp":
			mode = 0o777 | os.ModeSticky
		}
		p := filepath.Join(upper, d)
		if err := os.MkdirAll(p, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(p, mode); err != nil {
			return err
		}
		if err := opaque(p); err != nil {
			return fmt.Errorf("mask %s: %w", d, err)
		}
	}
	var env strings.Builder
	names := make([]string, 0, len(s.Env))
	for k := range s.Env {
		names = append(names, k)
	}
	sort.Strings(names)
	for _, k := range names {
		fmt.Fprintf(&env, "%s=%s\n", k, s.Env[k])
	}
	files := []struct {
		name, text string
		mode       os.FileMode
	}{
		{"etc/hostname", s.Name + "\n", 0o644},
		{"etc/hosts", "127.0.0.1 localhost\n" + address + " " + s.Name + "\n169.254.169.254 metadata.google.internal metadata\n", 0o644},
		{"etc/resolv.conf", "", 0o644},
		{"etc/environment", env.String(), 0o644},
		{"etc/ssh/sshd_config", sshdConfig, 0o644},
		{"etc/pam.d/sshd", pam, 0o644},
		{"usr/lib/hostlab/init", initScript, 0o755},
		{"usr/lib/hostlab/shutdown", shutdownScript, 0o755},
	}
	if _, err := lookSystem("sudo"); err != nil {
		// A machine without sudo: a copy of setpriv that may become root, and a script that asks who may.
		p, err := lookSystem("setpriv")
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		files = append(files, struct {
			name, text string
			mode       os.FileMode
		}{"usr/lib/hostlab/setpriv", string(b), 0o755 | os.ModeSetuid}, struct {
			name, text string
			mode       os.FileMode
		}{"usr/bin/sudo", sudoScript, 0o755})
	}
	if len(s.Boot) > 0 {
		text := string(s.Boot)
		if first, rest, ok := strings.Cut(text, "\n"); ok && strings.TrimSpace(first) == "#cloud-boothook" {
			text = rest
		}
		if !strings.HasPrefix(text, "#!") {
			return fmt.Errorf("the boot script of %s has no #! line", s.Name)
		}
		files = append(files, struct {
			name, text string
			mode       os.FileMode
		}{"usr/lib/hostlab/boot", text, 0o700})
	}
	for _, f := range files {
		p := filepath.Join(upper, f.name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(f.text), f.mode); err != nil {
			return err
		}
		if err := os.Chmod(p, f.mode); err != nil {
			return err
		}
	}
	for _, n := range []string{"shutdown", "poweroff", "halt"} {
		if err := os.MkdirAll(filepath.Join(upper, "usr/sbin"), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../lib/hostlab/shutdown", filepath.Join(upper, "usr/sbin", n)); err != nil {
			return err
		}
	}
	return nil
}
