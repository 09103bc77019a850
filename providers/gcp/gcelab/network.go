package gcelab

import (
	"fmt"
	"net/http"
	"strings"
)

// furnish puts a new project's default network on its shelves.
func (l *Lab) furnish() {
	if l.o.NoDefaultNetwork {
		return
	}
	l.put("global/networks", "default", l.network("default", true))
	l.autoSubnets("default")
	for _, f := range []struct{ name, ports, sources, text string }{
		{"default-allow-icmp", "icmp", "0.0.0.0/0", "Allow ICMP from anywhere"},
		{"default-allow-internal", "tcp:0-65535,udp:0-65535,icmp", "10.128.0.0/9", "Allow internal traffic on the default network"},
		{"default-allow-rdp", "tcp:3389", "0.0.0.0/0", "Allow RDP from anywhere"},
		{"default-allow-ssh", "tcp:22", "0.0.0.0/0", "Allow SSH from anywhere"},
	} {
		var allowed []any
		for _, p := range strings.Split(f.ports, ",") {
			proto, ports, has := strings.Cut(p, ":")
			rule := object{"IPProtocol": proto}
			if has {
				rule["ports"] = []any{ports}
			}
			allowed = append(allowed, rule)
		}
		l.put("global/firewalls", f.name, l.made("compute#firewall", "global/firewalls", f.name, object{
			"description": f.text, "network": l.link("global", "networks", "default"), "priority": 65534, "direction": "INGRESS",
			"sourceRanges": []any{f.sources}, "allowed": allowed, "disabled": false, "logConfig": object{"enable": false},
		}))
	}
}

// made fills in what every resource has.
func (l *Lab) made(kind, path, name string, o object) object {
	o["kind"], o["id"], o["name"], o["creationTimestamp"] = kind, l.id(), name, stamp(l.clock.now())
	o["selfLink"] = l.link(path, name)
	return o
}

func (l *Lab) put(path, name string, o object) {
	if l.shelf[path] == nil {
		l.shelf[path] = map[string]object{}
	}
	l.shelf[path][name] = o
}

func (l *Lab) network(name string, auto bool) object {
	return l.made("compute#network", "global/networks", name, object{
		"autoCreateSubnetworks": auto, "routingConfig": object{"routingMode": "REGIONAL"}, "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
	})
}

func (l *Lab) autoSubnets(network string) {
	net := l.shelf["global/networks"][network]
	var links []any
	for i, r := range regions() {
		path := "regions/" + r.name + "/subnetworks"
		l.put(path, network, l.subnet(network, r.name, network, fmt.Sprintf("10.%d.%d.0/20", 128+i/16, i%16*16)))
		links = append(links, l.link(path, network))
	}
	net["subnetworks"] = links
}

func (l *Lab) subnet(name, region, network, cidr string) object {
	ip, _, _ := strings.Cut(cidr, "/")
	return l.made("compute#subnetwork", "regions/"+region+"/subnetworks", name, object{
		"network": l.link("global", "networks", network), "ipCidrRange": cidr, "gatewayAddress": ip[:strings.LastIndexByte(ip, '.')] + ".1",
		"region": l.link("regions", region), "privateIpGoogleAccess": false, "purpose": "PRIVATE", "stackType": "IPV4_ONLY", "fingerprint": fingerprint(cidr),
	})
}

// fillNetwork checks an instance's interfaces and gives them addresses.
func (l *Lab) fillNetwork(in object, zone string) *apiError {
	nics := list(in, "networkInterfaces")
	if len(nics) == 0 {
		return invalid("resource.networkInterfaces", "", "At least one network interface is required.")
	}
	region := regionOf(zone)
	for i, n := range nics {
		field := fmt.Sprintf("resource.networkInterfaces[%d]", i)
		network, subnet := last(text(n, "network")), last(text(n, "subnetwork"))
		if subnet == "" && network == "" {
			network = "default"
		}
		if subnet == "" {
			net := l.shelf["global/networks"][network]
			if net == nil {
				return invalid(field+".network", text(n, "network"), "The referenced network resource cannot be found.")
			}
			if auto, _ := net["autoCreateSubnetworks"].(bool); !auto {
				return invalid(field, "", "Subnetwork should be specified for custom subnetmode network")
			}
			subnet = network
		}
		s := l.shelf["regions/"+region+"/subnetworks"][subnet]
		if s == nil {
			return invalid(field+".subnetwork", text(n, "subnetwork"), "The referenced subnetwork resource cannot be found.")
		}
		if network != "" && network != last(text(s, "network")) {
			return invalid(field+".subnetwork", text(n, "subnetwork"), "Specified subnetwork must be in the specified network.")
		}
		n["kind"], n["name"], n["network"], n["subnetwork"] = "compute#networkInterface", fmt.Sprintf("nic%d", i), s["network"], s["selfLink"]
		if text(n, "stackType") == "" {
			n["stackType"] = "IPV4_ONLY"
		}
		l.addresses++
		base := strings.Split(strings.Split(text(s, "ipCidrRange"), "/")[0], ".")
		n["networkIP"] = fmt.Sprintf("%s.%s.%d.%d", base[0], base[1], l.addresses/250%256, l.addresses%250+2)
		n["fingerprint"] = fingerprint(n)
		for _, a := range list(n, "accessConfigs") {
			a["kind"] = "compute#accessConfig"
			if text(a, "type") == "" {
				a["type"] = "ONE_TO_ONE_NAT"
			}
			if text(a, "name") == "" {
				a["name"] = "external-nat"
			}
			if text(a, "networkTier") == "" {
				a["networkTier"] = "PREMIUM"
			}
			delete(a, "natIP")
		}
	}
	return nil
}

