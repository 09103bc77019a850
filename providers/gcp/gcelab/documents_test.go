package gcelab

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "make the discovery documents anew from google.golang.org/api")

// wanted are the files of google.golang.org/api and the methods that the lab answers.
func wanted() map[string][]string {
	crud := func(kind string, more ...string) []string {
		var out []string
		for _, verb := range append([]string{"insert", "get", "list", "delete"}, more...) {
			out = append(out, "compute."+kind+"."+verb)
		}
		return out
	}
	reads := func(kind string, more ...string) []string {
		var out []string
		for _, verb := range append([]string{"get", "list"}, more...) {
			out = append(out, "compute."+kind+"."+verb)
		}
		return out
	}
	compute := slices.Concat(
		crud("instances", "aggregatedList", "stop", "start", "reset", "setMetadata", "setLabels", "setTags", "setScheduling", "getSerialPortOutput", "testIamPermissions", "simulateMaintenanceEvent"),
		reads("zoneOperations", "wait", "delete"), reads("regionOperations", "wait", "delete"), reads("globalOperations", "wait", "delete", "aggregatedList"),
		crud("firewalls", "patch"), crud("networks"), crud("subnetworks", "aggregatedList"),
		reads("regions"), reads("zones"), reads("machineTypes", "aggregatedList"), reads("acceleratorTypes", "aggregatedList"), reads("diskTypes"), reads("disks", "aggregatedList"),
		reads("images", "getFromFamily"), []string{"compute.projects.get"},
		crud("resourcePolicies", "aggregatedList"), crud("reservations", "aggregatedList"),
	)
	return map[string][]string{
		"compute/v1/compute-api.json":                           compute,
		"cloudresourcemanager/v1/cloudresourcemanager-api.json": {"cloudresourcemanager.projects.get", "cloudresourcemanager.projects.testIamPermissions"},
		"cloudresourcemanager/v3/cloudresourcemanager-api.json": {"cloudresourcemanager.projects.get", "cloudresourcemanager.projects.testIamPermissions"},
		"serviceusage/v1/serviceusage-api.json":                 {"serviceusage.services.get"},
	}
}

// TestDocuments compares the embedded documents with the module's, or makes them anew.
func TestDocuments(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skip("SKIPPED: google.golang.org/api is not in the module cache: the embedded discovery documents are not compared with it")
	}
	for file, methods := range wanted() {
		name := filepath.Join("documents", strings.ReplaceAll(path.Dir(file), "/", "-")+".json")
		full, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		got := trim(t, full, methods)
		if *update {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, got) {
			t.Errorf("%s is not what google.golang.org/api has: go test ./providers/gcp/gcelab -run Documents -update", name)
		}
	}
}

// resource is a group of methods of a full document.
type resource struct {
	Methods   map[string]*method   `json:"methods"`
	Resources map[string]*resource `json:"resources"`
}

// trim leaves of a discovery document what the methods need, in a stable order, a method and a schema a line.
func trim(t *testing.T, full []byte, methods []string) []byte {
	t.Helper()
	var d struct {
		document
		Methods   struct{}             `json:"methods"`
		Resources map[string]*resource `json:"resources"`
	}
	if err := json.Unmarshal(full, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]*method{}
	var walk func(map[string]*resource)
	walk = func(rs map[string]*resource) {
		for _, r := range rs {
			for _, m := range r.Methods {
				all[m.ID] = m
			}
			walk(r.Resources)
		}
	}
	walk(d.Resources)
	schemas := map[string]*schema{}
	var need func(*schema)
	need = func(s *schema) {
		if s == nil {
			return
		}
		if s.Ref != "" && schemas[s.Ref] == nil {
			schemas[s.Ref] = d.Schemas[s.Ref]
			need(d.Schemas[s.Ref])
		}
		for _, p := range s.Properties {
			need(p)
		}
		need(s.Items)
		need(s.AdditionalProperties)
	}
	var b bytes.Buffer
	line := func(key string, v any, end string) {
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		if key != "" {
			key = `"` + key + `": `
		}
		b.WriteString(key + strings.TrimSpace(text.String()) + end + "\n")
	}
	b.WriteString("{\n")
	line("id", d.ID, ",")
	line("revision", d.Revision, ",")
	line("rootUrl", d.RootURL, ",")
	line("servicePath", d.ServicePath, ",")
	line("parameters", d.Parameters, ",")
	b.WriteString("\"methods\": [\n")
	for i, id := range methods {
		m := all[id]
		if m == nil {
			t.Fatalf("no method %s in %s", id, d.ID)
		}
		need(m.Request)
		need(m.Response)
		line("", m, end(i, len(methods)))
	}
	b.WriteString("],\n\"schemas\": {\n")
	names := make([]string, 0, len(schemas))
	for n := range schemas {
		names = append(names, n)
	}
	sort.Strings(names)
	for i, n := range names {
		line(n, schemas[n], end(i, len(names)))
	}
	b.WriteString("}\n}\n")
	return b.Bytes()
}

func end(i, n int) string {
	if i == n-1 {
		return ""
	}
	return ","
}
