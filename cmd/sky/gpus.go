package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller/catalog"
	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
	"aloft/controller/plan/place"
	controlv1 "aloft/proto/sky/control/v1"
)

func newGpusCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "gpus", Short: "Accelerators that can be had: list", Args: knownCommand, RunE: showHelp}
	cmd.AddCommand(a.gpusList("list [GPU[:N]]", false), absentCommand("label", "labelling of Kubernetes nodes is not part of this version"))
	return cmd
}

func newShowGpusCmd(a *app) *cobra.Command { return a.gpusList("show-gpus [GPU[:N]]", true) }

// gpusFlags are those of gpus list.
type gpusFlags struct {
	all, allRegions, verbose              bool
	infra, cloud, region, catalog, output string
}

func (a *app) gpusList(use string, hidden bool) *cobra.Command {
	fl := &gpusFlags{}
	cmd := &cobra.Command{
		Use:   use,
		Short: "List accelerators, where they are and what they cost",
		Long: `List accelerators, where they are and what they cost: by the catalogues of clouds,
enabled or not, and by what the enabled places have. For one GPU, its machines
with prices; with :N only those that have so many.`,
		Example: `  sky gpus list
  sky gpus list A100:8
  sky gpus list --infra aws/us-west-2 T4`,
		Args:   cobra.MaximumNArgs(1),
		Hidden: hidden,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(fl.output); err != nil {
				return err
			}
			f, err := fl.filter(args)
			if err != nil {
				return err
			}
			return a.listGPUs(cmd.Context(), fl, f, len(args) == 1)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&fl.all, "all", "a", false, "every accelerator, common or not, with its prices")
	f.BoolVar(&fl.allRegions, "all-regions", false, "every region, not the cheapest only")
	f.BoolVarP(&fl.verbose, "verbose", "v", false, "show more")
	f.StringVar(&fl.infra, "infra", "", "only this `PLACE`: CLOUD, CLOUD/REGION or CLOUD/REGION/ZONE")
	f.StringVar(&fl.catalog, "catalog", "", "`DIR` of catalogues to list, and nothing else, instead of those that `sky catalog` keeps")
	f.StringVar(&fl.cloud, "cloud", "", "only this cloud")
	f.StringVar(&fl.region, "region", "", "only this region")
	_ = f.MarkHidden("cloud")
	_ = f.MarkHidden("region")
	outputFlag(cmd, &fl.output)
	return cmd
}

// filter reads GPU[:N] and the place.
func (fl *gpusFlags) filter(args []string) (place.Filter, error) {
	f := place.Filter{AllRegions: fl.allRegions}
	parts := strings.SplitN(fl.infra, "/", 3)
	for i, p := range parts {
		if p == "*" {
			parts[i] = ""
		}
	}
	fl.cloud = strings.ToLower(cmp.Or(fl.cloud, parts[0]))
	f.Region = fl.region
	if len(parts) > 1 {
		f.Region = parts[1]
	}
	if len(parts) > 2 {
		f.Zone = parts[2]
	}
	if len(args) == 0 {
		return f, nil
	}
	name, count, ok := strings.Cut(args[0], ":")
	f.Accelerator = name
	if ok {
		n, err := strconv.ParseFloat(count, 64)
		if err != nil || !(n > 0) {
			return f, usageError("%q: the count after ':' must be a positive number, as in A100:8", args[0])
		}
		f.Count = n
	}
	return f, nil
}