// addressed gives an instance's interfaces their outside addresses, or takes them away: they are not kept over a stop.
func (l *Lab) addressed(in *instance, up bool) {
	for i, n := range list(in.body, "networkInterfaces") {
		real := in.address()
		if i == 0 && real != "" {
			n["networkIP"] = real
		}
		for _, a := range list(n, "accessConfigs") {
			switch {
			case !up:
				delete(a, "natIP")
			case i == 0 && real != "":
				a["natIP"] = real
			default:
				l.addresses++
				a["natIP"] = fmt.Sprintf("203.0.%d.%d", 113+l.addresses/250%140, l.addresses%250+2)
			}
		}
	}
}

// collection describes a kind of resource that needs no more than to be kept.
type collection struct {
	name, kind, list, param string
	check                   func(l *Lab, c *call, o object) *apiError
	made                    func(l *Lab, o object)
	used                    func(l *Lab, o object) string // what uses it: it cannot be deleted
	gone                    func(l *Lab, o object)
}

func (k collection) path(c *call) string { return c.scope() + "/" + k.name }

func (k collection) get(l *Lab, c *call) (object, *apiError) {
	o := l.find(k.path(c), c.params[k.param])
	if o == nil {
		return nil, notFound("projects/" + l.o.Project + "/" + k.path(c) + "/" + c.params[k.param])
	}
	return o, nil
}

func (l *Lab) find(path, name string) object {
	if o := l.shelf[path][name]; o != nil {
		return o
	}
	for _, o := range l.shelf[path] {
		if text(o, "id") == name {
			return o
		}
	}
	return nil
}

func (k collection) insert(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	path, name := k.path(c), text(c.body, "name")
	if z := c.params["zone"]; z != "" && !l.knownZone(z) {
		return nil, invalid("zone", z, "Unknown zone.")
	}
	if r := c.params["region"]; r != "" && !knownRegion(r) {
		return nil, invalid("region", r, "Unknown region.")
	}
	if name == "" {
		return nil, refuse(http.StatusBadRequest, "required", "Required field 'resource.name' not specified")
	}
	if l.shelf[path][name] != nil {
		return nil, refuse(http.StatusConflict, "alreadyExists", "The resource 'projects/%s/%s/%s' already exists", l.o.Project, path, name)
	}
	o, _ := clone(c.body).(object)
	if k.check != nil {
		if bad := k.check(l, c, o); bad != nil {
			return nil, bad
		}
	}
	l.made(k.kind, path, name, o)
	if z := c.params["zone"]; z != "" {
		o["zone"] = l.link("zones", z)
	}
	if r := c.params["region"]; r != "" {
		o["region"] = l.link("regions", r)
	}
	out, bad := l.change(c, c.scope(), "insert", o, func() *opError {
		if l.shelf[path][name] != nil {
			return &opError{code: "RESOURCE_ALREADY_EXISTS", status: http.StatusConflict, text: "CONFLICT", message: fmt.Sprintf("The resource 'projects/%s/%s/%s' already exists", l.o.Project, path, name)}
		}
		l.put(path, name, o)
		if k.made != nil {
			k.made(l, o)
		}
		return nil
	})
	return out, bad
}

func (k collection) remove(l *Lab, c *call) (object, *apiError) {
	op, bad := l.again(c)
	if op != nil || bad != nil {
		return opBody(op), bad
	}
	o, bad := k.get(l, c)
	if bad != nil {
		return nil, bad
	}
	if k.used != nil {
		if by := k.used(l, o); by != "" {
			return nil, refuse(http.StatusBadRequest, "resourceInUseByAnotherResource", "The %s resource 'projects/%s/%s/%s' is already being used by '%s'", strings.TrimSuffix(k.name, "s"), l.o.Project, k.path(c), text(o, "name"), by)
		}
	}
	path := k.path(c)
	return l.change(c, c.scope(), "delete", o, func() *opError {
		delete(l.shelf[path], text(o, "name"))
		if k.gone != nil {
			k.gone(l, o)
		}
		return nil
	})
}

func (k collection) all(l *Lab, c *call) (object, *apiError) {
	var all []object
	for _, o := range l.shelf[k.path(c)] {
		all = append(all, o)
	}
	return l.page(c, k.list, k.path(c), all)
}

func (k collection) aggregated(l *Lab, c *call) (object, *apiError) {
	var all []scoped
	for path, shelf := range l.shelf {
		scope, ok := strings.CutSuffix(path, "/"+k.name)
		if !ok {
			continue
		}
		for _, o := range shelf {
			all = append(all, scoped{scope, o})
		}
	}
	return l.aggregate(c, strings.Replace(k.list, "List", "AggregatedList", 1), k.name, all)
}
