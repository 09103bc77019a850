package gcp

import (
	"slices"
	"strings"
)

// call is a method of the API that this package calls, with the permissions that it needs and what for.
type call struct {
	method      string // as the discovery document names it
	permissions []string
	why         string
	optional    bool // only with some settings or tasks: `sky check` notes what is missing and does not refuse
}

// calls are all that this package does. The role in docs/gcp-role.yaml is made of them, and a test sees to it that no other call
// is made.
func calls() []call {
	return []call{
		{method: "compute.projects.get", permissions: []string{"compute.projects.get"}, why: "to see the project and its quotas"},
		{method: "compute.regions.get", permissions: []string{"compute.regions.get"}, why: "to see quotas"},
		{method: "compute.instances.insert", why: "to make machines", permissions: []string{
			"compute.instances.create", "compute.instances.setMetadata", "compute.instances.setLabels", "compute.instances.setTags",
			"compute.disks.create", "compute.disks.setLabels", "compute.subnetworks.use", "compute.subnetworks.useExternalIp",
		}},
		{method: "compute.instances.insert", why: "to let machines act as a service account (`service_account`)", permissions: []string{"compute.instances.setServiceAccount", "iam.serviceAccounts.actAs"}, optional: true},
		{method: "compute.instances.insert", why: "to boot from images of the project", permissions: []string{"compute.images.useReadOnly"}, optional: true},
		{method: "compute.instances.insert", why: "to place the machines of a cluster close together", permissions: []string{"compute.resourcePolicies.use"}, optional: true},
		{method: "compute.instances.get", permissions: []string{"compute.instances.get"}, why: "to see machines"},
		{method: "compute.instances.aggregatedList", permissions: []string{"compute.instances.list"}, why: "to list machines"},
		{method: "compute.instances.delete", permissions: []string{"compute.instances.delete"}, why: "to end machines"},
		{method: "compute.instances.stop", permissions: []string{"compute.instances.stop"}, why: "to stop machines"},
		{method: "compute.instances.start", permissions: []string{"compute.instances.start"}, why: "to start machines"},
		{method: "compute.instances.getSerialPortOutput", permissions: []string{"compute.instances.getSerialPortOutput"}, why: "to see why a machine does not come up"},
		{method: "compute.zoneOperations.wait", permissions: []string{"compute.zoneOperations.get"}, why: "to learn what calls come to"},
		{method: "compute.globalOperations.wait", permissions: []string{"compute.globalOperations.get"}, why: "to learn what calls come to"},
		{method: "compute.regionOperations.wait", permissions: []string{"compute.regionOperations.get"}, why: "to learn what calls come to"},
		{method: "compute.globalOperations.aggregatedList", permissions: []string{"compute.globalOperations.list"}, why: "to see why machines ended"},
		{method: "compute.networks.get", permissions: []string{"compute.networks.get"}, why: "to find the network"},
		{method: "compute.networks.insert", permissions: []string{"compute.networks.create"}, why: "to make the network aloft-vpc"},
		{method: "compute.firewalls.get", permissions: []string{"compute.firewalls.get"}, why: "to find firewall rules"},
		{method: "compute.firewalls.insert", permissions: []string{"compute.firewalls.create", "compute.networks.updatePolicy"}, why: "to open port 22 of machines, and the ports of tasks"},
		{method: "compute.firewalls.patch", permissions: []string{"compute.firewalls.update", "compute.networks.updatePolicy"}, why: "to open more ports of a task"},
		{method: "compute.firewalls.delete", permissions: []string{"compute.firewalls.delete", "compute.networks.updatePolicy"}, why: "to remove a cluster's firewall rules"},
		{method: "compute.machineTypes.aggregatedList", permissions: []string{"compute.machineTypes.list"}, why: "to make a catalogue (`sky catalog update --from api`)", optional: true},
		{method: "compute.acceleratorTypes.aggregatedList", permissions: []string{"compute.acceleratorTypes.list"}, why: "to make a catalogue (`sky catalog update --from api`)", optional: true},
		{method: "compute.resourcePolicies.get", permissions: []string{"compute.resourcePolicies.get"}, why: "to place the machines of a cluster close together", optional: true},
		{method: "compute.resourcePolicies.insert", permissions: []string{"compute.resourcePolicies.create"}, why: "to place the machines of a cluster close together", optional: true},
		{method: "compute.resourcePolicies.delete", permissions: []string{"compute.resourcePolicies.delete"}, why: "to remove a cluster's placement"},
	}
}

// required are the permissions that everything needs, with what for; others are those that some tasks need.
func required() (need, others map[string]string) {
	need, others = map[string]string{}, map[string]string{}
	for _, c := range calls() {
		for _, p := range c.permissions {
			if _, ok := need[p]; ok {
				continue
			}
			if c.optional {
				others[p] = c.why
				continue
			}
			delete(others, p)
			need[p] = c.why
		}
	}
	return need, others
}

// Role is the custom role as `gcloud iam roles create` reads it: what this package's calls need, as YAML.
func Role() string {
	need, others := required()
	var all []string
	for p := range need {
		all = append(all, p)
	}
	for p := range others {
		all = append(all, p)
	}
	slices.Sort(all)
	var b strings.Builder
	b.WriteString("# What Aloft needs on Google Cloud, made from the calls that it makes (providers/gcp/permissions.go).\n")
	b.WriteString("#   gcloud iam roles create aloft --project=PROJECT --file=docs/gcp-role.yaml\n")
	b.WriteString("title: Aloft\ndescription: Makes, lists and ends machines, and the network around them.\nstage: GA\nincludedPermissions:\n")
	for _, p := range all {
		b.WriteString("- " + p + "\n")
	}
	return b.String()
}
