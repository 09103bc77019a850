package gcp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"google.golang.org/api/googleapi"

	"aloft/providers"
	"aloft/providers/nvidia"
)

// billingEndpoint serves the price list; computeService is what it calls Compute Engine.
const (
	billingEndpoint = "https://cloudbilling.googleapis.com"
	computeService  = "services/6F81-5844-456A"
)

// maxAnswer bounds one page of an answer.
const maxAnswer = 64 << 20

// Catalog asks Compute Engine which machine types and accelerators its zones have, and the price list what their parts
// cost. A machine's price is that of its vCPUs and memory; accelerators have rows of their own, as in SkyPilot's catalogues.
func (p *Provider) Catalog(ctx context.Context, row func(providers.CatalogRow) error) error {
	c, err := p.api(ctx, "catalog")
	if err != nil {
		return err
	}
	parts, err := p.skus(ctx, c)
	if err != nil {
		return p.failure(ctx, "catalog", "", err)
	}
	types, err := p.machineTypes(ctx, c)
	if err != nil {
		return p.failure(ctx, "catalog", "", err)
	}
	attach, err := p.acceleratorTypes(ctx, c)
	if err != nil {
		return p.failure(ctx, "catalog", "", err)
	}
	for _, r := range assemble(types, attach, parts, time.Now()) {
		if !p.allowed(r.Region) {
			continue
		}
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

// zoneType is a machine type of one zone.
type zoneType struct {
	zone, name, arch  string
	cpus, memoryGB    float64
	accelerator       string // as Compute Engine calls it; "" = none
	acceleratorsFixed float64
}

// assemble makes the rows: machine types, then accelerators by zone and count.
func assemble(types []zoneType, attach map[string]map[string]float64, parts prices, seen time.Time) []providers.CatalogRow {
	var out []providers.CatalogRow
	counts := map[string]map[float64]bool{} // by zone and accelerator
	add := func(zone, name string, n float64) {
		key := zone + "/" + name
		if counts[key] == nil {
			counts[key] = map[float64]bool{}
		}
		counts[key][n] = true
	}
	for _, t := range types {
		r := providers.CatalogRow{InstanceType: t.name, CPUs: t.cpus, MemoryGB: t.memoryGB, Arch: t.arch, Region: regionOf(t.zone), Zone: t.zone}
		r.Price, r.SpotPrice = parts.machine(t, r.Region, false), parts.machine(t, r.Region, true)
		out = append(out, r)
		if t.accelerator != "" {
			add(t.zone, t.accelerator, t.acceleratorsFixed)
		}
	}
	for zone, list := range attach {
		for name, most := range list {
			if _, ok := attachable(acceleratorName(name)); !ok {
				continue // it comes with machine types of its own
			}
			for n := 1.0; n <= most; n *= 2 {
				add(zone, name, n)
			}
		}
	}
	for key, ns := range counts {
		zone, name, _ := strings.Cut(key, "/")
		for n := range ns {
			a := acceleratorName(name)
			r := providers.CatalogRow{Accelerator: a, AcceleratorCount: n, DeviceGB: nvidia.Memory(a), Region: regionOf(zone), Zone: zone}
			r.Price, r.SpotPrice = n*parts.accelerator(a, r.Region, false), n*parts.accelerator(a, r.Region, true)
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b providers.CatalogRow) int {
		return cmp.Or(cmp.Compare(a.Region, b.Region), cmp.Compare(a.InstanceType, b.InstanceType), cmp.Compare(a.Accelerator, b.Accelerator),
			cmp.Compare(a.AcceleratorCount, b.AcceleratorCount), cmp.Compare(a.Zone, b.Zone))
	})
	for i := range out {
		if !math.IsNaN(out[i].Price) || !math.IsNaN(out[i].SpotPrice) {
			out[i].Dated = seen
		}
	}
	return out
}

// acceleratorName is the name that tasks use for one of Compute Engine's: nvidia-tesla-t4 is T4.
func acceleratorName(name string) string {
	switch name {
	case "nvidia-a100-80gb":
		return "A100-80GB"
	case "nvidia-h100-80gb":
		return "H100"
	case "nvidia-h100-mega-80gb":
		return "H100-MEGA"
	case "nvidia-h200-141gb":
		return "H200"
	}
	return strings.ToUpper(strings.TrimPrefix(strings.TrimPrefix(name, "nvidia-"), "tesla-"))
}

// machineTypes lists those of all zones that are not withdrawn.
func (p *Provider) machineTypes(ctx context.Context, c *clients) ([]zoneType, error) {
	type answer struct {
		Items map[string]struct {
			MachineTypes []struct {
				Name         string  `json:"name"`
				CPUs         float64 `json:"guestCpus"`
				MemoryMB     float64 `json:"memoryMb"`
				Zone         string  `json:"zone"`
				Architecture string  `json:"architecture"`
				Accelerators []struct {
					Type  string  `json:"guestAcceleratorType"`
					Count float64 `json:"guestAcceleratorCount"`
				} `json:"accelerators"`
				Deprecated struct {
					State string `json:"state"`
				} `json:"deprecated"`
			} `json:"machineTypes"`
		} `json:"items"`
		Next string `json:"nextPageToken"`
	}
	var out []zoneType
	err := pages(func(token string) (string, error) {
		var a answer
		if err := p.fetch(ctx, c, p.computeURL("/compute/v1/projects/"+url.PathEscape(c.project)+"/aggregated/machineTypes", token), &a); err != nil {
			return "", err
		}
		for _, item := range a.Items {
			for _, m := range item.MachineTypes {
				if s := m.Deprecated.State; s == "OBSOLETE" || s == "DELETED" {
					continue
				}
				t := zoneType{zone: path.Base(m.Zone), name: m.Name, cpus: m.CPUs, memoryGB: m.MemoryMB / 1024, arch: strings.ToLower(m.Architecture)}
				if t.arch == "" && arm(family(m.Name)) {
					t.arch = "arm64"
				}
				for _, x := range m.Accelerators {
					t.accelerator, t.acceleratorsFixed = x.Type, t.acceleratorsFixed+x.Count
				}
				out = append(out, t)
			}
		}
		return a.Next, nil
	})
	return out, err
}

// acceleratorTypes are how many of each accelerator a machine may have, by zone.
func (p *Provider) acceleratorTypes(ctx context.Context, c *clients) (map[string]map[string]float64, error) {
	type answer struct {
		Items map[string]struct {
			Types []struct {
				Name string  `json:"name"`
				Zone string  `json:"zone"`
				Most float64 `json:"maximumCardsPerInstance"`
			} `json:"acceleratorTypes"`
		} `json:"items"`
		Next string `json:"nextPageToken"`
	}
	out := map[string]map[string]float64{}
	err := pages(func(token string) (string, error) {
		var a answer
		if err := p.fetch(ctx, c, p.computeURL("/compute/v1/projects/"+url.PathEscape(c.project)+"/aggregated/acceleratorTypes", token), &a); err != nil {
			return "", err
		}
		for _, item := range a.Items {
			for _, t := range item.Types {
				if strings.HasSuffix(t.Name, "-vws") || t.Most <= 0 {
					continue // virtual workstations are another product
				}
				zone := path.Base(t.Zone)
				if out[zone] == nil {
					out[zone] = map[string]float64{}
				}
				out[zone][t.Name] = min(t.Most, 64)
			}
		}
		return a.Next, nil
	})
	return out, err
}

// pages calls fn with one token after the other.
func pages(fn func(token string) (next string, err error)) error {
	const most = 10_000
	token := ""
	for range most {
		next, err := fn(token)
		if err != nil || next == "" {
			return err
		}
		if next == token {
			break
		}
		token = next
	}
	return errors.New("the listing does not end")
}

func (p *Provider) computeURL(at, token string) string {
	base := computeEndpoint
	if p.set.endpoint != "" {
		base = strings.TrimRight(p.set.endpoint, "/")
	}
	q := url.Values{"maxResults": {"500"}}
	if token != "" {
		q.Set("pageToken", token)
	}
	return base + at + "?" + q.Encode()
}

// fetch reads one answer; what may pass is asked again.
func (p *Provider) fetch(ctx context.Context, c *clients, from string, into any) error {
	client := retryablehttp.NewClient()
	client.Logger, client.RetryMax, client.HTTPClient = nil, 4, c.http
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	if p.set.endpoint != "" {
		client.RetryWaitMin, client.RetryWaitMax = 10*time.Millisecond, 50*time.Millisecond
	}
	r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := googleapi.CheckResponse(resp); err != nil {
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", r.URL.Path, err)
	}
	return nil
}
