package aws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"aloft/providers"
	"aloft/providers/aws"
	"aloft/providers/aws/ec2lab"
)

func rows(t *testing.T, p *aws.Provider) []providers.CatalogRow {
	t.Helper()
	var out []providers.CatalogRow
	if err := p.Catalog(t.Context(), func(r providers.CatalogRow) error { out = append(out, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func account(t *testing.T, endpoint, regions string) *aws.Provider {
	t.Helper()
	p, err := aws.New(providers.Config{Settings: map[string]string{"endpoint_url": endpoint, "region": "us-east-1", "regions": regions}},
		aws.Options{Credentials: credentials.NewStaticCredentialsProvider(ec2lab.AccessKey, ec2lab.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestCatalogOfLab asks moto, which knows what EC2 sells; the prices are those that the test gave.
func TestCatalogOfLab(t *testing.T) {
	o := ec2lab.Options{Prices: map[string]float64{"m7i.large": 0.1008, "g4dn.xlarge": 0.526}}
	if err := ec2lab.Available(o); err != nil {
		t.Skipf("SKIPPED, the EC2 laboratory cannot be had here: %v", err)
	}
	l, err := ec2lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	all := rows(t, account(t, l.URL(), "us-east-1"))
	regions, types, zones := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, r := range all {
		regions[r.Region], types[r.InstanceType] = true, true
		if !strings.HasPrefix(r.Zone, r.Region) || r.CPUs == 0 || r.MemoryGB == 0 || (r.Accelerator == "") != (r.AcceleratorCount == 0) {
			t.Fatalf("row %+v", r)
		}
		_, priced := o.Prices[r.InstanceType]
		if priced == math.IsNaN(r.Price) || priced == r.Dated.IsZero() {
			t.Fatalf("row %+v, the price list has it: %v", r, priced)
		}
		if priced {
			zones[r.InstanceType]++
		}
		switch r.InstanceType {
		case "g4dn.xlarge":
			if r.Accelerator != "T4" || r.AcceleratorCount != 1 || r.DeviceGB != 16 || r.CPUs != 4 || r.MemoryGB != 16 || r.Price != 0.526 || r.SpotPrice < 0.263 || r.Arch != "x86_64" {
				t.Errorf("row %+v", r)
			}
		case "p4de.24xlarge":
			if r.Accelerator != "A100-80GB" || r.AcceleratorCount != 8 {
				t.Errorf("row %+v", r)
			}
		}
	}
	if len(regions) != 1 || len(types) < 500 || zones["m7i.large"] < 4 || zones["g4dn.xlarge"] < 2 {
		t.Errorf("%d rows of %d types in %d regions, priced %v", len(all), len(types), len(regions), zones)
	}
}

// TestCatalogBodies: answers as documented, in pages, with what must not be taken for a price.
func TestCatalogBodies(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0" encoding="UTF-8"?>`
	product := func(typ, region, software, unit, usd string, more string) string {
		return fmt.Sprintf(`{"product":{"productFamily":"Compute Instance","attributes":{"instanceType":%q,"regionCode":%q,"operatingSystem":"Linux","preInstalledSw":%q},"sku":"S"},
			"serviceCode":"AmazonEC2","terms":{"OnDemand":{"S.J":{"priceDimensions":{"S.J.6":{"unit":%q,"pricePerUnit":{"USD":%q}}%s}}}},"version":"20260101","publicationDate":"2026-01-01T00:00:00Z"}`,
			typ, region, software, unit, usd, more)
	}
	asked := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetProducts") {
			var in struct {
				ServiceCode, NextToken string
				Filters                []struct{ Field, Value string }
			}
			if err := json.Unmarshal(body, &in); err != nil || in.ServiceCode != "AmazonEC2" || len(in.Filters) != 5 {
				t.Errorf("asked for prices: %s", body)
			}
			asked["GetProducts"]++
			answer := map[string]any{"FormatVersion": "aws_v1", "NextToken": "2", "PriceList": []string{
				product("m7i.large", "us-east-1", "NA", "Hrs", "0.1008000000", ""), product("odd.large", "us-east-1", "NA", "Quantity", "7", ""),
				product("two.large", "us-east-1", "NA", "Hrs", "1", ""), product("trn1.2xlarge", "us-east-1", "NA", "Hrs", "0.0000000000", ""),
			}}
			if in.NextToken == "2" {
				answer = map[string]any{"FormatVersion": "aws_v1", "PriceList": []string{
					product("two.large", "us-east-1", "NA", "Hrs", "2", ""), product("m7i.large", "eu-west-1", "NA", "Hrs", "9", ""),
					product("m7i.large", "us-east-1", "SQL Web", "Hrs", "8", ""), product("p4d.24xlarge", "us-east-1", "NA", "Hrs", "32.77", ""),
				}}
			}
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			if err := json.NewEncoder(w).Encode(answer); err != nil {
				t.Error(err)
			}
			return
		}
		q, err := url.ParseQuery(string(body))
		if err != nil {
			t.Error(err)
		}
		asked[q.Get("Action")]++
		w.Header().Set("Content-Type", "text/xml")
		typ := func(name, inner string) string {
			return `<item><instanceType>` + name + `</instanceType><processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo>` + inner + `</item>`
		}
		const size = `<vCpuInfo><defaultVCpus>96</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>1179648</sizeInMiB></memoryInfo>`
		var out string
		switch q.Get("Action") {
		case "DescribeInstanceTypes":
			out = `<DescribeInstanceTypesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceTypeSet>`
			if q.Get("NextToken") == "" {
				out += typ("m7i.large", `<vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>`) +
					typ("p4d.24xlarge", size+`<gpuInfo><gpus><item><name>A100</name><manufacturer>NVIDIA</manufacturer><count>8</count><memoryInfo><sizeInMiB>40960</sizeInMiB></memoryInfo></item></gpus></gpuInfo>`) +
					typ("p4de.24xlarge", size+`<gpuInfo><gpus><item><name>A100</name><manufacturer>NVIDIA</manufacturer><count>8</count><memoryInfo><sizeInMiB>81920</sizeInMiB></memoryInfo></item></gpus></gpuInfo>`) +
					`</instanceTypeSet><nextToken>more</nextToken>`
			} else {
				out += typ("trn1.2xlarge", size+`<neuronInfo><neuronDevices><item><count>1</count><name>Trainium</name><memoryInfo><sizeInMiB>32768</sizeInMiB></memoryInfo></item></neuronDevices></neuronInfo>`) +
					typ("two.large", size) + `</instanceTypeSet>`
			}
			out += `</DescribeInstanceTypesResponse>`
		case "DescribeInstanceTypeOfferings":
			if q.Get("LocationType") != "availability-zone" {
				t.Errorf("offerings by %q", q.Get("LocationType"))
			}
			out = `<DescribeInstanceTypeOfferingsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instanceTypeOfferingSet>`
			for _, o := range []string{"m7i.large us-east-1b", "m7i.large us-east-1a", "p4d.24xlarge us-east-1a", "p4de.24xlarge us-east-1a", "trn1.2xlarge us-east-1a", "two.large us-east-1a", "unheard.large us-east-1a"} {
				name, zone, _ := strings.Cut(o, " ")
				out += `<item><instanceType>` + name + `</instanceType><locationType>availability-zone</locationType><location>` + zone + `</location></item>`
			}
			out += `</instanceTypeOfferingSet></DescribeInstanceTypeOfferingsResponse>`
		case "DescribeSpotPriceHistory":
			if q.Get("ProductDescription.1") != "Linux/UNIX" || q.Get("StartTime") == "" {
				t.Errorf("spot prices: %v", q)
			}
			out = `<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><spotPriceHistorySet>`
			for _, s := range []string{"m7i.large us-east-1a 0.040000 10", "m7i.large us-east-1a 0.030000 09", "p4d.24xlarge us-east-1a 11.5 10"} {
				f := strings.Fields(s)
				out += `<item><instanceType>` + f[0] + `</instanceType><productDescription>Linux/UNIX</productDescription><spotPrice>` + f[2] + `</spotPrice><timestamp>2026-01-` + f[3] + `T00:00:00.000Z</timestamp><availabilityZone>` + f[1] + `</availabilityZone></item>`
			}
			out += `</spotPriceHistorySet></DescribeSpotPriceHistoryResponse>`
		default:
			t.Errorf("unexpected call: %s", body)
		}
		_, _ = io.WriteString(w, head+out)
	}))
	defer srv.Close()
	var got []string
	for _, r := range rows(t, account(t, srv.URL, "us-east-1")) {
		if r.Dated.IsZero() == (!math.IsNaN(r.Price) || !math.IsNaN(r.SpotPrice)) || !r.Dated.IsZero() && time.Since(r.Dated) > time.Hour {
			t.Errorf("row %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s %s:%g/%g %g %g %g", r.InstanceType, r.Zone, r.Accelerator, r.AcceleratorCount, r.DeviceGB, r.CPUs, r.Price, r.SpotPrice))
	}
	want := `m7i.large us-east-1a :0/0 2 0.1008 0.04
m7i.large us-east-1b :0/0 2 0.1008 NaN
p4d.24xlarge us-east-1a A100:8/40 96 32.77 11.5
p4de.24xlarge us-east-1a A100-80GB:8/80 96 NaN NaN
trn1.2xlarge us-east-1a Trainium:1/32 96 NaN NaN
two.large us-east-1a :0/0 96 NaN NaN`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if asked["GetProducts"] != 2 || asked["DescribeInstanceTypes"] != 2 {
		t.Errorf("asked %v", asked)
	}
	srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := account(t, srv.URL, "us-east-1").Catalog(ctx, nil); err == nil {
		t.Error("no error when nobody answers")
	}
}