// listGPUs lists by catalogues, and asks the controller for what its enabled places have.
func (a *app) listGPUs(ctx context.Context, fl *gpusFlags, f place.Filter, one bool) error {
	s := a.shelfAt(fl.catalog)
	clouds, err := s.Clouds()
	if err != nil {
		return &exitError{code: exitConfig, err: err}
	}
	if fl.cloud != "" {
		clouds = slices.DeleteFunc(clouds, func(c string) bool { return c != fl.cloud })
	}
	books, err := a.openBooks(s, clouds)
	if err != nil {
		return err
	}
	var list []place.Listed
	for _, m := range marketsOf(books) {
		list = append(list, m.Accelerators(f)...)
	}
	if fl.catalog == "" && (fl.cloud == "" || len(clouds) == 0) {
		more, err := a.enabledGPUs(ctx, fl, f, clouds)
		if err != nil {
			return err
		}
		list = append(list, more...)
	}
	switch {
	case len(list) == 0 && fl.cloud != "" && len(clouds) == 0:
		return &exitError{code: exitNotFound, err: fmt.Errorf("%s has no catalogue here and is not enabled\n  run `sky catalog list` and `sky check` to see which are", fl.cloud)}
	case len(list) == 0 && one:
		return a.noGPU(books, f)
	}
	sortListed(list)
	if fl.output == "json" {
		return a.printJSON(map[string]any{"gpus": listedJSON(list)})
	}
	if !one {
		a.showQuantities(list, fl.all)
	}
	if one || fl.all {
		a.showPrices(list)
		used := map[string]bool{}
		for _, l := range list {
			used[l.Cloud] = true
		}
		for i, n := range catalog.AgeNotes(books, used, nil, time.Now()) {
			if i == 0 {
				a.say("")
			}
			a.say("%s", n)
		}
	}
	return nil
}

// enabledGPUs are accelerators of enabled places that have no catalogue.
func (a *app) enabledGPUs(ctx context.Context, fl *gpusFlags, f place.Filter, clouds []string) ([]place.Listed, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	infra := fl.cloud
	if f.Region != "" {
		infra = cmp.Or(infra, "*") + "/" + f.Region
	}
	r, err := c.Offers(ctx, &controlv1.OffersRequest{Accelerator: f.Accelerator, Count: f.Count, Infra: infra, AllRegions: f.AllRegions})
	if err != nil {
		return nil, rpcError("list accelerators", err)
	}
	var out []place.Listed
	for _, o := range r.GetOffers() {
		if slices.Contains(clouds, o.GetProvider()) {
			continue
		}
		out = append(out, place.Listed{SpotPrice: sheet.Unknown(), Pick: place.Pick{Cloud: o.GetProvider(), Region: o.GetRegion(), Zone: o.GetZone(),
			InstanceType: o.GetInstanceType(), Accelerator: o.GetAccelerator(), Count: o.GetAcceleratorCount(), CPUs: o.GetCpus(),
			MemoryGB: o.GetMemoryGb(), Price: o.GetHourlyPrice()}})
	}
	return out, nil
}

// noGPU says that there is no such accelerator, and what comes near.
func (a *app) noGPU(books []*shelf.Book, f place.Filter) error {
	what := f.Accelerator
	if f.Count > 0 {
		what += ":" + number(f.Count)
	}
	var near []string
	wide := place.Filter{Accelerator: f.Accelerator}
	for _, m := range marketsOf(books) {
		for _, l := range m.Accelerators(wide) {
			if s := l.Accelerator + ":" + number(l.Count); !slices.Contains(near, s) {
				near = append(near, s)
			}
		}
	}
	hint := "run `sky gpus list -a` to see every accelerator"
	if len(near) > 0 {
		slices.Sort(near)
		hint = "there are: " + strings.Join(near, ", ")
	}
	return &exitError{code: exitNotFound, err: errors.New("no place offers " + what + "\n  " + hint)}
}

// sortListed groups by accelerator, then by cloud, the cheapest first.
func sortListed(list []place.Listed) {
	type group struct{ acc, cloud string }
	cheapest := map[group]float64{}
	price := func(l place.Listed) float64 {
		if !sheet.Known(l.Price) {
			return 1e18
		}
		return l.Price
	}
	for _, l := range list {
		g := group{l.Accelerator, l.Cloud}
		if have, ok := cheapest[g]; !ok || price(l) < have {
			cheapest[g] = price(l)
		}
	}
	slices.SortStableFunc(list, func(a, b place.Listed) int {
		return cmp.Or(cmp.Compare(a.Accelerator, b.Accelerator),
			cmp.Compare(cheapest[group{a.Accelerator, a.Cloud}], cheapest[group{b.Accelerator, b.Cloud}]), cmp.Compare(a.Cloud, b.Cloud),
			cmp.Compare(a.Count, b.Count), cmp.Compare(price(a), price(b)))
	})
}

func listedJSON(list []place.Listed) []map[string]any {
	out := []map[string]any{}
	price := func(v float64) any {
		if !sheet.Known(v) {
			return nil
		}
		return v
	}
	for _, l := range list {
		out = append(out, map[string]any{"gpu": l.Accelerator, "count": l.Count, "infra": l.Cloud, "instance_type": l.InstanceType,
			"cpus": l.CPUs, "memory_gb": l.MemoryGB, "device_memory_gb": l.DeviceGB, "hourly_price_usd": price(l.Price),
			"hourly_spot_price_usd": price(l.SpotPrice), "price_date": l.Dated, "spot": false, "region": l.Region})
	}
	return out
}

