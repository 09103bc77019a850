package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	pricetypes "github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"aloft/providers"
)

// priceRegion is where the price list is asked: it is served in few regions, for all of them.
const priceRegion = "us-east-1"

// linux is the market of machines as this program uses them, as spot prices call it.
const linux = "Linux/UNIX"

// Catalog asks EC2 which types there are and in which zones, for how much they are sold as spot, and the price list for how
// much on demand. Regions are asked side by side; the order is that of region, type and zone.
func (p *Provider) Catalog(ctx context.Context, row func(providers.CatalogRow) error) error {
	regions, err := p.regions(ctx)
	if err != nil {
		return p.fault(ctx, "catalog", "", err)
	}
	rows, errs := make([][]providers.CatalogRow, len(regions)), make([]error, len(regions))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, region := range regions {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			rows[i], errs[i] = p.sold(ctx, region)
		})
	}
	wg.Wait()
	for i := range regions {
		if errs[i] != nil {
			return p.fault(ctx, "catalog", regions[i], errs[i])
		}
	}
	for _, list := range rows {
		for _, r := range list {
			if err := row(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// sold is what one region sells.
func (p *Provider) sold(ctx context.Context, region string) ([]providers.CatalogRow, error) {
	pl, err := p.at(ctx, region)
	if err != nil {
		return nil, err
	}
	kinds, err := pl.kinds(ctx)
	if err != nil {
		return nil, err
	}
	seen := time.Now()
	spot, err := pl.spotPrices(ctx, seen)
	if err != nil {
		return nil, err
	}
	prices, err := pl.onDemand(ctx)
	if err != nil {
		return nil, err
	}
	var out []providers.CatalogRow
	in := ec2.DescribeInstanceTypeOfferingsInput{LocationType: types.LocationTypeAvailabilityZone}
	for pages := ec2.NewDescribeInstanceTypeOfferingsPaginator(pl.ec2, &in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.InstanceTypeOfferings {
			r, ok := kinds[string(o.InstanceType)]
			if !ok {
				continue // of a kind that is not described: nothing is known of it
			}
			r.Region, r.Zone = region, sdk.ToString(o.Location)
			r.Price, r.SpotPrice = known(prices, r.InstanceType), known(spot, r.InstanceType+" "+r.Zone)
			if !math.IsNaN(r.Price) || !math.IsNaN(r.SpotPrice) {
				r.Dated = seen
			}
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b providers.CatalogRow) int {
		return cmp.Or(cmp.Compare(a.InstanceType, b.InstanceType), cmp.Compare(a.Zone, b.Zone))
	})
	return out, nil
}

// known is a price, or NaN when it was not told.
func known(prices map[string]float64, key string) float64 {
	if v, ok := prices[key]; ok {
		return v
	}
	return math.NaN()
}

// kinds are the types of a region by name, without places and prices.
func (pl *place) kinds(ctx context.Context) (map[string]providers.CatalogRow, error) {
	out := map[string]providers.CatalogRow{}
	for pages := ec2.NewDescribeInstanceTypesPaginator(pl.ec2, &ec2.DescribeInstanceTypesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.InstanceTypes {
			r := providers.CatalogRow{InstanceType: string(t.InstanceType)}
			if t.VCpuInfo != nil {
				r.CPUs = float64(sdk.ToInt32(t.VCpuInfo.DefaultVCpus))
			}
			if t.MemoryInfo != nil {
				r.MemoryGB = float64(sdk.ToInt64(t.MemoryInfo.SizeInMiB)) / 1024
			}
			r.Arch = archOf(t.ProcessorInfo)
			r.Accelerator, r.AcceleratorCount, r.DeviceGB = accelerators(t)
			out[r.InstanceType] = r
		}
	}
	return out, nil
}

// archOf is the first of a type's architectures that images are made for.
func archOf(i *types.ProcessorInfo) string {
	if i == nil {
		return ""
	}
	for _, a := range i.SupportedArchitectures {
		switch a {
		case types.ArchitectureTypeX8664, types.ArchitectureTypeArm64:
			return string(a)
		}
	}
	return ""
}

// accelerators are those of a type, in the names that tasks use: EC2 tells some that differ in memory only by one name.
func accelerators(t types.InstanceTypeInfo) (name string, count, deviceGB float64) {
	if t.GpuInfo != nil {
		for _, g := range t.GpuInfo.Gpus {
			name, count = sdk.ToString(g.Name), count+float64(sdk.ToInt32(g.Count))
			if g.MemoryInfo != nil {
				deviceGB = float64(sdk.ToInt32(g.MemoryInfo.SizeInMiB)) / 1024
			}
		}
		switch {
		case name == "A100" && deviceGB > 60:
			name = "A100-80GB"
		case name == "V100" && deviceGB > 24:
			name = "V100-32GB"
		}
	}
	if t.NeuronInfo != nil && name == "" {
		for _, d := range t.NeuronInfo.NeuronDevices {
			name, count = sdk.ToString(d.Name), count+float64(sdk.ToInt32(d.Count))
			if d.MemoryInfo != nil {
				deviceGB = float64(sdk.ToInt32(d.MemoryInfo.SizeInMiB)) / 1024
			}
		}
	}
	if t.InferenceAcceleratorInfo != nil && name == "" {
		for _, a := range t.InferenceAcceleratorInfo.Accelerators {
			name, count = sdk.ToString(a.Name), count+float64(sdk.ToInt32(a.Count))
		}
	}
	if name == "" || count == 0 {
		return "", 0, 0
	}
	return strings.ReplaceAll(name, " ", "-"), count, deviceGB
}

// spotPrices are the present ones by type and zone.
func (pl *place) spotPrices(ctx context.Context, now time.Time) (map[string]float64, error) {
	out, at := map[string]float64{}, map[string]time.Time{}
	in := ec2.DescribeSpotPriceHistoryInput{StartTime: &now, ProductDescriptions: []string{linux}}
	for pages := ec2.NewDescribeSpotPriceHistoryPaginator(pl.ec2, &in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.SpotPriceHistory {
			key := string(s.InstanceType) + " " + sdk.ToString(s.AvailabilityZone)
			v, err := strconv.ParseFloat(sdk.ToString(s.SpotPrice), 64)
			if err != nil || v <= 0 || s.ProductDescription != linux && s.ProductDescription != "" {
				continue
			}
			if when := sdk.ToTime(s.Timestamp); !when.Before(at[key]) {
				out[key], at[key] = v, when
			}
		}
	}
	return out, nil
}

// onDemand are the prices in a region, by type: Linux, shared hardware, nothing pre-installed, no reserved capacity.
func (pl *place) onDemand(ctx context.Context) (map[string]float64, error) {
	in := pricing.GetProductsInput{ServiceCode: sdk.String("AmazonEC2"), FormatVersion: sdk.String("aws_v1")}
	for _, f := range [][2]string{
		{"regionCode", pl.region}, {"operatingSystem", "Linux"}, {"tenancy", "Shared"}, {"preInstalledSw", "NA"}, {"capacitystatus", "Used"},
	} {
		in.Filters = append(in.Filters, pricetypes.Filter{Type: pricetypes.FilterTypeTermMatch, Field: sdk.String(f[0]), Value: sdk.String(f[1])})
	}
	out, several := map[string]float64{}, map[string]bool{}
	for pages := pricing.NewGetProductsPaginator(pl.prices, &in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, text := range page.PriceList {
			name, price, err := product(text, pl.region)
			if err != nil {
				return nil, fmt.Errorf("price list of %s: %w", pl.region, err)
			}
			if name == "" {
				continue
			}
			if have, ok := out[name]; ok && have != price {
				several[name] = true // which of them is ours is not told
			}
			out[name] = price
		}
	}
	for name := range several {
		delete(out, name)
	}
	return out, nil
}

// product reads one entry of the price list; "" = none that is sold by the hour on demand.
func product(text, region string) (name string, price float64, err error) {
	var e struct {
		Product struct {
			Attributes struct {
				InstanceType string `json:"instanceType"`
				RegionCode   string `json:"regionCode"`
				Software     string `json:"preInstalledSw"`
			} `json:"attributes"`
		} `json:"product"`
		Terms struct {
			OnDemand map[string]struct {
				Dimensions map[string]struct {
					Unit  string            `json:"unit"`
					Price map[string]string `json:"pricePerUnit"`
				} `json:"priceDimensions"`
			} `json:"OnDemand"`
		} `json:"terms"`
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return "", 0, err
	}
	a := e.Product.Attributes
	if a.InstanceType == "" || a.RegionCode != region || a.Software != "NA" && a.Software != "" {
		return "", 0, nil
	}
	for _, term := range e.Terms.OnDemand {
		for _, d := range term.Dimensions {
			v, err := strconv.ParseFloat(d.Price["USD"], 64)
			if err != nil || v <= 0 || !strings.EqualFold(d.Unit, "Hrs") {
				continue
			}
			if price != 0 && price != v {
				return "", 0, nil
			}
			price = v
		}
	}
	if price == 0 {
		return "", 0, nil
	}
	return a.InstanceType, price, nil
}
