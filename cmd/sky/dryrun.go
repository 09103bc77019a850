package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"aloft/controller/catalog"
	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
	"aloft/controller/plan/place"
	statev1 "aloft/proto/sky/state/v1"
)

// shelfAt is the shelf of catalogues in a directory, or with "" our own.
func (a *app) shelfAt(dir string) shelf.Shelf {
	if dir == "" {
		return shelf.Home(a.home)
	}
	return shelf.At(a.home, dir)
}

// openBooks reads the catalogues of clouds; one that there is none of is an error.
func (a *app) openBooks(s shelf.Shelf, clouds []string) ([]*shelf.Book, error) {
	var out []*shelf.Book
	for _, c := range clouds {
		b, err := s.Open(c)
		switch {
		case errors.Is(err, shelf.ErrNone):
			return nil, &exitError{code: exitConfig, err: fmt.Errorf("%w\n  run `sky catalog update %s`, or name another directory with --catalog", err, c)}
		case err != nil:
			return nil, &exitError{code: exitConfig, err: err}
		}
		a.noteProblems(b.Problems, b.Bad)
		out = append(out, b)
	}
	return out, nil
}

// noteProblems names rows of a catalogue that were left out.
func (a *app) noteProblems(problems []sheet.Problem, bad int) {
	for _, p := range problems {
		a.note("%s", p)
	}
	if n := bad - len(problems); n > 0 {
		a.note("... and %d more rows that are left out", n)
	}
}

func marketsOf(books []*shelf.Book) []place.Market {
	var out []place.Market
	for _, b := range books {
		out = append(out, place.Market{Cloud: b.Cloud, Sheet: b.Sheet})
	}
	return out
}

