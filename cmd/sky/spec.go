package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"sort"

	"aloft/controller/plan/place"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks"
)

// taskSpec turns a parsed task into what the controller keeps. Files are filled in by the upload; secrets travel apart.
func taskSpec(t *tasks.Task) (*statev1.TaskSpec, map[string]string, error) {
	s := &statev1.TaskSpec{
		Name: t.Name, NumNodes: int32(t.NumNodes), Setup: t.Setup, Run: t.Run, Envs: t.Envs,
		ResourcesKind: t.Resources.Kind, Yaml: string(t.YAML()),
	}
	for _, r := range t.Resources.Alternatives {
		s.Resources = append(s.Resources, resources(r))
	}
	if len(t.Resources.Alternatives) > 0 {
		if acc := t.Resources.Alternatives[0].Accelerators; len(acc) > 0 {
			s.GpusPerRank = acc[0].Count
		}
	}
	if g := t.Workdir.Git; g != nil {
		s.Git = &statev1.GitSource{Url: g.URL, Ref: g.Ref}
	}
	for i, ts := range t.Tests {
		b, err := json.Marshal(ts.Raw)
		if err != nil {
			return nil, nil, fmt.Errorf("tests[%d]: %w", i, err)
		}
		name := ts.Name
		if name == "" {
			name = fmt.Sprintf("tests-%d", i+1)
		}
		s.Suites = append(s.Suites, &statev1.Suite{Name: name, SpecJson: b, FailOn: ts.FailOn})
	}
	for _, ar := range t.Artifacts {
		s.Artifacts = append(s.Artifacts, &statev1.Artifact{Path: ar.Path, Destination: ar.Dest})
	}
	if b := t.Budget; b != (tasks.Budget{}) {
		s.Budget = &statev1.Budget{MaxCost: b.MaxCost, MaxHourlyCost: b.MaxHourlyCost, MaxDurationMs: b.MaxDuration.Milliseconds()}
	}
	secrets := make(map[string]string, len(t.Secrets))
	for k, v := range t.Secrets {
		secrets[k] = v.Reveal()
		s.SecretNames = append(s.SecretNames, k)
	}
	sort.Strings(s.SecretNames)
	switch {
	case t.Service != nil:
		return nil, nil, configError(t, "service", "serving and pools are not run by `sky launch`")
	case len(t.Volumes) > 0:
		return nil, nil, configError(t, "volumes", "network volumes need a provider that has them; none that is enabled here does")
	case len(t.StorageMounts) > 0:
		return nil, nil, configError(t, "file_mounts", "bucket mounts need a cloud; none is enabled here: use a local source")
	case len(t.ManagedSecrets) > 0:
		return nil, nil, configError(t, "managed_secrets", "this controller has no secret manager: use `secrets` with --secret")
	}
	return s, secrets, nil
}

// configError points at a field that parses but cannot be honoured here.
func configError(t *tasks.Task, field, message string) error {
	d := t.Diagnose(tasks.SeverityError, field, message, "", "")
	return &exitError{code: exitConfig, err: fmt.Errorf("%s", d)}
}

// usualCPUs is the size of a machine of which a task says no more than its memory per vCPU.
const usualCPUs = 8

func resources(r tasks.Resources) *statev1.Resources {
	out := &statev1.Resources{
		Cloud: r.Infra.Cloud, Region: r.Infra.Region, Zone: r.Infra.Zone, InstanceType: r.InstanceType,
		Cpus: r.CPUs.Value, CpusAtLeast: r.CPUs.AtLeast, MemoryGb: r.Memory.Value, MemoryAtLeast: r.Memory.AtLeast,
		UseSpot: r.UseSpot, DiskGb: int32(r.DiskSizeGB), DiskTier: r.DiskTier, NetworkTier: r.NetworkTier,
		Ports: r.Ports, Labels: r.Labels,
	}
	if r.Memory.PerCPU {
		out.MemoryGb, out.MemoryAtLeast = r.Memory.Value*cmp.Or(r.CPUs.Value, usualCPUs), true
	}
	if len(r.Accelerators) > 0 {
		out.Accelerator, out.AcceleratorCount = r.Accelerators[0].Name, r.Accelerators[0].Count
	}
	for region, image := range r.ImageID {
		if region == "" || region == r.Infra.Region || out.Image == "" {
			out.Image = image
		}
	}
	if r.MaxHourlyCost != nil {
		out.MaxHourlyCost = *r.MaxHourlyCost
	}
	return out
}

