package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// Config is a person's ssh_config: names of machines, and the keys and ways to them.
type Config struct {
	home   string
	user   string
	agent  string
	parsed *ssh_config.Config
}

const (
	mostIncludes = 16 // deep
	mostJumps    = 8
)

// ReadConfig reads ~/.ssh/config and what it includes; home "" = the user's own. A missing file is an empty Config. Match
// blocks count only with `all`, `host` and `originalhost`: others depend on what cannot be known here, and are left out.
func ReadConfig(home string) (*Config, error) {
	c := &Config{home: home, agent: os.Getenv("SSH_AUTH_SOCK")}
	if u, err := user.Current(); err == nil {
		c.user = u.Username
	}
	if home == "" {
		h, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("find the home directory: %w", err)
		}
		c.home = h
	}
	path := filepath.Join(c.home, ".ssh", "config")
	text, err := c.flatten(path, "Host *", 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if c.parsed, err = ssh_config.Decode(strings.NewReader(text)); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// flatten is a file with the files it includes in their places. block is the line of the block it is included in.
func (c *Config) flatten(path, block string, depth int) (string, error) {
	if depth > mostIncludes {
		return "", fmt.Errorf("%s: includes are %d deep: one includes itself", path, depth)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(block + "\n")
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		key, value := keyValue(line)
		switch key {
		case "host":
			block = line
		case "match":
			block = matchBlock(value)
			line = block
		case "include":
			text, err := c.include(value, block, depth)
			if err != nil {
				return "", err
			}
			out.WriteString(text + block + "\n")
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		out.WriteString(line + "\n")
	}
	return out.String(), nil
}

// never is a block that no name is in.
const never = "Host !*"

// matchBlock is a Host line for a Match line.
func matchBlock(criteria string) string {
	f := strings.Fields(criteria)
	switch {
	case len(f) == 1 && strings.EqualFold(f[0], "all"):
		return "Host *"
	case len(f) == 2 && (strings.EqualFold(f[0], "host") || strings.EqualFold(f[0], "originalhost")):
		return "Host " + strings.ReplaceAll(strings.Trim(f[1], `"`), ",", " ")
	}
	return never
}

func (c *Config) include(value, block string, depth int) (string, error) {
	var out strings.Builder
	for _, pattern := range words(value) {
		switch {
		case strings.HasPrefix(pattern, "~/"):
			pattern = filepath.Join(c.home, pattern[2:])
		case !filepath.IsAbs(pattern):
			pattern = filepath.Join(c.home, ".ssh", pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("include %s: %w", pattern, err)
		}
		slices.Sort(files)
		for _, f := range files {
			text, err := c.flatten(f, block, depth+1)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				continue
			}
			if err != nil {
				return "", err
			}
			out.WriteString(text)
		}
	}
	return out.String(), nil
}

// keyValue splits a line of ssh_config; the key is lower case.
func keyValue(line string) (key, value string) {
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	return strings.ToLower(line[:i]), strings.Trim(line[i:], " \t=")
}

// words are the arguments of a line, quotes taken off.
func words(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			w, rest, _ := strings.Cut(s[1:], `"`)
			out, s = append(out, w), rest
			continue
		}
		i := strings.IndexAny(s, " \t")
		if i < 0 {
			i = len(s)
		}
		out, s = append(out, s[:i]), s[i:]
	}
	return out
}

// Resolve completes a target as ssh would: Host may be a name of the file; what is set already stays.
func (c *Config) Resolve(t Target) (Target, error) { return c.resolve(t, 0) }

