package gcp

import (
	"context"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// prices are those of the parts of machines, by what part where: "n2 core us-central1 spot". NaN where the list has several
// that differ: which of them would be ours is not told.
type prices map[string]float64

func (x prices) set(key string, v float64) {
	if have, ok := x[key]; ok && have != v {
		v = math.NaN()
	}
	x[key] = v
}

func (x prices) get(part, region string, spot bool) float64 {
	if v, ok := x[partKey(part, region, spot)]; ok {
		return v
	}
	return math.NaN()
}

func partKey(part, region string, spot bool) string {
	if spot {
		return part + " " + region + " spot"
	}
	return part + " " + region
}

// machine is the price of a machine's vCPUs and memory; NaN = unknown.
func (x prices) machine(t zoneType, region string, spot bool) float64 {
	f := family(t.name)
	switch {
	case strings.HasPrefix(t.name, "a3-megagpu"):
		f = "a3plus"
	case strings.HasPrefix(t.name, "a3-ultragpu"):
		f = "a3ultra"
	}
	switch {
	case strings.Contains(t.name, "-lssd"), strings.HasPrefix(t.name, "e2-micro"), strings.HasPrefix(t.name, "e2-small"), strings.HasPrefix(t.name, "e2-medium"),
		t.name == "f1-micro", t.name == "g1-small":
		return math.NaN() // not the sum of its vCPUs and memory: disks, or shares of a vCPU
	}
	return t.cpus*x.get(f+" core", region, spot) + t.memoryGB*x.get(f+" ram", region, spot)
}

// accelerator is the price of one; NaN = unknown.
func (x prices) accelerator(name, region string, spot bool) float64 {
	return x.get("gpu "+name, region, spot)
}

// sku is one entry of the price list.
type sku struct {
	Description string `json:"description"`
	Category    struct {
		Family string `json:"resourceFamily"`
		Group  string `json:"resourceGroup"`
		Usage  string `json:"usageType"`
	} `json:"category"`
	Regions []string `json:"serviceRegions"`
	Pricing []struct {
		Expression struct {
			Unit  string `json:"usageUnit"`
			Rates []struct {
				Start float64 `json:"startUsageAmount"`
				Price struct {
					Currency string `json:"currencyCode"`
					Units    string `json:"units"`
					Nanos    int64  `json:"nanos"`
				} `json:"unitPrice"`
			} `json:"tieredRates"`
		} `json:"pricingExpression"`
	} `json:"pricingInfo"`
}

// skus reads the price list of Compute Engine.
func (p *Provider) skus(ctx context.Context, c *clients) (prices, error) {
	base := billingEndpoint
	if p.set.endpoint != "" {
		base = strings.TrimRight(p.set.endpoint, "/")
	}
	out := prices{}
	err := pages(func(token string) (string, error) {
		q := url.Values{"pageSize": {"5000"}, "currencyCode": {"USD"}}
		if token != "" {
			q.Set("pageToken", token)
		}
		var a struct {
			SKUs []sku  `json:"skus"`
			Next string `json:"nextPageToken"`
		}
		if err := p.fetch(ctx, c, base+"/v1/"+computeService+"/skus?"+q.Encode(), &a); err != nil {
			return "", err
		}
		for _, s := range a.SKUs {
			part, spot, ok := s.part()
			if !ok {
				continue
			}
			if v := s.hourly(); v > 0 {
				for _, r := range s.Regions {
					out.set(partKey(part, r, spot), v)
				}
			}
		}
		return a.Next, nil
	})
	return out, err
}

// part says which part of a machine an entry prices: "n2 core", "a2 ram", "gpu T4". Entries for commitments, reservations,
// other tenancies and other ways of using the same part are none.
func (s sku) part() (part string, spot, ok bool) {
	switch s.Category.Usage {
	case "OnDemand":
	case "Preemptible":
		spot = true
	default:
		return "", false, false
	}
	what, _, _ := strings.Cut(s.Description, " running in ")
	what = strings.ToLower(what)
	for _, other := range []string{"commitment", "reserved", "sole tenancy", "custom", "dws", "calendar mode", "workstation", "premium", "upgrade", "suspended", "license"} {
		if strings.Contains(what, other) {
			return "", false, false
		}
	}
	what = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(what, "spot "), "preemptible "))
	what = strings.TrimSuffix(what, " attached to spot preemptible vms")
	if s.Category.Group == "GPU" || strings.HasSuffix(what, " gpu") {
		name, found := strings.CutSuffix(strings.TrimPrefix(strings.TrimPrefix(what, "nvidia "), "tesla "), " gpu")
		if !found || s.Category.Family != "Compute" {
			return "", false, false
		}
		return "gpu " + gpuOfPriceList(name), spot, true
	}
	if s.Category.Family != "Compute" {
		return "", false, false
	}
	for _, kind := range []string{"core", "ram"} {
		series, found := strings.CutSuffix(what, " instance "+kind)
		if !found {
			series, found = strings.CutSuffix(what, " "+kind)
		}
		if !found {
			continue
		}
		switch series = strings.TrimSuffix(series, " predefined"); series {
		case "compute optimized":
			series = "c2"
		case "memory-optimized":
			series = "m1"
		}
		series, _ = strings.CutSuffix(series, " amd")
		series, _ = strings.CutSuffix(series, " arm")
		if series == "" || strings.ContainsRune(series, ' ') {
			return "", false, false
		}
		return series + " " + kind, spot, true
	}
	return "", false, false
}

// gpuOfPriceList is the name that tasks use for a GPU of the price list.
func gpuOfPriceList(name string) string {
	switch name {
	case "a100 80gb":
		return "A100-80GB"
	case "h100 80gb":
		return "H100"
	case "h100 80gb mega", "h100 80gb plus":
		return "H100-MEGA"
	case "h200 141gb":
		return "H200"
	}
	return strings.ToUpper(strings.ReplaceAll(name, " ", "-"))
}

// hourly is the price of an hour of one unit, in USD; 0 = it is none, or has tiers.
func (s sku) hourly() float64 {
	if len(s.Pricing) == 0 {
		return 0
	}
	e := s.Pricing[len(s.Pricing)-1].Expression
	if e.Unit != "h" && e.Unit != "GiBy.h" || len(e.Rates) != 1 || e.Rates[0].Price.Currency != "USD" {
		return 0
	}
	units, err := strconv.ParseInt(e.Rates[0].Price.Units, 10, 64)
	if err != nil && e.Rates[0].Price.Units != "" {
		return 0
	}
	return float64(units) + float64(e.Rates[0].Price.Nanos)/1e9
}
