package fetch

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"aloft/providers"
)

// FromProvider is the source that a provider with credentials is.
func FromProvider(p providers.CatalogSource) Source { return provided{p} }

type provided struct{ p providers.CatalogSource }

// Catalogue writes what the provider tells. A price that it does not tell stays empty.
func (s provided) Catalogue(ctx context.Context, w io.Writer) error {
	buf := bufio.NewWriter(w)
	out := csv.NewWriter(buf)
	if err := out.Write([]string{"InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "GpuInfo", "Price", "SpotPrice",
		"Region", "AvailabilityZone", "Arch", "PriceDate"}); err != nil {
		return fmt.Errorf("write the catalogue: %w", err)
	}
	err := s.p.Catalog(ctx, func(r providers.CatalogRow) error {
		dated := ""
		if !r.Dated.IsZero() {
			dated = r.Dated.UTC().Format(time.DateOnly)
		}
		return out.Write([]string{r.InstanceType, r.Accelerator, count(r.AcceleratorCount), count(r.CPUs), count(r.MemoryGB), gpuInfo(r),
			price(r.Price), price(r.SpotPrice), r.Region, r.Zone, r.Arch, dated})
	})
	if err != nil {
		return err
	}
	if out.Flush(); out.Error() != nil {
		return fmt.Errorf("write the catalogue: %w", out.Error())
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write the catalogue: %w", err)
	}
	return nil
}

// count is a number of things; none is an empty cell.
func count(v float64) string {
	if v == 0 || math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// price is an amount of USD, to a millionth; an unknown one is an empty cell.
func price(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// gpuInfo is the cell as SkyPilot writes it, as far as it is known.
func gpuInfo(r providers.CatalogRow) string {
	if r.Accelerator == "" || r.DeviceGB == 0 {
		return ""
	}
	mib := int64(math.Round(r.DeviceGB * 1024))
	n := count(r.AcceleratorCount)
	return fmt.Sprintf("{'Gpus': [{'Name': '%s', 'Count': %s, 'MemoryInfo': {'SizeInMiB': %d}}], 'TotalGpuMemoryInMiB': %d}", r.Accelerator, n, mib, int64(r.AcceleratorCount*float64(mib)))
}
