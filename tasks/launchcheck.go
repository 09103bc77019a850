package tasks

import (
	"fmt"
	"sort"
	"strings"
)

// CheckLaunch returns what would make a launch of the task fail although the
// file itself is well formed: rules that need neither a catalogue nor a file
// system. SkyPilot applies them after parsing; so do we. Every entry is an
// error; Parse reports the same ones as warnings.
func (t *Task) CheckLaunch() Diagnostics {
	var ds Diagnostics
	add := func(field, message, allowed, suggestion string) {
		ds = append(ds, t.Diagnose(SeverityError, field, message, allowed, suggestion))
	}
	if t.Name != "" {
		if err := ValidTaskName(t.Name); err != nil {
			add("name", err.Error(), "", "")
		}
	}
	t.checkMounts(add)
	t.checkStorage(add)
	t.checkDockerLogin(add)
	for i := range t.Resources.Alternatives {
		r := &t.Resources.Alternatives[i]
		at := func(name string) string { return t.alternativeField(i, name) }
		r.checkLabels(at("labels"), add)
		r.checkImage(at("image_id"), add)
		if j := r.JobRecovery; j != nil {
			known := []string{"FAILOVER", "EAGER_NEXT_REGION"}
			if j.Strategy != "" && !isChoice(j.Strategy, known, false) {
				add(at("job_recovery"), quote(j.Strategy)+" is not a recovery strategy", strings.Join(known, ", "), didYouMean(j.Strategy, known))
			}
			for _, code := range j.RecoverOnExitCodes {
				if code == 137 {
					add(at("job_recovery"), "the exit code 137 cannot be recovered: ranks stopped by the failure of another one end with it", "0 to 255 except 137", "")
				}
			}
		}
	}
	return ds.sorted()
}

// alternativeField is where alternative i wrote a resources key.
func (t *Task) alternativeField(i int, name string) string {
	for _, key := range []string{"any_of", "ordered"} {
		if f := fmt.Sprintf("resources.%s[%d].%s", key, i, name); t.written(f) {
			return f
		}
	}
	return "resources." + name
}

func (t *Task) written(field string) bool {
	_, ok := t.positions[field]
	return ok
}

// noteLaunchProblems adds CheckLaunch's findings to the report as warnings.
func (c *checker) noteLaunchProblems(t *Task) {
	for _, d := range t.CheckLaunch() {
		d.Severity = SeverityWarning
		d.Message = "a launch will refuse this: " + d.Message
		if len(c.diags) < maxDiagnostics {
			c.diags = append(c.diags, d)
		}
	}
}

type addFunc func(field, message, allowed, suggestion string)

func (t *Task) checkMounts(add addFunc) {
	dst := func(d string) string { return join("file_mounts", t.show(d)) }
	var all []string
	for _, m := range t.FileMounts {
		all = append(all, m.Dst)
		if len(m.Src) > 1 && strings.HasSuffix(m.Src, "/") && !IsURI(m.Src) {
			add(dst(m.Dst), fmt.Sprintf("the source %s ends with a slash", quote(t.show(m.Src))), "", "remove the slash")
		}
	}
	for _, m := range t.StorageMounts {
		all = append(all, m.Dst)
	}
	sort.Strings(all)
	for _, d := range all {
		switch {
		case IsBucketURI(d):
			add(dst(d), fmt.Sprintf("the destination %s is a bucket", quote(t.show(d))), "a path on the node", "swap the two sides if the bucket is the source")
		case len(d) > 1 && strings.HasSuffix(d, "/"):
			add(dst(d), fmt.Sprintf("the destination %s ends with a slash", quote(t.show(d))), "", "remove the slash")
		case t.Workdir.Set() && strings.TrimRight(d, "/") == "~/sky_workdir":
			add(dst(d), "~/sky_workdir is where the workdir goes", "another directory, or one below it", "")
		}
	}
	for _, v := range t.Volumes {
		if !strings.HasPrefix(v.MountPath, "/") && !strings.HasPrefix(v.MountPath, "~") {
			add(join("volumes", t.show(v.MountPath)), fmt.Sprintf("the mount path %s is not absolute", quote(t.show(v.MountPath))), "a path that starts with / or ~", "")
		}
	}
}

func (t *Task) checkStorage(add addFunc) {
	for _, m := range t.StorageMounts {
		at := join("file_mounts", t.show(m.Dst))
		uri := len(m.Sources) == 1 && !m.SourceIsList && IsURI(m.Sources[0])
		switch {
		case IsURI(m.Name):
			add(join(at, "name"), fmt.Sprintf("the bucket name %s has a scheme", quote(t.show(m.Name))), "a bare name", "move the URI to source")
		case m.Name == "" && len(m.Sources) == 0:
			add(at, "the storage has neither a name nor a source", "name, source, or both", "")
		case m.Name != "" && uri:
			add(at, "the storage has both a name and a bucket as source", "one of the two", "remove name")
		case m.Name == "" && len(m.Sources) > 0 && !uri:
			add(at, "a local source needs a bucket name", "", "add name")
		case m.Mode == "COPY" && len(m.Sources) == 0:
			add(at, "the mode COPY needs a source", "", "add source, or use MOUNT")
		}
	}
}