// taskAutostop is the autostop a task file asks for; nil when it says nothing.
func taskAutostop(t *tasks.Task) *statev1.Autostop {
	for _, r := range t.Resources.Alternatives {
		if as := r.Autostop; as != nil {
			return &statev1.Autostop{Enabled: as.Enabled && as.IdleMinutes >= 0, IdleMinutes: int32(as.IdleMinutes), Down: as.Down, WaitFor: as.WaitFor}
		}
	}
	return nil
}

// candidateInfra is how a place is shown: local, AWS (us-east-1).
func candidateInfra(c *statev1.Candidate) string {
	name := infraName(c.GetProvider())
	switch {
	case c.GetZone() != "":
		return name + " (" + c.GetZone() + ")"
	case c.GetRegion() != "" && c.GetRegion() != c.GetProvider():
		return name + " (" + c.GetRegion() + ")"
	}
	return name
}

// infraName is how a provider is written in tables.
func infraName(p string) string { return place.Title(p) }

// planTable is the "Considered resources" screen: the best of every cloud and alternative.
func (a *app) planTable(p *controlv1.PlanResponse, nodes int32) string {
	t := newPlanTable(a)
	rows := p.GetShown()
	if len(rows) == 0 {
		rows = p.GetCandidates()
	}
	marked := false
	for _, c := range rows {
		chosen := !marked && shows(c, p.GetCandidates()[0])
		marked = marked || chosen
		addPlanRow(t, c, nodes, chosen)
	}
	return a.planScreen(t, nodes)
}

// shows reports whether a row of the table stands for a candidate: a row may leave the zone open.
func shows(row, c *statev1.Candidate) bool {
	return row.GetProvider() == c.GetProvider() && row.GetInstanceType() == c.GetInstanceType() && row.GetAccelerator() == c.GetAccelerator() &&
		row.GetSpot() == c.GetSpot() && row.GetRegion() == c.GetRegion() && (row.GetZone() == "" || row.GetZone() == c.GetZone())
}

func newPlanTable(a *app) *table {
	t := &table{header: []string{"INFRA", "INSTANCE", "vCPUs", "Mem(GB)", "GPUS", "COST ($)", "CHOSEN"}}
	t.style = func(_, col int, cell string) string {
		if col == 6 {
			return a.style(styleGreen, cell)
		}
		return cell
	}
	return t
}

func addPlanRow(t *table, c *statev1.Candidate, nodes int32, chosen bool) {
	inst, gpus, mark, cost := dash(c.GetInstanceType()), "-", "", money(c.GetHourlyPrice()*float64(nodes))
	if c.GetPriceUnknown() {
		cost = "-"
	}
	if c.GetSpot() {
		inst += "[Spot]"
	}
	if c.GetAccelerator() != "" {
		gpus = c.GetAccelerator() + ":" + number(c.GetAcceleratorCount())
	}
	if chosen {
		mark = "   ✔"
	}
	size := func(v float64) string {
		if v == 0 {
			return "-"
		}
		return number(v)
	}
	t.add(candidateInfra(c), inst, size(c.GetCpus()), size(c.GetMemoryGb()), gpus, cost, mark)
}

// planScreen is the table under its title.
func (a *app) planScreen(t *table, nodes int32) string {
	unit := "nodes"
	if nodes == 1 {
		unit = "node"
	}
	return fmt.Sprintf("Considered resources (%d %s):\n%s", nodes, unit, a.ruled(t))
}
