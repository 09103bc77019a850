package gcelab

import (
	"net/http"
	"strings"
)

// handlers are the lab's answers by the id of their method.
func handlers() map[string]handler {
	networks := collection{name: "networks", kind: "compute#network", list: "compute#networkList", param: "network", check: checkNetwork, made: networkMade, used: networkUsed, gone: networkGone}
	subnets := collection{name: "subnetworks", kind: "compute#subnetwork", list: "compute#subnetworkList", param: "subnetwork", check: checkSubnet}
	firewalls := collection{name: "firewalls", kind: "compute#firewall", list: "compute#firewallList", param: "firewall", check: checkFirewall}
	policies := collection{name: "resourcePolicies", kind: "compute#resourcePolicy", list: "compute#resourcePolicyList", param: "resourcePolicy", check: checkPolicy, used: policyUsed}
	reservations := collection{name: "reservations", kind: "compute#reservation", list: "compute#reservationList", param: "reservation", check: checkReservation}
	out := map[string]handler{
		"compute.instances.get": getInstance, "compute.instances.list": listInstances, "compute.instances.aggregatedList": aggregatedInstances,
		"compute.instances.insert": insertInstance, "compute.instances.delete": deleteInstance, "compute.instances.stop": stopInstance,
		"compute.instances.start": startInstance, "compute.instances.reset": resetInstance, "compute.instances.setMetadata": setMetadata(),
		"compute.instances.setLabels": setLabels(), "compute.instances.setTags": setTags(), "compute.instances.setScheduling": setScheduling(),
		"compute.instances.getSerialPortOutput": serialPort, "compute.instances.testIamPermissions": testInstancePermissions,
		"compute.instances.simulateMaintenanceEvent": simulateMaintenance,
		"compute.globalOperations.aggregatedList":    aggregatedOperations,
		"compute.zones.get":                          getZone, "compute.zones.list": listZones, "compute.regions.get": getRegion, "compute.regions.list": listRegions,
		"compute.machineTypes.get": getMachineType, "compute.machineTypes.list": listMachineTypes, "compute.machineTypes.aggregatedList": aggregatedMachineTypes,
		"compute.acceleratorTypes.get": getAcceleratorType, "compute.acceleratorTypes.list": listAcceleratorTypes, "compute.acceleratorTypes.aggregatedList": aggregatedAcceleratorTypes,
		"compute.diskTypes.get": getDiskType, "compute.diskTypes.list": listDiskTypes,
		"compute.disks.get": getDisk, "compute.disks.list": listDisks, "compute.disks.aggregatedList": aggregatedDisks,
		"compute.images.get": getImage, "compute.images.list": listImages, "compute.images.getFromFamily": getFromFamily,
		"compute.projects.get": getProject, "compute.firewalls.patch": patchFirewall(firewalls),
		"cloudresourcemanager.projects.get": resourceProject, "cloudresourcemanager.projects.testIamPermissions": testProjectPermissions,
		"serviceusage.services.get": getService,
	}
	for _, scope := range []string{"zone", "region", "global"} {
		id := "compute." + scope + "Operations."
		out[id+"get"], out[id+"wait"], out[id+"list"], out[id+"delete"] = getOperation, getOperation, listOperations, deleteOperation
	}
	for _, k := range []collection{networks, subnets, firewalls, policies, reservations} {
		id := "compute." + k.name + "."
		out[id+"get"], out[id+"list"], out[id+"insert"], out[id+"delete"], out[id+"aggregatedList"] = k.get, k.all, k.insert, k.remove, k.aggregated
	}
	return out
}

func checkNetwork(_ *Lab, _ *call, o object) *apiError {
	_, auto := o["autoCreateSubnetworks"]
	if !auto && text(o, "IPv4Range") == "" {
		o["autoCreateSubnetworks"] = true
	}
	if text(o, "IPv4Range") != "" {
		return invalid("resource.IPv4Range", text(o, "IPv4Range"), "Legacy networks can no longer be created.")
	}
	if inner(o, "routingConfig") == nil {
		o["routingConfig"] = object{"routingMode": "REGIONAL"}
	}
	return nil
}

func networkMade(l *Lab, o object) {
	if auto, _ := o["autoCreateSubnetworks"].(bool); auto {
		l.autoSubnets(text(o, "name"))
	}
}

func networkGone(l *Lab, o object) {
	for _, r := range regions() {
		delete(l.shelf["regions/"+r.name+"/subnetworks"], text(o, "name"))
	}
}

// networkUsed is what keeps a network from being deleted.
func networkUsed(l *Lab, o object) string {
	for _, f := range l.shelf["global/firewalls"] {
		if text(f, "network") == text(o, "selfLink") {
			return partial(text(f, "selfLink"))
		}
	}
	for _, in := range l.instances {
		for _, n := range list(in.body, "networkInterfaces") {
			if !in.gone && text(n, "network") == text(o, "selfLink") {
				return "projects/" + l.o.Project + "/" + in.path()
			}
		}
	}
	return ""
}

