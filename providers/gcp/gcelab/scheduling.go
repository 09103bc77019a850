package gcelab

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkScheduling checks and fills in how an instance is scheduled.
func checkScheduling(in object, gpus bool) *apiError {
	s := inner(in, "scheduling")
	if s == nil {
		s = object{}
		in["scheduling"] = s
	}
	preemptible, _ := s["preemptible"].(bool)
	model := text(s, "provisioningModel")
	spot := preemptible || model == "SPOT"
	if spot {
		s["preemptible"] = true
		if restart, given := s["automaticRestart"].(bool); given && restart {
			return refuse(http.StatusBadRequest, "badRequest", "Scheduling must have automaticRestart be false when preemptible is true.")
		}
		if m := text(s, "onHostMaintenance"); m == "MIGRATE" {
			return refuse(http.StatusBadRequest, "badRequest", "Scheduling must have onHostMaintenance=TERMINATE when preemptible is true.")
		}
		s["automaticRestart"], s["onHostMaintenance"] = false, "TERMINATE"
	}
	if _, given := s["automaticRestart"]; !given {
		s["automaticRestart"] = true
	}
	if text(s, "onHostMaintenance") == "" {
		s["onHostMaintenance"] = "MIGRATE"
	}
	if gpus && text(s, "onHostMaintenance") != "TERMINATE" {
		return refuse(http.StatusBadRequest, "badRequest", "Instances with guest accelerators do not support live migration.")
	}
	if _, given := s["preemptible"]; !given {
		s["preemptible"] = false
	}
	if model == "" {
		s["provisioningModel"] = "STANDARD"
		if spot {
			s["provisioningModel"] = "SPOT"
		}
	}
	_, limited := runLimit(s, time.Now())
	action := text(s, "instanceTerminationAction")
	if s["maxRunDuration"] != nil {
		seconds := text(inner(s, "maxRunDuration"), "seconds")
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || n < 30 || n > 120*24*60*60 {
			return invalid("resource.scheduling.maxRunDuration", seconds, "Max run duration must be at least 30 seconds and at most 120 days.")
		}
	}
	if limited && s["maxRunDuration"] != nil && text(s, "terminationTime") != "" {
		return refuse(http.StatusBadRequest, "badRequest", "Only one of maxRunDuration and terminationTime may be specified.")
	}
	if limited && action == "" {
		return refuse(http.StatusBadRequest, "badRequest", "Instance termination action must be specified when the run time is limited.")
	}
	if action != "" && !limited && !spot {
		return refuse(http.StatusBadRequest, "badRequest", "Instance termination action is supported only for Spot VMs and VMs with a limited run time.")
	}
	if spot && action == "" {
		s["instanceTerminationAction"] = "STOP"
	}
	return nil
}

