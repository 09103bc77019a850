package gcelab

import (
	"fmt"
	"hash/fnv"
	"sort"
	"strings"
)

// epoch is when all that was always there was made.
const epoch = "1969-12-31T16:00:00.000-08:00"

func (l *Lab) knownZone(name string) bool { return contains(zoneNames(), name) }

// fixedID is the id of what was always there: the same in every lab.
func fixedID(path string) string {
	h := fnv.New64a()
	fmt.Fprint(h, path)
	return fmt.Sprint(h.Sum64() >> 1)
}

func (l *Lab) zoneBody(name string) object {
	return object{"kind": "compute#zone", "id": fixedID("zones/" + name), "creationTimestamp": epoch, "name": name, "description": name, "status": "UP",
		"region": l.link("regions", regionOf(name)), "selfLink": l.link("zones", name), "supportsPzs": false}
}

func getZone(l *Lab, c *call) (object, *apiError) {
	if !l.knownZone(c.params["zone"]) {
		return nil, notFound("projects/" + l.o.Project + "/zones/" + c.params["zone"])
	}
	return l.zoneBody(c.params["zone"]), nil
}

func listZones(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, z := range zoneNames() {
		all = append(all, l.zoneBody(z))
	}
	return l.page(c, "compute#zoneList", "zones", all)
}

func (l *Lab) regionBody(r region, quotas bool) object {
	var zones []any
	for _, z := range r.zones {
		zones = append(zones, l.link("zones", r.name+"-"+string(z)))
	}
	o := object{"kind": "compute#region", "id": fixedID("regions/" + r.name), "creationTimestamp": epoch, "name": r.name, "description": r.name, "status": "UP",
		"zones": zones, "selfLink": l.link("regions", r.name), "supportsPzs": false}
	if quotas {
		o["quotas"] = l.quotaBodies(r.name)
	}
	return o
}

func getRegion(l *Lab, c *call) (object, *apiError) {
	for _, r := range regions() {
		if r.name == c.params["region"] {
			return l.regionBody(r, true), nil
		}
	}
	return nil, notFound("projects/" + l.o.Project + "/regions/" + c.params["region"])
}

func listRegions(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, r := range regions() {
		all = append(all, l.regionBody(r, true))
	}
	return l.page(c, "compute#regionList", "regions", all)
}

func (l *Lab) typeBody(m machineType, zone string) object {
	o := object{"kind": "compute#machineType", "id": fixedID("machineTypes/" + m.name), "creationTimestamp": epoch, "name": m.name,
		"description": fmt.Sprintf("%d vCPUs, %g GB RAM", m.cpus, float64(m.memoryMB)/1024), "guestCpus": m.cpus, "memoryMb": m.memoryMB, "imageSpaceGb": 0,
		"maximumPersistentDisks": 128, "maximumPersistentDisksSizeGb": "263168", "zone": zone, "selfLink": l.link("zones", zone, "machineTypes", m.name),
		"isSharedCpu": m.shared, "architecture": "X86_64"}
	if m.accelerator != "" {
		o["accelerators"] = []any{object{"guestAcceleratorType": m.accelerator, "guestAcceleratorCount": m.count}}
	}
	return o
}

func (l *Lab) typesIn(zone string) []object {
	var all []object
	for _, m := range l.types {
		if m.in(zone) {
			all = append(all, l.typeBody(m, zone))
		}
	}
	return all
}

func getMachineType(l *Lab, c *call) (object, *apiError) {
	zone := c.params["zone"]
	m, ok := l.types[c.params["machineType"]]
	if !ok || !m.in(zone) || !l.knownZone(zone) {
		return nil, notFound("projects/" + l.o.Project + "/zones/" + zone + "/machineTypes/" + c.params["machineType"])
	}
	return l.typeBody(m, zone), nil
}

func listMachineTypes(l *Lab, c *call) (object, *apiError) {
	return l.page(c, "compute#machineTypeList", c.scope()+"/machineTypes", l.typesIn(c.params["zone"]))
}

func aggregatedMachineTypes(l *Lab, c *call) (object, *apiError) {
	var all []scoped
	for _, z := range zoneNames() {
		for _, o := range l.typesIn(z) {
			all = append(all, scoped{"zones/" + z, o})
		}
	}
	return l.aggregate(c, "compute#machineTypeAggregatedList", "machineTypes", all)
}

func (l *Lab) acceleratorsIn(zone string) []object {
	var all []object
	for _, a := range accelerators() {
		if contains(a.zones, zone) {
			all = append(all, object{"kind": "compute#acceleratorType", "id": fixedID("acceleratorTypes/" + a.name), "creationTimestamp": epoch, "name": a.name, "description": a.text,
				"zone": l.link("zones", zone), "selfLink": l.link("zones", zone, "acceleratorTypes", a.name), "maximumCardsPerInstance": a.most})
		}
	}
	return all
}