// commonGPUs are what SkyPilot lists first.
func commonGPUs() []string {
	return []string{"A10", "A10G", "A100", "A100-80GB", "B200", "GB200", "H100", "H200", "L4", "L40S", "T4", "V100", "V100-32GB"}
}

func commonTPUs() []string {
	return []string{"tpu-v2-8", "tpu-v3-8", "tpu-v4-8", "tpu-v5litepod-1", "tpu-v5litepod-4", "tpu-v5litepod-8", "tpu-v5p-8", "tpu-v6e-1", "tpu-v6e-4", "tpu-v6e-8"}
}

// showQuantities lists the accelerators and how many of them come with one machine.
func (a *app) showQuantities(list []place.Listed, all bool) {
	counts := map[string][]float64{}
	own := map[string]bool{} // of enabled places, common or not
	for _, l := range list {
		if !slices.Contains(counts[l.Accelerator], l.Count) {
			counts[l.Accelerator] = append(counts[l.Accelerator], l.Count)
		}
		if l.InstanceType == "" || l.Cloud == "local" {
			own[l.Accelerator] = true
		}
	}
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	known := func(n string) int {
		if i := slices.Index(commonGPUs(), n); i >= 0 {
			return i
		}
		return len(commonGPUs())
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(cmp.Compare(known(x), known(y)), cmp.Compare(x, y)) })
	first := true
	section := func(title string, in func(string) bool) {
		t := &table{header: []string{title, "AVAILABLE_QUANTITIES"}}
		for _, n := range names {
			if !in(n) {
				continue
			}
			slices.Sort(counts[n])
			var qs []string
			for _, c := range counts[n] {
				qs = append(qs, number(c))
			}
			t.add(n, strings.Join(qs, ", "))
		}
		if len(t.rows) == 0 {
			return
		}
		if !first {
			a.say("")
		}
		first = false
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	}
	common := func(n string) bool { return slices.Contains(commonGPUs(), n) || own[n] }
	tpu := func(n string) bool { return strings.HasPrefix(n, "tpu-") }
	section("COMMON_GPU", common)
	section("GOOGLE_TPU", func(n string) bool { return tpu(n) && (all || slices.Contains(commonTPUs(), n)) })
	if all {
		section("OTHER_GPU", func(n string) bool { return !common(n) && !tpu(n) })
		a.say("")
		return
	}
	if len(names) == 0 {
		a.say("There are no accelerators.")
		return
	}
	a.say("\nPrices and machines of one: sky gpus list %s. Every accelerator: sky gpus list -a", names[0])
}

// showPrices has one row per machine type, with its price on demand and as spot; one table per accelerator.
func (a *app) showPrices(list []place.Listed) {
	price := func(v float64) string {
		if !sheet.Known(v) {
			return "-"
		}
		return fmt.Sprintf("$ %.3f", v)
	}
	size := func(v float64, unit string) string {
		if v == 0 {
			return "-"
		}
		return number(v) + unit
	}
	var t *table
	show := func() {
		if t != nil {
			a.say("%s", strings.TrimRight(a.plain(t), "\n"))
		}
	}
	for i, l := range list {
		if i == 0 || l.Accelerator != list[i-1].Accelerator {
			show()
			if t != nil {
				a.say("")
			}
			t = &table{header: []string{"GPU", "QTY", "CLOUD", "INSTANCE_TYPE", "DEVICE_MEM", "vCPUs", "HOST_MEM", "HOURLY_PRICE", "HOURLY_SPOT_PRICE", "REGION"},
				flex: []int{3}, drop: []int{4, 5, 6}}
		}
		device := "-"
		if l.DeviceGB > 0 {
			device = fmt.Sprintf("%dGB", int(l.DeviceGB))
		}
		t.add(l.Accelerator, number(l.Count), infraName(l.Cloud), dash(l.InstanceType), device, size(l.CPUs, ""), size(l.MemoryGB, "GB"),
			price(l.Price), price(l.SpotPrice), dash(l.Region))
	}
	show()
}