func checkSubnet(l *Lab, c *call, o object) *apiError {
	n := l.shelf["global/networks"][last(text(o, "network"))]
	if n == nil {
		return invalid("resource.network", text(o, "network"), "The referenced network resource cannot be found.")
	}
	if text(o, "ipCidrRange") == "" {
		return refuse(http.StatusBadRequest, "required", "Required field 'resource.ipCidrRange' not specified")
	}
	made := l.subnet(text(o, "name"), c.params["region"], text(n, "name"), text(o, "ipCidrRange"))
	for k, v := range made {
		o[k] = v
	}
	have, _ := n["subnetworks"].([]any)
	n["subnetworks"] = append(have, made["selfLink"])
	return nil
}

func checkFirewall(l *Lab, _ *call, o object) *apiError {
	network := text(o, "network")
	if network == "" {
		network = "global/networks/default"
	}
	n := l.shelf["global/networks"][last(network)]
	if n == nil {
		return invalid("resource.network", network, "The referenced network resource cannot be found.")
	}
	o["network"] = n["selfLink"]
	allowed, denied := list(o, "allowed"), list(o, "denied")
	if (len(allowed) == 0) == (len(denied) == 0) {
		return invalid("resource.allowed", "", "Exactly one of allowed and denied must be specified.")
	}
	for _, rule := range append(allowed, denied...) {
		if text(rule, "IPProtocol") == "" {
			return refuse(http.StatusBadRequest, "required", "Required field 'resource.allowed[0].IPProtocol' not specified")
		}
	}
	if text(o, "direction") == "" {
		o["direction"] = "INGRESS"
	}
	if o["direction"] == "INGRESS" && o["sourceRanges"] == nil && o["sourceTags"] == nil && o["sourceServiceAccounts"] == nil {
		o["sourceRanges"] = []any{"0.0.0.0/0"}
	}
	if o["priority"] == nil {
		o["priority"] = 1000
	}
	if o["disabled"] == nil {
		o["disabled"] = false
	}
	if o["logConfig"] == nil {
		o["logConfig"] = object{"enable": false}
	}
	return nil
}

func patchFirewall(k collection) handler {
	return func(l *Lab, c *call) (object, *apiError) {
		o, bad := k.get(l, c)
		if bad != nil {
			return nil, bad
		}
		next, _ := clone(o).(object)
		for f, v := range c.body {
			next[f] = v
		}
		if bad := checkFirewall(l, c, next); bad != nil {
			return nil, bad
		}
		return l.change(c, "global", "patch", o, func() *opError {
			l.put("global/firewalls", text(o, "name"), next)
			return nil
		})
	}
}

func checkPolicy(_ *Lab, _ *call, o object) *apiError {
	n := 0
	for _, f := range []string{"groupPlacementPolicy", "snapshotSchedulePolicy", "instanceSchedulePolicy", "diskConsistencyGroupPolicy", "workloadPolicy"} {
		if o[f] != nil {
			n++
		}
	}
	if n != 1 {
		return invalid("resource", "", "Exactly one policy must be specified.")
	}
	o["status"] = "READY"
	return nil
}

func policyUsed(l *Lab, o object) string {
	for _, in := range l.instances {
		used, _ := in.body["resourcePolicies"].([]any)
		for _, p := range used {
			if s, _ := p.(string); !in.gone && s == text(o, "selfLink") {
				return "projects/" + l.o.Project + "/" + in.path()
			}
		}
	}
	return ""
}

func checkReservation(_ *Lab, _ *call, o object) *apiError {
	if inner(o, "specificReservation") == nil && inner(o, "aggregateReservation") == nil {
		return invalid("resource.specificReservation", "", "A reservation needs what it reserves.")
	}
	if s := inner(o, "specificReservation"); s != nil {
		s["inUseCount"], s["assuredCount"] = "0", s["count"]
	}
	o["status"] = "READY"
	return nil
}

// checkPolicies checks an instance's placement policy and its reservation.
func (l *Lab) checkPolicies(in object, zone string) *apiError {
	used, _ := in["resourcePolicies"].([]any)
	for i, p := range used {
		s, _ := p.(string)
		o := l.shelf["regions/"+regionOf(zone)+"/resourcePolicies"][last(s)]
		if o == nil {
			return invalid("resource.resourcePolicies[0]", s, "The referenced resource policy resource cannot be found.")
		}
		used[i] = o["selfLink"]
	}
	a := inner(in, "reservationAffinity")
	if text(a, "consumeReservationType") != "SPECIFIC_RESERVATION" {
		return nil
	}
	values, _ := a["values"].([]any)
	if text(a, "key") != "compute.googleapis.com/reservation-name" || len(values) != 1 {
		return invalid("resource.reservationAffinity", "", "A specific reservation is named by the key compute.googleapis.com/reservation-name and one value.")
	}
	name, _ := values[0].(string)
	if strings.HasPrefix(name, "projects/") {
		name = last(name)
	}
	if l.shelf["zones/"+zone+"/reservations"][name] == nil {
		return invalid("resource.reservationAffinity", name, "Specified reservation '%s' does not exist.", name)
	}
	return nil
}
