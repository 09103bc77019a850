package ec2lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spotReason is the state reason of an instance that Amazon took back.
const spotReason = "Server.SpotInstanceTermination"

// notice is the warning that a spot instance gets.
type notice struct {
	Action string    `json:"action"`
	Time   time.Time `json:"time"`
}

// Notice gives a spot instance the warning that it will be taken back in a while, at spot/instance-action of its metadata.
func (l *Lab) Notice(id string, in time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.instances[id]; r != nil {
		r.notice = &notice{"terminate", time.Now().Add(in).UTC().Truncate(time.Second)}
	}
}

// Interrupt warns a spot instance and takes it back when the time is over: two minutes at Amazon.
func (l *Lab) Interrupt(id string, in time.Duration) {
	l.Notice(id, in)
	l.spawn(in, func(context.Context) { l.End(id, spotReason) })
}

// Metadata is the instance metadata service of an instance, version 2 (and 1 where HttpTokens is optional). With Hosts it is
// at http://169.254.169.254 on the host.
func (l *Lab) Metadata(id string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.imds(w, r, id) })
}

func (l *Lab) imds(w http.ResponseWriter, r *http.Request, id string) {
	l.mu.Lock()
	rec := l.instances[id]
	if rec == nil {
		l.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
		return
	}
	i, note := rec.cur, rec.notice
	l.mu.Unlock()
	if i.HTTPEndpoint == "disabled" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	now := time.Now()
	if r.URL.Path == "/latest/api/token" {
		l.imdsToken(w, r, rec, now)
		return
	}
	token := r.Header.Get("X-aws-ec2-metadata-token")
	l.mu.Lock()
	until, ok := rec.tokens[token]
	l.mu.Unlock()
	if (token != "" || i.HTTPTokens == "required") && (!ok || now.After(until)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	path := strings.Trim(r.URL.Path, "/")
	version, path, _ := strings.Cut(path, "/")
	if version != "latest" && version != "2021-03-23" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if path == "user-data" {
		if len(i.UserData) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(i.UserData)
		return
	}
	leaves := l.leaves(i, note)
	if v, ok := leaves[path]; ok {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(v))
		return
	}
	// A directory lists what is in it.
	seen := map[string]bool{}
	prefix := path + "/"
	if path == "" {
		prefix = ""
	}
	for name := range leaves {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			first, _, more := strings.Cut(rest, "/")
			if more {
				first += "/"
			}
			seen[first] = true
		}
	}
	if len(seen) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = fmt.Fprint(w, strings.Join(slices.Sorted(maps.Keys(seen)), "\n"))
}

// imdsToken opens a session: PUT, with its life in seconds.
func (l *Lab) imdsToken(w http.ResponseWriter, r *http.Request, rec *record, now time.Time) {
	const life = "X-aws-ec2-metadata-token-ttl-seconds"
	if r.Method != http.MethodPut || r.Header.Get("X-Forwarded-For") != "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	n, err := strconv.Atoi(r.Header.Get(life))
	if err != nil || n < 1 || n > 21600 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	token := newID("token") + newID("")
	l.mu.Lock()
	rec.tokens[token] = now.Add(time.Duration(n) * time.Second)
	l.mu.Unlock()
	w.Header().Set(life, strconv.Itoa(n))
	_, _ = w.Write([]byte(token))
}

// leaves are the values of the metadata service below /latest/.
func (l *Lab) leaves(i Instance, note *notice) map[string]string {
	life := "on-demand"
	if i.Spot {
		life = "spot"
	}
	m := map[string]string{
		"meta-data/ami-id": i.Image, "meta-data/ami-launch-index": "0", "meta-data/instance-id": i.ID, "meta-data/instance-type": i.Type,
		"meta-data/instance-life-cycle": life, "meta-data/reservation-id": i.reservation, "meta-data/local-ipv4": i.PrivateIP,
		"meta-data/placement/availability-zone": i.Zone, "meta-data/placement/region": i.Region, "meta-data/security-groups": strings.Join(i.Groups, "\n"),
		"meta-data/local-hostname": "ip-" + dashes(i.PrivateIP) + "." + i.Region + ".compute.internal",
	}
	if i.PublicIP != "" {
		m["meta-data/public-ipv4"] = i.PublicIP
	}
	if i.Placement != "" {
		m["meta-data/placement/group-name"] = i.Placement
	}
	if i.publicKey != "" {
		m["meta-data/public-keys/0/openssh-key"] = i.publicKey
	}
	if note != nil {
		if b, err := json.Marshal(note); err == nil {
			m["meta-data/spot/instance-action"] = string(b)
			m["meta-data/spot/termination-time"] = note.Time.Format(time.RFC3339)
		}
	}
	if i.TagsInMetadata {
		for k, v := range i.Tags {
			m["meta-data/tags/instance/"+k] = v
		}
	}
	b, err := json.Marshal(map[string]string{
		"accountId": l.account, "architecture": i.Arch, "availabilityZone": i.Zone, "imageId": i.Image, "instanceId": i.ID, "instanceType": i.Type,
		"privateIp": i.PrivateIP, "region": i.Region, "version": "2017-09-30",
	})
	if err == nil {
		m["dynamic/instance-identity/document"] = string(b)
	}
	return m
}