// runLimit is when an instance ends that begins to run at an instant.
func runLimit(s object, from time.Time) (time.Time, bool) {
	if at, err := time.Parse(time.RFC3339, text(s, "terminationTime")); err == nil {
		return at, true
	}
	d := inner(s, "maxRunDuration")
	if d == nil {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(text(d, "seconds"), 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	return from.Add(time.Duration(n) * time.Second), true
}

func checkMetadata(m object) *apiError {
	seen, size := map[string]bool{}, 0
	for i, item := range list(m, "items") {
		key, value := text(item, "key"), text(item, "value")
		field := fmt.Sprintf("resource.metadata.items[%d].key", i)
		if key == "" || len(key) > 128 {
			return invalid(field, key, "Metadata keys have 1 to 128 characters.")
		}
		if seen[key] {
			return invalid(field, key, "Duplicate metadata key.")
		}
		seen[key] = true
		if len(value) > 256<<10 {
			return invalid(fmt.Sprintf("resource.metadata.items[%d].value", i), "", "Value is too large: maximum size 262144 character(s); actual size %d.", len(value))
		}
		size += len(key) + len(value)
	}
	if size > 512<<10 {
		return invalid("resource.metadata", "", "Metadata size exceeded maximum size 524288 bytes; actual size %d.", size)
	}
	return nil
}

// fingerprint identifies the content of a value, as Google's do.
func fingerprint(v any) string {
	if o, ok := v.(object); ok {
		c := make(object, len(o))
		for k, e := range o {
			if k != "fingerprint" {
				c[k] = e
			}
		}
		v = c
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return base64.URLEncoding.EncodeToString(h.Sum(nil))
}

// editInstance makes the handler of a call that replaces a part of an instance whose fingerprint must fit.
func editInstance(kind, fingerprintField string, have func(object) string, check func(l *Lab, c *call, in *instance) *apiError, effect func(in *instance, body object)) handler {
	return func(l *Lab, c *call) (object, *apiError) {
		in, bad := l.instance(c)
		if bad != nil {
			return nil, bad
		}
		if op, bad := l.again(c); op != nil || bad != nil {
			return opBody(op), bad
		}
		if fingerprintField != "" {
			given := text(c.body, fingerprintField)
			if given == "" && fingerprintField == "labelFingerprint" {
				return nil, refuse(http.StatusPreconditionFailed, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed")
			}
			if given != "" && given != have(in.body) {
				return nil, refuse(http.StatusPreconditionFailed, "conditionNotMet", "Supplied fingerprint does not match current %s fingerprint.", strings.ToLower(strings.TrimPrefix(kind, "set")))
			}
		}
		if check != nil {
			if bad := check(l, c, in); bad != nil {
				return nil, bad
			}
		}
		body, _ := clone(c.body).(object)
		return l.change(c, "zones/"+in.zone, kind, in.body, func() *opError {
			if in.gone {
				return resourceGone(l, in)
			}
			effect(in, body)
			l.note(in)
			in.changed()
			return nil
		})
	}
}

func setMetadata() handler {
	return editInstance("setMetadata", "fingerprint", func(b object) string { return text(inner(b, "metadata"), "fingerprint") },
		func(_ *Lab, c *call, _ *instance) *apiError { return checkMetadata(c.body) },
		func(in *instance, body object) {
			m := object{"kind": "compute#metadata"}
			if items := body["items"]; items != nil {
				m["items"] = items
			}
			m["fingerprint"] = fingerprint(m)
			in.body["metadata"] = m
		})
}

func setLabels() handler {
	return editInstance("setLabels", "labelFingerprint", func(b object) string { return text(b, "labelFingerprint") },
		func(_ *Lab, c *call, _ *instance) *apiError {
			return checkLabels("resource.labels", inner(c.body, "labels"))
		},
		func(in *instance, body object) {
			delete(in.body, "labels")
			if body["labels"] != nil {
				in.body["labels"] = body["labels"]
			}
			in.body["labelFingerprint"] = fingerprint(body["labels"])
		})
}

func setTags() handler {
	return editInstance("setTags", "fingerprint", func(b object) string { return text(inner(b, "tags"), "fingerprint") }, nil,
		func(in *instance, body object) {
			m := object{}
			if items := body["items"]; items != nil {
				m["items"] = items
			}
			m["fingerprint"] = fingerprint(m)
			in.body["tags"] = m
		})
}

// setScheduling needs a stopped instance for all that changes when it ends, as Google documents.
func setScheduling() handler {
	return editInstance("setScheduling", "", nil,
		func(_ *Lab, c *call, in *instance) *apiError {
			now := inner(in.body, "scheduling")
			if in.status() != "TERMINATED" {
				for _, f := range []string{"maxRunDuration", "terminationTime", "provisioningModel", "instanceTerminationAction", "preemptible", "nodeAffinities"} {
					if v, given := c.body[f]; given && fingerprint(v) != fingerprint(now[f]) {
						return refuse(http.StatusBadRequest, "invalid", "Invalid value for field 'resource.%s': '%v'. It can be changed only while the instance is stopped (TERMINATED); it is %s.", f, v, in.status())
					}
				}
			}
			next := object{"scheduling": clone(c.body)}
			return checkScheduling(next, len(list(in.body, "guestAccelerators")) > 0)
		},
		func(in *instance, body object) {
			next := object{"scheduling": body}
			if bad := checkScheduling(next, false); bad == nil || bad.status == 0 {
				in.body["scheduling"] = next["scheduling"]
			}
		})
}