func (c *Config) resolve(t Target, depth int) (Target, error) {
	name := t.Host
	if depth > mostJumps {
		return t, fmt.Errorf("ssh config: more than %d machines to go through to %s", mostJumps, name)
	}
	get := func(key string) string {
		v, err := c.parsed.Get(name, key)
		if err != nil {
			return ""
		}
		return v
	}
	if h := get("HostName"); h != "" {
		t.Host = strings.ReplaceAll(h, "%h", name)
	}
	if t.User == "" {
		if t.User = get("User"); t.User == "" {
			t.User = c.user
		}
	}
	if p := get("Port"); t.Port == 0 && p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 {
			return t, fmt.Errorf("ssh config: Host %s: Port %q is no port", name, p)
		}
		t.Port = n
	}
	if t.HostKeyAlias == "" {
		t.HostKeyAlias = get("HostKeyAlias")
	}
	if err := c.keys(&t, name); err != nil {
		return t, err
	}
	if len(t.KnownHosts) == 0 {
		for _, f := range words(orElse(get("UserKnownHostsFile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2")) {
			t.KnownHosts = append(t.KnownHosts, c.expand(f, t))
		}
		t.KnownHosts = append(t.KnownHosts, words(orElse(get("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts"))...)
	}
	if t.Via != nil || t.Direct || t.ProxyCommand != "" {
		return t, nil
	}
	if j := get("ProxyJump"); j != "" && !strings.EqualFold(j, "none") {
		via, err := c.jumps(j, depth)
		t.Via = via
		return t, err
	}
	if p := get("ProxyCommand"); p != "" && !strings.EqualFold(p, "none") {
		t.ProxyCommand = strings.ReplaceAll(p, "%n", name)
	}
	return t, nil
}

// keys finds the private keys for a machine.
func (c *Config) keys(t *Target, name string) error {
	if len(t.Identities) > 0 {
		for i, f := range t.Identities {
			t.Identities[i] = c.expand(f, *t)
		}
	} else {
		files, err := c.parsed.GetAll(name, "IdentityFile")
		if err != nil {
			return fmt.Errorf("ssh config: Host %s: %w", name, err)
		}
		for _, f := range files {
			t.Identities = append(t.Identities, c.expand(strings.Trim(f, `"`), *t))
		}
		for _, f := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			path := filepath.Join(c.home, ".ssh", f)
			if _, err := os.Stat(path); err == nil && len(files) == 0 {
				t.Identities = append(t.Identities, path)
			}
		}
	}
	if t.AgentSocket == "" {
		own, err := c.parsed.Get(name, "IdentityAgent")
		switch {
		case err != nil || own == "" || own == "SSH_AUTH_SOCK":
			t.AgentSocket = c.agent
		case !strings.EqualFold(own, "none"):
			t.AgentSocket = c.expand(strings.Trim(own, `"`), *t)
		}
	}
	only, err := c.parsed.Get(name, "IdentitiesOnly")
	t.OnlyIdentities = t.OnlyIdentities || err == nil && strings.EqualFold(only, "yes")
	return nil
}

// Jumps is the way through the machines of a ProxyJump value: [user@]host[:port], several by comma, the first first.
func (c *Config) Jumps(value string) (*Target, error) {
	if value == "" || strings.EqualFold(value, "none") {
		return nil, nil
	}
	return c.jumps(value, 0)
}

func (c *Config) jumps(value string, depth int) (*Target, error) {
	var via *Target
	for hop := range strings.SplitSeq(value, ",") {
		t, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			return nil, err
		}
		t.Via = via
		if t, err = c.resolve(t, depth+1); err != nil {
			return nil, err
		}
		via = &t
	}
	return via, nil
}

// parseHop reads [ssh://][user@]host[:port].
func parseHop(s string) (Target, error) {
	var t Target
	rest := strings.TrimPrefix(s, "ssh://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		t.User, rest = rest[:i], rest[i+1:]
	}
	host, port := rest, ""
	if strings.HasPrefix(rest, "[") {
		var ok bool
		if host, port, ok = strings.Cut(rest[1:], "]"); !ok {
			return t, fmt.Errorf("proxy jump %q: allowed is [user@]host[:port]", s)
		}
		port = strings.TrimPrefix(port, ":")
	} else if strings.Count(rest, ":") == 1 {
		host, port, _ = strings.Cut(rest, ":")
	}
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return t, fmt.Errorf("proxy jump %q: %q is no port", s, port)
		}
		t.Port = n
	}
	if t.Host = host; host == "" || strings.HasPrefix(host, "-") || strings.ContainsAny(host, " \t/") {
		return t, fmt.Errorf("proxy jump %q: allowed is [user@]host[:port]", s)
	}
	return t, nil
}

// expand puts the home and the tokens of ssh_config into a path.
func (c *Config) expand(path string, t Target) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(c.home, rest)
	}
	return strings.NewReplacer("%%", "%", "%d", c.home, "%h", t.Host, "%r", t.User, "%u", c.user).Replace(path)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
