package gcelab

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// ReadRole reads the permissions of a custom role's file, as gcloud iam roles create takes it: the entries of its
// includedPermissions.
func ReadRole(r io.Reader) ([]string, error) {
	var out []string
	inside := false
	for s := bufio.NewScanner(r); s.Scan(); {
		line := s.Text()
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case strings.HasPrefix(line, "includedPermissions:"):
			inside = true
		case inside && strings.HasPrefix(trimmed, "- "):
			p, _, _ := strings.Cut(strings.TrimPrefix(trimmed, "- "), " #")
			out = append(out, strings.Trim(strings.TrimSpace(p), `"'`))
		default:
			inside = false
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("role: no includedPermissions")
	}
	return out, nil
}

// demand is a permission and the resource that it is needed on.
type demand struct{ permission, on string }

// demands are the permissions that a call needs, as Google's reference lists them.
func (l *Lab) demands(c *call) []demand {
	project := "projects/" + l.o.Project
	parts := strings.Split(c.method.ID, ".")
	service, kind, verb := parts[0], parts[1], parts[2]
	on := project
	if scope := c.scope(); service == "compute" && kind != "projects" && kind != "zones" && kind != "regions" && verb != "list" && verb != "aggregatedList" {
		on = project + "/" + scope + "/" + kind + "/" + c.name()
	}
	one := func(permission string) []demand { return []demand{{permission, on}} }
	switch {
	case verb == "testIamPermissions":
		return nil
	case service == "cloudresourcemanager":
		return one("resourcemanager.projects.get")
	case service == "serviceusage":
		return one("serviceusage.services.get")
	case kind == "images" && c.params["project"] != l.o.Project:
		return nil // public
	case c.method.ID == "compute.instances.insert":
		return l.insertDemands(c, on)
	case strings.HasSuffix(kind, "Operations") && verb == "wait":
		return one("compute." + kind + ".get")
	case verb == "aggregatedList":
		return one("compute." + kind + ".list")
	case kind == "firewalls" && verb != "get" && verb != "list":
		name := map[string]string{"insert": "create", "patch": "update", "delete": "delete"}[verb]
		network := last(text(c.body, "network"))
		if network == "" {
			network = "default"
		}
		return append(one("compute.firewalls."+name), demand{"compute.networks.updatePolicy", project + "/global/networks/" + network})
	case verb == "insert":
		return one("compute." + kind + ".create")
	case verb == "patch":
		return one("compute." + kind + ".update")
	}
	return one("compute." + kind + "." + verb)
}

func (l *Lab) insertDemands(c *call, on string) []demand {
	project := "projects/" + l.o.Project
	zone := c.params["zone"]
	out := []demand{{"compute.instances.create", on}}
	for _, d := range list(c.body, "disks") {
		if p := inner(d, "initializeParams"); p != nil {
			out = append(out, demand{"compute.disks.create", project + "/zones/" + zone + "/disks/" + c.name()})
			if len(inner(p, "labels")) > 0 {
				out = append(out, demand{"compute.disks.setLabels", project + "/zones/" + zone + "/disks/" + c.name()})
			}
			if strings.HasPrefix(partial(text(p, "sourceImage")), project+"/") {
				out = append(out, demand{"compute.images.useReadOnly", partial(text(p, "sourceImage"))})
			}
		}
	}
	for _, n := range list(c.body, "networkInterfaces") {
		name := last(text(n, "subnetwork"))
		if name == "" {
			name = orElse(last(text(n, "network")), "default")
		}
		subnet := project + "/regions/" + regionOf(zone) + "/subnetworks/" + name
		out = append(out, demand{"compute.subnetworks.use", subnet})
		if len(list(n, "accessConfigs")) > 0 {
			out = append(out, demand{"compute.subnetworks.useExternalIp", subnet})
		}
	}
	for field, permission := range map[string]string{"labels": "setLabels", "metadata": "setMetadata", "tags": "setTags", "serviceAccounts": "setServiceAccount"} {
		switch v := c.body[field].(type) {
		case object:
			if len(v) > 0 {
				out = append(out, demand{"compute.instances." + permission, on})
			}
		case []any:
			if len(v) > 0 {
				out = append(out, demand{"compute.instances." + permission, on})
			}
		}
	}
	for _, sa := range list(c.body, "serviceAccounts") {
		out = append(out, demand{"iam.serviceAccounts.actAs", text(sa, "email")})
	}
	if used, _ := c.body["resourcePolicies"].([]any); len(used) > 0 {
		s, _ := used[0].(string)
		out = append(out, demand{"compute.resourcePolicies.use", project + "/regions/" + regionOf(zone) + "/resourcePolicies/" + last(s)})
	}
	return out
}

