package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/providers/nvidia"
)

// host is one machine of the inventory.
type host struct {
	Pool, Name string // Name is a word of ~/.ssh/config, a host name or an address
	At         string // file:line
	User       string
	Port       int
	Identity   string
	KnownHosts string
	ProxyJump  string
	Address    string // for peers; "" = the one that its sshd is reached at
	CPUs       float64
	MemoryGB   float64
	GPUs       []nvidia.GPU
	Declared   bool // GPUs, CPUs and memory need not be asked for
}

// id tells hosts apart.
func (h host) id() string { return h.Pool + "/" + h.Name }

// inventory is what the user's files say, pools and hosts in their order there.
type inventory struct {
	pools []string
	hosts []host
}

func (v inventory) find(pool, name string) (host, bool) {
	for _, h := range v.hosts {
		if h.Pool == pool && h.Name == name {
			return h, true
		}
	}
	return host{}, false
}

// inventoryLimit bounds a file in bytes.
const inventoryLimit = 1 << 20

// files are where inventories are looked for: ours, and SkyPilot's, of which pools that ours has are not taken.
func files(home, userHome string) []string {
	return []string{filepath.Join(home, "ssh.yaml"), filepath.Join(userHome, ".sky", "ssh_node_pools.yaml")}
}

// readInventory reads the files there are. Every problem is reported, with its file and line.
func readInventory(paths []string) (inventory, error) {
	var v inventory
	var problems []string
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return v, fmt.Errorf("read the inventory: %w", err)
		}
		one, bad := parseInventory(path, b)
		problems = append(problems, bad...)
		for _, pool := range one.pools {
			if slices.Contains(v.pools, pool) {
				continue
			}
			v.pools = append(v.pools, pool)
			for _, h := range one.hosts {
				if h.Pool == pool {
					v.hosts = append(v.hosts, h)
				}
			}
		}
	}
	if len(problems) > 0 {
		return v, errors.New(strings.Join(problems, "\n"))
	}
	return v, nil
}

// parser reads one file.
type parser struct {
	path     string
	problems []string
}

func (p *parser) bad(n *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf("%s:%d: %s", p.path, n.Line, fmt.Sprintf(format, args...)))
}

func parseInventory(path string, b []byte) (inventory, []string) {
	var v inventory
	p := &parser{path: path}
	if len(b) > inventoryLimit {
		return v, []string{fmt.Sprintf("%s: %d bytes, at most %d are allowed", path, len(b), inventoryLimit)}
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		if len(bytes.TrimSpace(b)) == 0 {
			return v, nil
		}
		return v, []string{fmt.Sprintf("%s: %v", path, err)}
	}
	if len(doc.Content) == 0 {
		return v, nil
	}
	p.pairs(doc.Content[0], "the inventory", func(k, n *yaml.Node) {
		if !poolName.MatchString(k.Value) {
			p.bad(k, "pool %q: a name is letters, digits, dots, dashes and underscores, at most 63", k.Value)
			return
		}
		if slices.Contains(v.pools, k.Value) {
			p.bad(k, "pool %s is there twice", k.Value)
			return
		}
		v.pools = append(v.pools, k.Value)
		v.hosts = append(v.hosts, p.pool(k, n)...)
	})
	return v, p.problems
}

