package gcp_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"aloft/providers"
	"aloft/providers/gcp"
)

// TestCatalog: answers as documented, in pages, one of them after a refusal that passes; entries of the price list that must
// not be taken for a price are among them.
func TestCatalog(t *testing.T) {
	t.Parallel()
	sku := func(text, usage, group, unit string, units, nanos int, regions ...string) string {
		return fmt.Sprintf(`{"name":"services/6F81-5844-456A/skus/X","skuId":"X","description":%q,"category":{"serviceDisplayName":"Compute Engine","resourceFamily":"Compute","resourceGroup":%q,"usageType":%q},
			"serviceRegions":["%s"],"pricingInfo":[{"effectiveTime":"2026-01-01T00:00:00Z","pricingExpression":{"usageUnit":%q,"displayQuantity":1,"tieredRates":[{"startUsageAmount":0,"unitPrice":{"currencyCode":"USD","units":"%d","nanos":%d}}]}}]}`,
			text, group, usage, strings.Join(regions, `","`), unit, units, nanos)
	}
	const zone = "https://www.googleapis.com/compute/v1/projects/p/zones/"
	typ := func(name, at string, cpus, mb int, more string) string {
		return fmt.Sprintf(`{"kind":"compute#machineType","name":%q,"guestCpus":%d,"memoryMb":%d,"zone":%q%s}`, name, cpus, mb, zone+at, more)
	}
	var refused atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		page := r.URL.Query().Get("pageToken")
		var out string
		switch r.URL.Path + " " + page {
		case "/v1/services/6F81-5844-456A/skus ":
			if r.URL.Query().Get("currencyCode") != "USD" {
				t.Errorf("asked for %v", r.URL.Query())
			}
			out = `{"skus":[` + strings.Join([]string{
				sku("N1 Predefined Instance Core running in Americas", "OnDemand", "N1Standard", "h", 0, 31611000, "us-central1"),
				sku("N1 Predefined Instance Ram running in Americas", "OnDemand", "N1Standard", "GiBy.h", 0, 4237000, "us-central1"),
				sku("Spot Preemptible N1 Predefined Instance Core running in Americas", "Preemptible", "N1Standard", "h", 0, 6655000, "us-central1"),
				sku("Spot Preemptible N1 Predefined Instance Ram running in Americas", "Preemptible", "N1Standard", "GiBy.h", 0, 892000, "us-central1"),
				sku("Commitment v1: N1 Predefined Instance Core in Americas for 1 Year", "Commit1Yr", "N1Standard", "h", 0, 1, "us-central1"),
				sku("N1 Custom Instance Core running in Americas", "OnDemand", "N1Standard", "h", 0, 33174000, "us-central1"),
				sku("N1 Sole Tenancy Instance Core running in Americas", "OnDemand", "N1Standard", "h", 0, 5, "us-central1"),
				sku("A2 Instance Core running in Americas", "OnDemand", "CPU", "h", 0, 31611000, "us-central1"),
			}, ",") + `],"nextPageToken":"2"}`
		case "/v1/services/6F81-5844-456A/skus 2":
			if refused.CompareAndSwap(false, true) {
				http.Error(w, `{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}`, http.StatusServiceUnavailable)
				return
			}
			out = `{"skus":[` + strings.Join([]string{
				sku("A2 Instance Ram running in Americas", "OnDemand", "RAM", "GiBy.h", 0, 4237000, "us-central1"),
				sku("Nvidia Tesla T4 GPU running in Americas", "OnDemand", "GPU", "h", 0, 350000000, "us-central1", "us-west1"),
				sku("Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas", "Preemptible", "GPU", "h", 0, 110000000, "us-central1"),
				sku("Nvidia Tesla A100 GPU running in Americas", "OnDemand", "GPU", "h", 2, 933908000, "us-central1"),
				sku("Nvidia Tesla A100 80GB GPU running in Americas", "OnDemand", "GPU", "h", 3, 929000000, "us-central1"),
				sku("Reserved Nvidia Tesla A100 GPU in Americas in Calendar Mode", "OnDemand", "GPU", "h", 1, 0, "us-central1"),
				sku("Nvidia L4 GPU running in Americas", "OnDemand", "GPU", "h", 0, 560000000, "us-central1"),
				sku("Nvidia L4 GPU running in Iowa", "OnDemand", "GPU", "h", 0, 570000000, "us-central1"),
			}, ",") + `]}`
		case "/compute/v1/projects/p/aggregated/machineTypes ":
			out = `{"items":{"zones/us-central1-a":{"machineTypes":[` + strings.Join([]string{
				typ("n1-standard-4", "us-central1-a", 4, 15360, ""), typ("a2-highgpu-1g", "us-central1-a", 12, 87040, `,"accelerators":[{"guestAcceleratorType":"nvidia-tesla-a100","guestAcceleratorCount":1}]`),
				typ("e2-micro", "us-central1-a", 2, 1024, ""), typ("g2-standard-4", "us-central1-a", 4, 16384, `,"accelerators":[{"guestAcceleratorType":"nvidia-l4","guestAcceleratorCount":1}]`),
				typ("old-1", "us-central1-a", 1, 1024, `,"deprecated":{"state":"OBSOLETE"}`),
			}, ",") + `]},"zones/us-east9-a":{"warning":{"code":"NO_RESULTS_ON_PAGE"}}},"nextPageToken":"n"}`
		case "/compute/v1/projects/p/aggregated/machineTypes n":
			out = `{"items":{"zones/us-west1-b":{"machineTypes":[` + typ("n1-standard-4", "us-west1-b", 4, 15360, "") + `,` + typ("c4a-standard-1", "us-west1-b", 1, 4096, `,"architecture":"ARM64"`) + `]}}}`
		case "/compute/v1/projects/p/aggregated/acceleratorTypes ":
			out = `{"items":{"zones/us-central1-a":{"acceleratorTypes":[
				{"name":"nvidia-tesla-t4","zone":"` + zone + `us-central1-a","maximumCardsPerInstance":4},{"name":"nvidia-tesla-t4-vws","zone":"` + zone + `us-central1-a","maximumCardsPerInstance":4},
				{"name":"nvidia-tesla-a100","zone":"` + zone + `us-central1-a","maximumCardsPerInstance":16},{"name":"ct5lp","zone":"` + zone + `us-central1-a","maximumCardsPerInstance":8}]},
				"zones/us-west1-b":{"acceleratorTypes":[{"name":"nvidia-tesla-t4","zone":"` + zone + `us-west1-b","maximumCardsPerInstance":1}]}}}`
		default:
			t.Errorf("unexpected call %s %s", r.Method, r.URL)
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, out)
	}))
	defer srv.Close()
	p, err := gcp.New(map[string]string{"project": "p", "endpoint": srv.URL, "auth": "none"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := p.Catalog(t.Context(), func(r providers.CatalogRow) error {
		if r.Dated.IsZero() == (!math.IsNaN(r.Price) || !math.IsNaN(r.SpotPrice)) || !strings.HasPrefix(r.Zone, r.Region) {
			t.Errorf("row %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %s:%g/%g %s %g %g %.6f %.6f", r.Zone, r.InstanceType, r.Accelerator, r.AcceleratorCount, r.DeviceGB, r.Arch, r.CPUs, r.MemoryGB, r.Price, r.SpotPrice))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := `us-central1-a  A100:1/40  0 0 2.933908 NaN
us-central1-a  L4:1/24  0 0 NaN NaN
us-central1-a  T4:1/16  0 0 0.350000 0.110000
us-central1-a  T4:2/16  0 0 0.700000 0.220000
us-central1-a  T4:4/16  0 0 1.400000 0.440000
us-central1-a a2-highgpu-1g :0/0  12 85 0.739477 NaN
us-central1-a e2-micro :0/0  2 1 NaN NaN
us-central1-a g2-standard-4 :0/0  4 16 NaN NaN
us-central1-a n1-standard-4 :0/0  4 15 0.189999 0.040000
us-west1-b  T4:1/16  0 0 0.350000 NaN
us-west1-b c4a-standard-1 :0/0 arm64 1 4 NaN NaN
us-west1-b n1-standard-4 :0/0  4 15 NaN NaN`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestCatalogRefused: a refusal is told with its class, and no row is given.
func TestCatalogRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":403,"message":"Cloud Billing API has not been used in project p before or it is disabled.","status":"PERMISSION_DENIED","errors":[{"reason":"accessNotConfigured","domain":"usageLimits","message":"x"}]}}`)
	}))
	defer srv.Close()
	p, err := gcp.New(map[string]string{"project": "p", "endpoint": srv.URL, "auth": "none"})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Catalog(t.Context(), func(providers.CatalogRow) error { t.Error("a row"); return nil })
	if k := providers.KindOf(err); k != providers.Auth {
		t.Errorf("kind %v: %v", k, err)
	}
}