// cloudList reads --clouds aws,gcp.
func cloudList(given []string) ([]string, error) {
	var out []string
	for _, c := range given {
		c = strings.ToLower(strings.TrimSpace(c))
		if !shelf.ValidCloud(c) {
			return nil, usageError("--clouds: %q is no name of a cloud, as in aws,gcp", c)
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// dryrun shows what would be chosen if the clouds were enabled, by their catalogues alone: it asks no controller, no cloud
// and no network.
func (a *app) dryrun(fl *launchFlags, spec *statev1.TaskSpec) error {
	s := a.shelfAt(fl.catalog)
	clouds, err := cloudList(fl.clouds)
	if err != nil {
		return err
	}
	if len(clouds) == 0 {
		if clouds, err = s.Clouds(); err != nil {
			return &exitError{code: exitConfig, err: err}
		}
		if len(clouds) == 0 {
			return &exitError{code: exitConfig, err: fmt.Errorf("there is no catalogue in %s: a catalogue is CLOUD/vms.csv there", s.Dir)}
		}
	}
	for _, r := range spec.GetResources() {
		if c := r.GetCloud(); c != "" && !slices.Contains(clouds, c) {
			return &exitError{code: exitConfig, err: fmt.Errorf("the task asks for %s, which is not among the clouds of this dry run: %s", c, strings.Join(clouds, ", "))}
		}
	}
	books, err := a.openBooks(s, clouds)
	if err != nil {
		return err
	}
	q := place.Query{Resources: spec.GetResources(), Kind: spec.GetResourcesKind(), NumNodes: max(spec.GetNumNodes(), 1), MaxHourlyCost: spec.GetBudget().GetMaxHourlyCost()}
	choice := place.Choose(q, marketsOf(books))
	notes := catalog.PickNotes(choice, clouds)
	if choice.Failure != nil && slices.ContainsFunc(books, func(b *shelf.Book) bool { return b.Date.IsZero() }) {
		notes = append(notes, "The built-in catalogue knows few regions and machines: run `sky catalog update` for all.")
	}
	ages := catalog.AgeNotes(books, catalog.Clouds(choice.Shown), choice.Shown, time.Now())
	if fl.output == "json" {
		if err := a.printJSON(choiceJSON(choice, q.NumNodes, append(notes, ages...))); err != nil {
			return err
		}
	} else {
		if len(choice.Shown) > 0 {
			a.say("%s", strings.TrimRight(a.pickTable(choice, q.NumNodes), "\n"))
		}
		for _, n := range append(notes, ages...) {
			a.say("%s", n)
		}
	}
	if choice.Failure != nil {
		if fl.output == "json" {
			return &exitError{code: codeOfKind(choice.Failure.GetKind())}
		}
		return &exitError{code: codeOfKind(choice.Failure.GetKind()), err: &failureError{choice.Failure}}
	}
	if fl.output != "json" {
		a.say("Dryrun finished.")
	}
	return nil
}

// pickTable is the "Considered resources" screen of a dry run.
func (a *app) pickTable(c place.Choice, nodes int32) string {
	t := newPlanTable(a)
	for _, p := range c.Shown {
		best := c.Picks[0]
		chosen := p.Cloud == best.Cloud && p.InstanceType == best.InstanceType && p.Accelerator == best.Accelerator && p.Spot == best.Spot && p.Region == best.Region && p.Zone == best.Zone
		addPlanRow(t, p.Candidate(), nodes, chosen)
	}
	return a.planScreen(t, nodes)
}

// choiceJSON is the document of a dry run; best and candidates have the fields of SkyPilot's resources.
func choiceJSON(c place.Choice, nodes int32, notes []string) map[string]any {
	list := make([]map[string]any, 0, len(c.Picks))
	for _, p := range c.Picks {
		list = append(list, pickJSON(p))
	}
	near := append([]string{}, c.Near...)
	out := map[string]any{"type": "plan", "ok": len(list) > 0, "num_nodes": nodes, "best": nil, "candidates": list, "fuzzy_candidates": near, "notes": append([]string{}, notes...)}
	if len(list) > 0 {
		out["best"] = list[0]
	}
	if f := c.Failure; f != nil {
		out["error"], out["hint"], out["code"], out["kind"] = f.GetMessage(), f.GetHint(), f.GetCode(), strings.ToLower(f.GetKind().String())
		out["exit_code"] = codeOfKind(f.GetKind())
	}
	return out
}

func pickJSON(p place.Pick) map[string]any {
	m := map[string]any{"cloud": infraName(p.Cloud), "instance_type": p.InstanceType, "region": p.Region, "zone": nil, "accelerators": nil,
		"hourly_cost": nil, "use_spot": p.Spot, "cpus": nil, "memory_gb": nil, "price_date": nil, "str": pickText(p)}
	if p.Zone != "" {
		m["zone"] = p.Zone
	}
	if p.Accelerator != "" {
		m["accelerators"] = map[string]float64{p.Accelerator: p.Count}
	}
	if sheet.Known(p.Price) {
		m["hourly_cost"] = math.Round(p.Price*1e6) / 1e6
	}
	if p.Dated != "" {
		m["price_date"] = p.Dated
	}
	if p.CPUs > 0 {
		m["cpus"], m["memory_gb"] = p.CPUs, p.MemoryGB
	}
	return m
}

// pickText is a machine as SkyPilot writes it: GCP(n1-highmem-8[Spot], mem=52.0, {'V100': 1}).
func pickText(p place.Pick) string {
	s := p.InstanceType
	if p.Spot {
		s += "[Spot]"
	}
	if p.MemoryGB > 0 {
		mem := number(p.MemoryGB)
		if !strings.Contains(mem, ".") {
			mem += ".0"
		}
		s += ", mem=" + mem
	}
	if p.Accelerator != "" {
		s += fmt.Sprintf(", {'%s': %s}", p.Accelerator, number(p.Count))
	}
	if t := p.Wanted.GetDiskTier(); t != "" {
		s += ", disk_tier=" + t
	}
	if t := p.Wanted.GetNetworkTier(); t != "" {
		s += ", network_tier=" + t
	}
	if ports := p.Wanted.GetPorts(); len(ports) > 0 {
		s += ", ports=['" + strings.Join(ports, "', '") + "']"
	}
	return infraName(p.Cloud) + "(" + s + ")"
}

// planNeedsNoController reports whether a dry run is answered from catalogues alone.
func (fl *launchFlags) planNeedsNoController() bool { return len(fl.clouds) > 0 || fl.catalog != "" }

// checkDryrun refuses flags that mean nothing together.
func (fl *launchFlags) checkDryrun() error {
	if fl.planNeedsNoController() && !fl.dryrun {
		return usageError("--clouds and --catalog are for --dryrun: a launch uses the clouds that `sky check` shows as enabled")
	}
	return nil
}
