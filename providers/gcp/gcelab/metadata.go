package gcelab

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// metadataServer serves one instance's metadata as Compute Engine's server does at 169.254.169.254.
type metadataServer struct{ in *instance }

// directory is a level of the metadata; its leaves are text.
type directory = map[string]any

const metadataRoot = "/computeMetadata/v1/"

// ServeHTTP answers one question of the host.
func (m metadataServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "Metadata Server for VM")
	if r.URL.Path == "/" {
		fmt.Fprint(w, "computeMetadata/\n")
		return
	}
	if r.Header.Get("Metadata-Flavor") != "Google" || r.Header.Get("X-Forwarded-For") != "" {
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, metadataRoot)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet {
		http.Error(w, "Only GET is allowed.", http.StatusMethodNotAllowed)
		return
	}
	q := r.URL.Query()
	if q.Get("wait_for_change") == "true" {
		m.wait(r, path)
	}
	l := m.in.lab
	l.lock()
	body, kind, ok := m.read(path, q.Get("recursive") == "true", q.Get("alt"))
	l.unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", fingerprint(body))
	fmt.Fprint(w, body)
}

// wait holds the answer until what it tells has changed, or the asker's time is over.
func (m metadataServer) wait(r *http.Request, path string) {
	q := r.URL.Query()
	limit := 10 * time.Minute
	if s, err := strconv.Atoi(q.Get("timeout_sec")); err == nil && s > 0 {
		limit = time.Duration(s) * time.Second
	}
	t := time.NewTimer(limit)
	defer t.Stop()
	l, first := m.in.lab, q.Get("last_etag")
	for {
		l.lock()
		body, _, _ := m.read(path, q.Get("recursive") == "true", q.Get("alt"))
		if first == "" {
			first = fingerprint(body)
		}
		differs := fingerprint(body) != first
		if m.in.host.waiting == nil {
			m.in.host.waiting = make(chan struct{})
		}
		changed := m.in.host.waiting
		l.unlock()
		if differs {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		case <-r.Context().Done():
			return
		case <-l.ctx.Done():
			return
		}
	}
}

// read gives what is at a path, and its content type.
func (m metadataServer) read(path string, recursive bool, alt string) (string, string, bool) {
	if path == "instance/service-accounts/default/token" || path == "instance/service-accounts/"+m.in.account()+"/token" {
		return m.token()
	}
	var v any = m.tree()
	for _, p := range strings.Split(strings.Trim(path, "/"), "/") {
		if p == "" {
			continue
		}
		d, ok := v.(directory)
		if !ok {
			return "", "", false
		}
		if v, ok = d[p]; !ok {
			return "", "", false
		}
	}
	d, isDir := v.(directory)
	switch {
	case isDir && recursive && alt != "text":
		b, err := json.Marshal(camel(d, path == "instance/attributes/" || path == "project/attributes/"))
		return string(b), "application/json", err == nil
	case isDir:
		var b strings.Builder
		for _, k := range keys(d) {
			if _, sub := d[k].(directory); sub {
				k += "/"
			}
			b.WriteString(k + "\n")
		}
		return b.String(), "application/text", true
	}
	s, _ := v.(string)
	return s, "application/text", true
}

// camel writes a directory as the JSON answers do: names without dashes, except those of attributes.
func camel(d directory, attributes bool) any {
	numbered := len(d) > 0
	for k := range d {
		if _, err := strconv.Atoi(k); err != nil {
			numbered = false
		}
	}
	if numbered && !attributes {
		order := keys(d)
		sort.Slice(order, func(i, j int) bool { a, _ := strconv.Atoi(order[i]); b, _ := strconv.Atoi(order[j]); return a < b })
		var out []any
		for _, k := range order {
			if sub, ok := d[k].(directory); ok {
				out = append(out, camel(sub, false))
			}
		}
		return out
	}
	out := directory{}
	for k, v := range d {
		name := k
		if !attributes {
			parts := strings.Split(k, "-")
			for i := 1; i < len(parts); i++ {
				if parts[i] != "" && !strings.Contains(k, "@") {
					parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
				}
			}
			if !strings.Contains(k, "@") {
				name = strings.Join(parts, "")
			}
		}
		if sub, ok := v.(directory); ok {
			v = camel(sub, k == "attributes")
		}
		out[name] = v
	}
	return out
}

func (m metadataServer) token() (string, string, bool) {
	in := m.in
	if in.account() == "" || in.gone {
		return "", "", false
	}
	token := "ya29.lab-" + rand.Text()
	in.lab.tokens[token] = in
	b, err := json.Marshal(map[string]any{"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
	return string(b), "application/json", err == nil
}

func (m metadataServer) tree() directory {
	in, l := m.in, m.in.lab
	attributes := directory{}
	for _, item := range list(inner(in.body, "metadata"), "items") {
		attributes[text(item, "key")] = text(item, "value")
	}
	nics := directory{}
	for i, n := range list(in.body, "networkInterfaces") {
		access := directory{}
		for j, a := range list(n, "accessConfigs") {
			access[strconv.Itoa(j)] = directory{"external-ip": text(a, "natIP"), "type": "ONE_TO_ONE_NAT"}
		}
		nics[strconv.Itoa(i)] = directory{"ip": text(n, "networkIP"), "network": "projects/" + projectNumber + "/networks/" + last(text(n, "network")), "access-configs": access}
	}
	accounts := directory{}
	for _, sa := range list(in.body, "serviceAccounts") {
		scopes, _ := sa["scopes"].([]any)
		var lines string
		for _, s := range scopes {
			lines += fmt.Sprint(s) + "\n"
		}
		a := directory{"email": text(sa, "email"), "aliases": "default\n", "scopes": lines, "token": ""}
		accounts["default"], accounts[text(sa, "email")] = a, a
	}
	s := inner(in.body, "scheduling")
	upper := func(v any) string {
		if b, _ := v.(bool); b {
			return "TRUE"
		}
		return "FALSE"
	}
	preempted, shutdown := "FALSE", "NONE"
	if in.host.preempted {
		preempted, shutdown = "TRUE", "TERMINATE_ON_HOST_MAINTENANCE"
	}
	tags, _ := json.Marshal(inner(in.body, "tags")["items"])
	return directory{
		"instance": directory{
			"attributes": attributes, "id": text(in.body, "id"), "name": in.name, "hostname": in.name + "." + in.zone + ".c." + l.o.Project + ".internal",
			"zone": "projects/" + projectNumber + "/zones/" + in.zone, "machine-type": "projects/" + projectNumber + "/machineTypes/" + last(text(in.body, "machineType")),
			"preempted": preempted, "maintenance-event": shutdown, "network-interfaces": nics, "service-accounts": accounts, "tags": string(tags), "description": text(in.body, "description"),
			"image": "", "cpu-platform": text(in.body, "cpuPlatform"),
			"scheduling": directory{"automatic-restart": upper(s["automaticRestart"]), "on-host-maintenance": text(s, "onHostMaintenance"), "preemptible": upper(s["preemptible"]),
				"provisioning-model": text(s, "provisioningModel")},
		},
		"project": directory{"project-id": l.o.Project, "numeric-project-id": projectNumber, "attributes": directory{}},
	}
}
