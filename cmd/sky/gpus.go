package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

func newGpusCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "gpus", Short: "Accelerators that can be had: list", Args: knownCommand, RunE: showHelp}
	cmd.AddCommand(a.gpusList("list [GPU[:N]]", false), absentCommand("label", "labelling of Kubernetes nodes is not part of this version"))
	return cmd
}

func newShowGpusCmd(a *app) *cobra.Command { return a.gpusList("show-gpus [GPU[:N]]", true) }

func (a *app) gpusList(use string, hidden bool) *cobra.Command {
	var all, allRegions, verbose bool
	var infra, cloud, region, output string
	cmd := &cobra.Command{
		Use:    use,
		Short:  "List accelerators, where they are and what they cost",
		Args:   cobra.MaximumNArgs(1),
		Hidden: hidden,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			req := &controlv1.OffersRequest{Infra: infra, AllRegions: allRegions}
			if cloud != "" {
				req.Infra = cloud
				if region != "" {
					req.Infra += "/" + region
				}
			}
			if len(args) == 1 {
				name, count, ok := strings.Cut(args[0], ":")
				req.Accelerator = name
				if ok {
					n, err := strconv.ParseFloat(count, 64)
					if err != nil || n <= 0 {
						return usageError("%q: the count after ':' must be a positive number, as in A100:8", args[0])
					}
					req.Count = n
				}
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			r, err := c.Offers(cmd.Context(), req)
			if err != nil {
				return rpcError("list accelerators", err)
			}
			return a.showOffers(r.GetOffers(), len(args) == 1, output)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "every accelerator, common or not")
	f.BoolVar(&allRegions, "all-regions", false, "every region, not the cheapest only")
	f.BoolVarP(&verbose, "verbose", "v", false, "show more")
	f.StringVar(&infra, "infra", "", "only this `PLACE`")
	f.StringVar(&cloud, "cloud", "", "only this cloud")
	f.StringVar(&region, "region", "", "only this region")
	_ = f.MarkHidden("cloud")
	_ = f.MarkHidden("region")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showOffers(offers []*statev1.Candidate, one bool, output string) error {
	if output == "json" {
		list := []map[string]any{}
		for _, o := range offers {
			list = append(list, map[string]any{"gpu": o.GetAccelerator(), "count": o.GetAcceleratorCount(), "infra": o.GetProvider(), "instance_type": o.GetInstanceType(),
				"cpus": o.GetCpus(), "memory_gb": o.GetMemoryGb(), "hourly_price_usd": o.GetHourlyPrice(), "spot": o.GetSpot(), "region": o.GetRegion()})
		}
		return a.printJSON(map[string]any{"gpus": list})
	}
	if len(offers) == 0 {
		a.say("No such accelerator in the enabled infra: run `sky check` to see which are enabled.")
		return nil
	}
	if !one {
		counts := map[string][]string{}
		var names []string
		for _, o := range offers {
			n := o.GetAccelerator()
			if _, ok := counts[n]; !ok {
				names = append(names, n)
			}
			q := number(o.GetAcceleratorCount())
			if len(counts[n]) == 0 || counts[n][len(counts[n])-1] != q {
				counts[n] = append(counts[n], q)
			}
		}
		t := &table{header: []string{"COMMON_GPU", "AVAILABLE_QUANTITIES"}}
		for _, n := range names {
			t.add(n, strings.Join(counts[n], ", "))
		}
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
		a.say("\nPrices and machines of one: sky gpus list %s", names[0])
		return nil
	}
	// One row per machine type, with its price on demand and as spot; one table per accelerator, as SkyPilot has it.
	type row struct{ on, spot *statev1.Candidate }
	var order []string
	rows := map[string]*row{}
	for _, o := range offers {
		k := fmt.Sprint(o.GetAccelerator(), o.GetAcceleratorCount(), o.GetProvider(), o.GetInstanceType(), o.GetRegion())
		if rows[k] == nil {
			rows[k] = &row{}
			order = append(order, k)
		}
		if o.GetSpot() {
			rows[k].spot = o
		} else {
			rows[k].on = o
		}
	}
	price := func(o *statev1.Candidate) string {
		if o == nil {
			return "-"
		}
		return fmt.Sprintf("$ %.3f", o.GetHourlyPrice())
	}
	var t *table
	last := ""
	show := func() {
		if t != nil {
			a.say("%s", strings.TrimRight(a.plain(t), "\n"))
		}
	}
	for _, k := range order {
		r := rows[k]
		o := r.on
		if o == nil {
			o = r.spot
		}
		if t == nil || o.GetAccelerator() != last {
			show()
			if t != nil {
				a.say("")
			}
			last = o.GetAccelerator()
			t = &table{header: []string{"GPU", "QTY", "CLOUD", "INSTANCE_TYPE", "vCPUs", "HOST_MEM", "HOURLY_PRICE", "HOURLY_SPOT_PRICE", "REGION"}, flex: []int{3}, drop: []int{4, 5}}
		}
		t.add(o.GetAccelerator(), number(o.GetAcceleratorCount()), infraName(o.GetProvider()), dash(o.GetInstanceType()), number(o.GetCpus()),
			number(o.GetMemoryGb())+"GB", price(r.on), price(r.spot), dash(o.GetRegion()))
	}
	show()
	return nil
}