var (
	poolName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9_:][A-Za-z0-9._:%-]{0,252}$`)
)

// pairs yields the entries of a map, or reports that n is none.
func (p *parser) pairs(n *yaml.Node, what string, fn func(k, v *yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" {
			p.bad(n, "%s must be a map", what)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		fn(n.Content[i], n.Content[i+1])
	}
}

const poolFields = "hosts, user, port, identity_file, known_hosts, proxy_jump, cpus, memory, gpus"

func (p *parser) pool(k, n *yaml.Node) []host {
	what := "pool " + k.Value
	base := host{Pool: k.Value}
	var list *yaml.Node
	p.pairs(n, what, func(fk, fv *yaml.Node) {
		if fk.Value == "hosts" {
			list = fv
			return
		}
		if fk.Value == "address" || fk.Value == "host" || fk.Value == "ip" || !p.field(&base, what, fk, fv) {
			p.bad(fk, "%s: unknown field %q; allowed: %s", what, fk.Value, poolFields)
		}
	})
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		p.bad(k, "%s: hosts must be a list of at least one host", what)
		return nil
	}
	var out []host
	for _, item := range list.Content {
		h := base
		h.At = fmt.Sprintf("%s:%d", p.path, item.Line)
		if item.Kind == yaml.ScalarNode {
			h.Name = item.Value
		} else {
			p.pairs(item, what+": a host", func(fk, fv *yaml.Node) {
				if !p.field(&h, what, fk, fv) {
					p.bad(fk, "%s: unknown field %q of a host; allowed: host (or ip), address, %s", what, fk.Value, strings.TrimPrefix(poolFields, "hosts, "))
				}
			})
		}
		// A host may be written user@host:port, as ssh takes it.
		if u, rest, ok := strings.Cut(h.Name, "@"); ok && u != "" {
			h.User, h.Name = u, rest
		}
		if name, port, ok := strings.Cut(h.Name, ":"); ok && !strings.Contains(port, ":") {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 || n > 65535 {
				p.bad(item, "%s: host %q: port %q; allowed: 1 to 65535", what, h.Name, port)
			}
			h.Name, h.Port = name, n
		}
		switch {
		case !hostName.MatchString(h.Name):
			p.bad(item, "%s: %q is no host name", what, h.Name)
		case slices.ContainsFunc(out, func(o host) bool { return o.Name == h.Name }):
			p.bad(item, "%s: host %s is there twice; two ways to one address need names of their own in ~/.ssh/config", what, h.Name)
		default:
			h.Declared = h.CPUs > 0 && h.MemoryGB > 0 && h.GPUs != nil
			out = append(out, h)
		}
	}
	return out
}

// field reads one field of a pool or a host; false = there is no such field.
func (p *parser) field(h *host, what string, k, v *yaml.Node) bool {
	if k.Value == "gpus" {
		h.GPUs = p.gpus(what, v)
		return true
	}
	text := strings.TrimSpace(v.Value)
	if v.Kind != yaml.ScalarNode || text == "" {
		p.bad(v, "%s: %s must be one value", what, k.Value)
		return true
	}
	switch k.Value {
	case "host", "ip":
		h.Name = text
	case "user":
		h.User = text
	case "identity_file":
		h.Identity = text
	case "known_hosts":
		h.KnownHosts = text
	case "proxy_jump":
		h.ProxyJump = text
	case "address":
		h.Address = text
	case "password":
		p.bad(k, "%s: passwords are not used: put a key on the host with `ssh-copy-id` and name it in identity_file", what)
	case "port":
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			p.bad(v, "%s: port %q; allowed: 1 to 65535", what, text)
		}
		h.Port = n
	case "cpus", "memory":
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x > 0 && x < 1e7) {
			p.bad(v, "%s: %s %q is no positive number", what, k.Value, text)
			return true
		}
		if k.Value == "cpus" {
			h.CPUs = x
		} else {
			h.MemoryGB = x
		}
	default:
		return false
	}
	return true
}

// gpus reads NAME:COUNT, several by comma, or none.
func (p *parser) gpus(what string, v *yaml.Node) []nvidia.GPU {
	out := []nvidia.GPU{}
	if v.Kind != yaml.ScalarNode {
		p.bad(v, "%s: gpus must be NAME:COUNT, or none", what)
		return out
	}
	if v.Tag == "!!null" || strings.EqualFold(v.Value, "none") || v.Value == "0" {
		return out
	}
	for item := range strings.SplitSeq(v.Value, ",") {
		name, count, has := strings.Cut(strings.TrimSpace(item), ":")
		g := nvidia.GPU{Name: name, Count: 1, MemoryGB: nvidia.Memory(name)}
		if has {
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 || n > 1024 {
				p.bad(v, "%s: gpus %q: %q is no count", what, v.Value, count)
				continue
			}
			g.Count = n
		}
		if name == "" {
			p.bad(v, "%s: gpus %q must be NAME:COUNT, or none", what, v.Value)
			continue
		}
		out = append(out, g)
	}
	return out
}