func getAcceleratorType(l *Lab, c *call) (object, *apiError) {
	for _, o := range l.acceleratorsIn(c.params["zone"]) {
		if text(o, "name") == c.params["acceleratorType"] {
			return o, nil
		}
	}
	return nil, notFound("projects/" + l.o.Project + "/" + c.scope() + "/acceleratorTypes/" + c.params["acceleratorType"])
}

func listAcceleratorTypes(l *Lab, c *call) (object, *apiError) {
	return l.page(c, "compute#acceleratorTypeList", c.scope()+"/acceleratorTypes", l.acceleratorsIn(c.params["zone"]))
}

func aggregatedAcceleratorTypes(l *Lab, c *call) (object, *apiError) {
	var all []scoped
	for _, z := range zoneNames() {
		for _, o := range l.acceleratorsIn(z) {
			all = append(all, scoped{"zones/" + z, o})
		}
	}
	return l.aggregate(c, "compute#acceleratorTypeAggregatedList", "acceleratorTypes", all)
}

func diskTypes() []string {
	return []string{"hyperdisk-balanced", "local-ssd", "pd-balanced", "pd-extreme", "pd-ssd", "pd-standard"}
}

func (l *Lab) diskTypeBody(name, zone string) object {
	return object{"kind": "compute#diskType", "id": fixedID("diskTypes/" + name), "creationTimestamp": epoch, "name": name, "description": name, "validDiskSize": "10GB-65536GB",
		"zone": l.link("zones", zone), "selfLink": l.link("zones", zone, "diskTypes", name), "defaultDiskSizeGb": "500"}
}

func getDiskType(l *Lab, c *call) (object, *apiError) {
	if !contains(diskTypes(), c.params["diskType"]) {
		return nil, notFound("projects/" + l.o.Project + "/" + c.scope() + "/diskTypes/" + c.params["diskType"])
	}
	return l.diskTypeBody(c.params["diskType"], c.params["zone"]), nil
}

func listDiskTypes(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, d := range diskTypes() {
		all = append(all, l.diskTypeBody(d, c.params["zone"]))
	}
	return l.page(c, "compute#diskTypeList", c.scope()+"/diskTypes", all)
}

// disksIn are the disks of a zone's instances ("" = every zone's): an instance's disks live as long as it does.
func (l *Lab) disksIn(zone string) []scoped {
	var all []scoped
	for _, in := range l.instances {
		if in.gone || (zone != "" && in.zone != zone) {
			continue
		}
		for _, d := range list(in.body, "disks") {
			all = append(all, scoped{"zones/" + in.zone, object{"kind": "compute#disk", "id": fixedID(text(d, "source") + text(in.body, "id")), "name": last(text(d, "source")),
				"sizeGb": d["diskSizeGb"], "zone": l.link("zones", in.zone), "selfLink": d["source"], "status": "READY", "creationTimestamp": text(in.body, "creationTimestamp"),
				"users": []any{text(in.body, "selfLink")}}})
		}
	}
	return all
}

func getDisk(l *Lab, c *call) (object, *apiError) {
	for _, d := range l.disksIn(c.params["zone"]) {
		if text(d.body, "name") == c.params["disk"] {
			return d.body, nil
		}
	}
	return nil, notFound("projects/" + l.o.Project + "/" + c.scope() + "/disks/" + c.params["disk"])
}

func listDisks(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, d := range l.disksIn(c.params["zone"]) {
		all = append(all, d.body)
	}
	return l.page(c, "compute#diskList", c.scope()+"/disks", all)
}

func aggregatedDisks(l *Lab, c *call) (object, *apiError) {
	return l.aggregate(c, "compute#diskAggregatedList", "disks", l.disksIn(""))
}

func imageBody(i image) object {
	link := "https://www.googleapis.com/compute/v1/projects/" + i.project + "/global/images/" + i.name
	return object{"kind": "compute#image", "id": fixedID(link), "creationTimestamp": "2026-11-05T09:00:00.000-08:00", "name": i.name, "family": i.family, "description": i.name,
		"diskSizeGb": fmt.Sprint(i.gb), "archiveSizeBytes": fmt.Sprint(i.gb << 27), "sourceType": "RAW", "status": "READY", "architecture": i.arch, "selfLink": link,
		"labelFingerprint": fingerprint(nil), "storageLocations": []any{"us"}}
}

func getImage(l *Lab, c *call) (object, *apiError) {
	for _, i := range l.images {
		if i.project == c.params["project"] && i.name == c.params["image"] {
			return imageBody(i), nil
		}
	}
	return nil, notFound("projects/" + c.params["project"] + "/global/images/" + c.params["image"])
}

func getFromFamily(l *Lab, c *call) (object, *apiError) {
	for _, i := range l.images {
		if i.project == c.params["project"] && i.family == c.params["family"] {
			return imageBody(i), nil
		}
	}
	return nil, notFound("projects/" + c.params["project"] + "/global/images/family/" + c.params["family"])
}