// computeScopes are the OAuth scopes with which an instance's token may change instances.
var computeScopes = []string{"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute"}

// allow refuses a call that its caller may not make, or whose service is off.
func (l *Lab) allow(c *call) *apiError {
	switch service, _, _ := strings.Cut(c.method.ID, "."); service {
	case "compute":
		if l.off["compute.googleapis.com"] {
			return l.disabled("compute.googleapis.com", "Compute Engine API")
		}
		if p := c.params["project"]; p != l.o.Project && p != projectNumber && !(strings.HasPrefix(c.method.ID, "compute.images.") && l.publicProject(p)) {
			return notFound("projects/" + p)
		}
	case "cloudresourcemanager":
		if l.off["cloudresourcemanager.googleapis.com"] {
			return l.disabled("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API")
		}
	}
	granted := l.granted
	if c.node != nil {
		granted = set(l.o.NodePermissions)
		if !c.node.scoped() && c.method.HTTPMethod != http.MethodGet {
			e := refuse(http.StatusForbidden, "insufficientPermissions", "Request had insufficient authentication scopes.")
			e.details = []any{errorInfo("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com", object{"service": "compute.googleapis.com", "method": c.method.ID})}
			return e
		}
	}
	if granted == nil {
		return nil
	}
	for _, d := range l.demands(c) {
		if !granted[d.permission] {
			return l.denied(d.permission, d.on)
		}
	}
	return nil
}

// scoped reports whether the instance's token may change instances.
func (in *instance) scoped() bool {
	for _, sa := range list(in.body, "serviceAccounts") {
		scopes, _ := sa["scopes"].([]any)
		for _, s := range scopes {
			if t, _ := s.(string); slices.Contains(computeScopes, t) {
				return true
			}
		}
	}
	return false
}

func (l *Lab) held(c *call) object {
	asked, _ := c.body["permissions"].([]any)
	var held []any
	for _, p := range asked {
		if s, _ := p.(string); l.granted == nil || l.granted[s] {
			held = append(held, p)
		}
	}
	if held == nil {
		return object{}
	}
	return object{"permissions": held}
}

func testInstancePermissions(l *Lab, c *call) (object, *apiError) {
	if _, err := l.instance(&call{params: map[string]string{"zone": c.params["zone"], "instance": c.params["resource"]}}); err != nil {
		return nil, err
	}
	return l.held(c), nil
}

// projectOf is the project that a call of another service names.
func projectOf(c *call) string {
	for _, p := range []string{"projectsId", "projectId", "resource"} {
		if v := c.params[p]; v != "" {
			return strings.TrimPrefix(v, "projects/")
		}
	}
	return ""
}

func (l *Lab) known(project string) *apiError {
	if project == l.o.Project || project == projectNumber {
		return nil
	}
	return refuse(http.StatusForbidden, "forbidden", "The caller does not have permission")
}

func testProjectPermissions(l *Lab, c *call) (object, *apiError) {
	if bad := l.known(projectOf(c)); bad != nil {
		return nil, bad
	}
	return l.held(c), nil
}

func resourceProject(l *Lab, c *call) (object, *apiError) {
	if bad := l.known(projectOf(c)); bad != nil {
		return nil, bad
	}
	if strings.HasPrefix(c.method.FlatPath, "v1/") {
		return object{"projectId": l.o.Project, "projectNumber": projectNumber, "lifecycleState": "ACTIVE", "name": l.o.Project, "createTime": "2026-01-01T00:00:00Z"}, nil
	}
	return object{"name": "projects/" + projectNumber, "projectId": l.o.Project, "state": "ACTIVE", "displayName": l.o.Project, "createTime": "2026-01-01T00:00:00Z"}, nil
}

func getService(l *Lab, c *call) (object, *apiError) {
	if bad := l.known(c.params["v1Id1"]); bad != nil {
		return nil, bad
	}
	service := c.params["servicesId"]
	state := "ENABLED"
	if l.off[service] {
		state = "DISABLED"
	}
	return object{"name": "projects/" + projectNumber + "/services/" + service, "parent": "projects/" + projectNumber, "state": state, "config": object{"name": service}}, nil
}
