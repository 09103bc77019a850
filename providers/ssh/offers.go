package ssh

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/providers"
	"aloft/providers/nvidia"
)

const (
	factsAge   = 10 * time.Minute // what a host is made of is asked for again after this long
	downAge    = 20 * time.Second // a host that did not answer
	factsLimit = 20 * time.Second
)

// facts are what a host is made of.
type facts struct {
	cpus, memoryGB float64
	gpus           []nvidia.GPU
	err            error
	until          time.Time
}

// instanceType names what a host is made of, as SkyPilot names machines that have no name.
func (f facts) instanceType() string {
	s := fmt.Sprintf("%sCPU--%sGB", number(f.cpus), number(f.memoryGB))
	for _, g := range f.gpus {
		s += fmt.Sprintf("--%s:%d", g.Name, g.Count)
	}
	return s
}

func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func (f facts) count() int {
	n := 0
	for _, g := range f.gpus {
		n += g.Count
	}
	return n
}

// ask finds out what hosts are made of, those that do not say so in the inventory at the same time.
func (p *Provider) ask(ctx context.Context, hosts []host) []facts {
	out := make([]facts, len(hosts))
	each(len(hosts), func(i int) { out[i] = p.factsOf(ctx, hosts[i]) })
	return out
}

func (p *Provider) factsOf(ctx context.Context, h host) facts {
	if h.Declared {
		return facts{cpus: h.CPUs, memoryGB: h.MemoryGB, gpus: h.GPUs}
	}
	key := h.id() + " " + h.At
	p.mu.Lock()
	f, ok := p.facts[key]
	p.mu.Unlock()
	if !ok || time.Now().After(f.until) {
		f = p.detect(ctx, h)
		if ctx.Err() == nil {
			p.mu.Lock()
			p.facts[key] = f
			p.mu.Unlock()
		}
	}
	if h.CPUs > 0 {
		f.cpus = h.CPUs
	}
	if h.MemoryGB > 0 {
		f.memoryGB = h.MemoryGB
	}
	if h.GPUs != nil {
		f.gpus = h.GPUs
	}
	return f
}

// detectLine prints CPUs, memory in kB (0 = unknown), then nvidia-smi's table.
const detectLine = `echo; echo "cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc)"
echo "memory $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)"
if command -v nvidia-smi >/dev/null 2>&1; then nvidia-smi ` + nvidia.Query + `; fi; exit 0`

func (p *Provider) detect(ctx context.Context, h host) facts {
	ctx, cancel := context.WithTimeout(ctx, factsLimit)
	defer cancel()
	down := func(err error) facts { return facts{err: named("offers", h, err), until: time.Now().Add(downAge)} }
	sh, err := p.open(ctx, h)
	if err != nil {
		return down(err)
	}
	defer sh.Close()
	var out bytes.Buffer
	if _, err := sh.Run(ctx, providers.Cmd{Line: detectLine, Stdout: &out}); err != nil {
		return down(err)
	}
	f := parseFacts(out.String())
	if f.cpus <= 0 {
		return down(fault("offers", providers.Transient, "host", "", errors.New("it does not say how many CPUs it has")))
	}
	f.until = time.Now().Add(factsAge)
	return f
}

func parseFacts(out string) facts {
	var f facts
	var table strings.Builder
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch x, err := strconv.ParseFloat(value, 64); {
		case key == "cpus" && err == nil:
			f.cpus = x
		case key == "memory" && err == nil:
			f.memoryGB = float64(int(x/(1<<20)*10)) / 10
		default:
			table.WriteString(line)
		}
	}
	f.gpus = nvidia.Parse(table.String())
	return f
}

// Offers yields the kinds of hosts of each pool: without accelerators, then with 1 to n of each that they have. Small hosts
// come first. Hosts that cannot be asked are left out; when none can, that is an error.
func (p *Provider) Offers(ctx context.Context, q providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return func(yield func(providers.Offer, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Offer{}, err)
			return
		}
		v, err := p.inventory("offers")
		if err != nil {
			yield(providers.Offer{}, err)
			return
		}
		hosts := slices.DeleteFunc(slices.Clone(v.hosts), func(h host) bool { return q.Region != "" && h.Pool != q.Region })
		all := p.ask(ctx, hosts)
		var first error
		answered := 0
		seen := map[string]bool{}
		var offers []providers.Offer
		for _, i := range bySize(all) {
			f := all[i]
			if f.err != nil {
				first = cmp.Or(first, f.err)
				continue
			}
			answered++
			base := providers.Offer{Region: hosts[i].Pool, InstanceType: f.instanceType(), CPUs: f.cpus, MemoryGB: f.memoryGB}
			if k := base.Region + " " + base.InstanceType; seen[k] {
				continue
			} else {
				seen[k] = true
			}
			if q.Accelerator == "" {
				offers = append(offers, base)
			}
			for _, g := range f.gpus {
				if q.Accelerator != "" && !strings.EqualFold(q.Accelerator, g.Name) {
					continue
				}
				for n := 1; n <= g.Count; n++ {
					o := base
					o.Accelerator, o.AcceleratorCount = g.Name, float64(n)
					offers = append(offers, o)
				}
			}
		}
		for _, o := range offers {
			if !yield(o, nil) {
				return
			}
		}
		if answered == 0 && first != nil {
			yield(providers.Offer{}, first)
		}
	}
}

// bySize orders hosts: those with few accelerators, then few CPUs, first; otherwise as in the inventory.
func bySize(all []facts) []int {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[a].count(), all[b].count()), cmp.Compare(all[a].cpus, all[b].cpus), cmp.Compare(all[a].memoryGB, all[b].memoryGB))
	})
	return order
}

// suitable are the hosts of the kind that a spec asks for.
func (p *Provider) suitable(ctx context.Context, v inventory, s providers.NodeSpec) ([]host, error) {
	hosts := slices.DeleteFunc(slices.Clone(v.hosts), func(h host) bool { return s.Region != "" && h.Pool != s.Region })
	if len(hosts) == 0 {
		return nil, fault("create", providers.Invalid, "no-such-pool", "pools there are: "+orElse(strings.Join(v.pools, ", "), "none"),
			fmt.Errorf("there is no pool %q in the inventory", s.Region))
	}
	all := p.ask(ctx, hosts)
	var out []host
	var first error
	for _, i := range bySize(all) {
		f := all[i]
		if f.err != nil {
			first = cmp.Or(first, f.err)
			continue
		}
		if f.instanceType() == s.InstanceType {
			out = append(out, hosts[i])
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, noHost(s, nil, nil, first)
	}
	return out, nil
}