func listImages(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, i := range l.images {
		if i.project == c.params["project"] {
			all = append(all, imageBody(i))
		}
	}
	return l.page(c, "compute#imageList", "global/images", all)
}

func (l *Lab) publicProject(name string) bool {
	for _, i := range l.images {
		if i.project == name {
			return true
		}
	}
	return false
}

// generous is the limit of every quota that SetQuota did not set.
const generous = 100_000

func (l *Lab) limit(region, metric string) float64 {
	if v, ok := l.quotas[region][metric]; ok {
		return v
	}
	return generous
}

// needs are the quota metrics that an instance uses: in its region, and in the whole project under "".
func (l *Lab) needs(in *instance) map[string]map[string]float64 {
	mt := l.types[last(text(in.body, "machineType"))]
	spot, _ := inner(in.body, "scheduling")["preemptible"].(bool)
	region := map[string]float64{"INSTANCES": 1}
	global := map[string]float64{"CPUS_ALL_REGIONS": float64(mt.cpus)}
	if spot && l.quotas[regionOf(in.zone)]["PREEMPTIBLE_CPUS"] > 0 {
		region["PREEMPTIBLE_CPUS"] = float64(mt.cpus)
	} else {
		region[mt.metric] = float64(mt.cpus)
	}
	for _, g := range list(in.body, "guestAccelerators") {
		n := number(g["acceleratorCount"])
		a, ok := l.accelerator(last(text(g, "acceleratorType")), in.zone)
		if !ok {
			continue
		}
		metric := a.metric
		if spot {
			metric = "PREEMPTIBLE_" + metric
		} else {
			global["GPUS_ALL_REGIONS"] += n
		}
		region[metric] += n
	}
	return map[string]map[string]float64{regionOf(in.zone): region, "": global}
}

func number(v any) float64 {
	switch n := v.(type) {
	case float64:
		return n
	case int:
		return float64(n)
	}
	return 0
}

// usage is how much of a metric running instances use in a region; region "" = the whole project.
func (l *Lab) usage(region, metric string) float64 {
	var sum float64
	for _, in := range l.instances {
		if !in.gone && in.status() != "TERMINATED" {
			sum += l.needs(in)[region][metric]
		}
	}
	return sum
}

// overQuota is the error of an instance that the project may not have as well; nil when it may.
func (l *Lab) overQuota(in *instance) *opError {
	if len(l.quotas) == 0 {
		return nil
	}
	for region, metrics := range l.needs(in) {
		for _, m := range keys(metrics) {
			if limit := l.limit(region, m); l.usage(region, m)+metrics[m] > limit {
				return quotaExceeded(m, region, limit)
			}
		}
	}
	return nil
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (l *Lab) quotaBodies(region string) []any {
	metrics := map[string]bool{}
	if region == "" {
		for _, m := range []string{"CPUS_ALL_REGIONS", "GPUS_ALL_REGIONS", "NETWORKS", "FIREWALLS", "SUBNETWORKS"} {
			metrics[m] = true
		}
	} else {
		for _, m := range []string{"INSTANCES", "PREEMPTIBLE_CPUS", "DISKS_TOTAL_GB", "SSD_TOTAL_GB", "IN_USE_ADDRESSES"} {
			metrics[m] = true
		}
		for _, t := range l.types {
			metrics[t.metric] = true
		}
		for _, a := range accelerators() {
			metrics[a.metric], metrics["PREEMPTIBLE_"+a.metric] = true, true
		}
	}
	used := map[string]float64{}
	for _, in := range l.instances {
		if !in.gone && in.status() != "TERMINATED" {
			for m, n := range l.needs(in)[region] {
				used[m] += n
			}
		}
	}
	if region == "" {
		used["NETWORKS"], used["FIREWALLS"] = float64(len(l.shelf["global/networks"])), float64(len(l.shelf["global/firewalls"]))
	}
	var out []any
	// What the document does not list as a metric yet is told in operations only.
	known := l.knownMetrics()
	for _, m := range keys(metrics) {
		if known[m] {
			out = append(out, object{"metric": m, "limit": l.limit(region, m), "usage": used[m]})
		}
	}
	return out
}

func (l *Lab) knownMetrics() map[string]bool {
	out := map[string]bool{}
	for _, d := range l.docs {
		if s := d.Schemas["Quota"]; s != nil && strings.HasPrefix(d.ID, "compute") {
			for _, m := range s.Properties["metric"].Enum {
				out[m] = true
			}
		}
	}
	return out
}

func getProject(l *Lab, _ *call) (object, *apiError) {
	return object{"kind": "compute#project", "id": projectNumber, "name": l.o.Project, "creationTimestamp": epoch, "selfLink": strings.TrimSuffix(l.link(), "/"),
		"defaultServiceAccount": projectNumber + "-compute@developer.gserviceaccount.com", "quotas": l.quotaBodies(""), "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
		"defaultNetworkTier": "PREMIUM", "commonInstanceMetadata": object{"kind": "compute#metadata", "fingerprint": fingerprint(nil)}}, nil
}