func (t *Task) checkDockerLogin(add addFunc) {
	names := []string{"SKYPILOT_DOCKER_USERNAME", "SKYPILOT_DOCKER_PASSWORD", "SKYPILOT_DOCKER_SERVER"}
	var inEnvs, inSecrets int
	for _, n := range names {
		if _, ok := t.Envs[n]; ok {
			inEnvs++
		}
		if _, ok := t.Secrets[n]; ok {
			inSecrets++
		}
	}
	if (inEnvs > 0 && inEnvs < len(names)) || (inSecrets > 0 && inSecrets < len(names)) {
		field := "envs"
		if inSecrets > 0 {
			field = "secrets"
		}
		add(field, "a registry login needs all of "+strings.Join(names, ", ")+" in one section", "all three in envs, or all three in secrets", "")
	}
}

var (
	reGCPKey   = newPattern(`^[a-z][a-z0-9_-]{0,62}$`)
	reGCPValue = newPattern(`^[a-z0-9_-]{0,63}$`)
	reAWSText  = newPattern(`^[\p{L}\p{N}_.:/=+@-]*$`)
	reK8sName  = newPattern(`^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)$`)
	reK8sHost  = newPattern(`^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// labelRules say what is wrong with a label on a cloud, or "".
var labelRules = map[string]func(k, v string) string{
	"aws": func(k, v string) string {
		switch {
		case k == "" || len(k) > 128 || strings.HasPrefix(k, "aws:") || !reAWSText.MatchString(k):
			return "the key must not start with aws: and is 1 to 128 letters, digits and _.:/=+@-"
		case len(v) > 256:
			return "the value has at most 256 characters"
		}
		return ""
	},
	"gcp": func(k, v string) string {
		switch {
		case !reGCPKey.MatchString(k):
			return "the key starts with a lower-case letter and has at most 63 lower-case letters, digits, - and _"
		case !reGCPValue.MatchString(v):
			return "the value has at most 63 lower-case letters, digits, - and _"
		}
		return ""
	},
	"kubernetes": func(k, v string) string {
		host, name, ok := strings.Cut(k, "/")
		if !ok {
			host, name = "", k
		}
		switch {
		case !reK8sName.MatchString(name) || (ok && !reK8sHost.MatchString(host)):
			return "the key is an optional host name and a slash, then at most 63 letters, digits, -, _ and ."
		case v != "" && !reK8sName.MatchString(v):
			return "the value has at most 63 letters, digits, -, _ and ."
		}
		return ""
	},
}

// checkLabels checks labels against the cloud, or, when none is named, whether
// any of the known rules admits them.
func (r *Resources) checkLabels(at string, add addFunc) {
	for _, k := range sortedKeys(r.Labels) {
		v := r.Labels[k]
		if rule, ok := labelRules[r.Infra.Cloud]; ok {
			if problem := rule(k, v); problem != "" {
				add(join(at, k), fmt.Sprintf("the label %s is not valid on %s: %s", quote(k+"="+v), r.Infra.DisplayCloud(), problem), "", "")
			}
			continue
		}
		if r.Infra.Cloud != "" {
			continue
		}
		admitted := false
		for _, rule := range labelRules {
			admitted = admitted || rule(k, v) == ""
		}
		if !admitted {
			add(join(at, k), fmt.Sprintf("the label %s is not valid on any cloud", quote(k+"="+v)), "letters, digits, -, _ and .", "")
		}
	}
}

func (r *Resources) checkImage(at string, add addFunc) {
	if len(r.ImageID) == 0 {
		return
	}
	for _, region := range sortedKeys(r.ImageID) {
		img := r.ImageID[region]
		container := strings.HasPrefix(img, dockerPrefix) && region == r.Infra.Region
		switch {
		case container:
		case r.Infra.Cloud == "":
			add(at, fmt.Sprintf("the image %s needs a cloud", quote(img)), "", "name the cloud in infra, or write docker:IMAGE for a container")
			return
		case r.Infra.Cloud == "aws" && region == "" && strings.HasPrefix(img, "ami-"):
			add(at, fmt.Sprintf("the image %s exists in one region only", quote(img)), "", "name the region in infra, or write a map of region to image")
			return
		}
	}
	_, any := r.ImageID[""]
	if _, here := r.ImageID[r.Infra.Region]; r.Infra.Region != "" && !any && !here {
		add(at, fmt.Sprintf("there is no image for the region %s", r.Infra.Region), strings.Join(sortedKeys(r.ImageID), ", "), "")
	}
}
