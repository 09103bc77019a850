package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// yamlDocs reads the documents of a YAML text as JSON has them.
func yamlDocs(t *testing.T, text string) []any {
	t.Helper()
	var out []any
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := d.Decode(&v); err != nil {
			if err.Error() == "EOF" {
				return out
			}
			t.Fatalf("%v in\n%s", err, text)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, doc)
	}
}

func gitlabSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "schema", "gitlab-ci.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("gitlab-ci.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("gitlab-ci.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const componentFile = "../../examples/ci/gitlab-component/templates/sky.yml"

// filled is the component as GitLab includes it: the job, with inputs in their places.
func filled(t *testing.T, inputs map[string]string) (header any, job string) {
	t.Helper()
	b, err := os.ReadFile(componentFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "\n---\n")
	if !ok {
		t.Fatal("the component has no header")
	}
	var spec struct {
		Spec struct {
			Inputs map[string]struct {
				Default *any
				Regex   string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(head), &spec); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	job = regexp.MustCompile(`\$\[\[ inputs\.([a-z0-9-]+) \]\]`).ReplaceAllStringFunc(rest, func(s string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(s, "$[[ inputs."), " ]]")
		in, ok := spec.Spec.Inputs[name]
		if !ok {
			t.Errorf("the component uses an input %s that it does not declare", name)
		}
		used[name] = true
		v, given := inputs[name]
		switch {
		case given && in.Regex != "" && !regexp.MustCompile(in.Regex).MatchString(v):
			t.Errorf("the input %s does not take %q", name, v)
		case !given && in.Default == nil:
			t.Errorf("the input %s has no default", name)
		case !given:
			v = fmt.Sprint(*in.Default)
		}
		return v
	})
	for name := range spec.Spec.Inputs {
		if !used[name] {
			t.Errorf("the input %s is not used", name)
		}
	}
	if docs := yamlDocs(t, string(b)); len(docs) != 2 { // GitLab reads it before it fills it in
		t.Errorf("%d documents", len(docs))
	}
	return yamlDocs(t, head)[0], job
}

// TestGitLabSchema holds what is written for GitLab to the schema of its editor, and its scripts to bash.
func TestGitLabSchema(t *testing.T) {
	t.Parallel()
	schema := gitlabSchema(t)
	_, made, _ := skyWith(t, nil, "", "ci", "init", "--dry-run", "gitlab")
	_, given, _ := skyWith(t, nil, "", "ci", "init", "--dry-run", "gitlab", "--task", "it's $HOME.yaml", "--url", "https://x.example/sky", "--sha256", strings.Repeat("0a", 32))
	example, err := os.ReadFile("../../examples/ci/gitlab/gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	header, component := filled(t, map[string]string{"url": "https://x.example/sky", "sha256": strings.Repeat("0a", 32), "args": "--infra local"})
	if err := schema.Validate(header); err != nil {
		t.Errorf("the component's header: %v", err)
	}
	for name, text := range map[string]string{"ci init": made, "ci init, with more": given, "example": string(example), "component": component} {
		docs := yamlDocs(t, text)
		if len(docs) != 1 {
			t.Fatalf("%s: %d documents", name, len(docs))
		}
		if err := schema.Validate(docs[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		scripts := 0
		for _, job := range docs[0].(map[string]any) {
			j, _ := job.(map[string]any)
			for _, part := range []string{"before_script", "script", "after_script"} {
				lines, _ := j[part].([]any)
				for _, l := range lines {
					scripts++
					isBash(t, name, l.(string))
				}
			}
		}
		if scripts == 0 {
			t.Errorf("%s: no scripts", name)
		}
	}
	for _, bad := range []string{"train:\n  script: [a]\n  artifacts: {when: sometimes}\n", "train:\n  scripts: [a]\n", "train:\n  script: [a]\n  interruptible: maybe\n"} {
		if schema.Validate(yamlDocs(t, bad)[0]) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func isBash(t *testing.T, name, line string) {
	t.Helper()
	if out, err := exec.Command("bash", "-n", "-c", line).CombinedOutput(); err != nil {
		t.Errorf("%s: %q: %v: %s", name, line, err, out)
	}
}

// bitbucketKeys are the keys that Atlassian's reference of bitbucket-pipelines.yml has, by where they are.
var bitbucketKeys = map[string][]string{
	"": {"image", "options", "clone", "definitions", "pipelines", "export", "triggers"}, "definitions": {"services", "caches", "steps", "pipelines"},
	"pipelines": {"default", "branches", "tags", "bookmarks", "pull-requests", "custom"},
	"step": {"name", "image", "script", "after-script", "max-time", "size", "artifacts", "caches", "services", "deployment", "trigger", "clone", "oidc", "runs-on", "condition", "output-variables",
		"fail-fast", "runtime", "on-fail"},
	"item": {"step", "parallel", "stage", "variables"},
}

// bitbucketBreaks are the breaks of the rules of bitbucket-pipelines.yml.
func bitbucketBreaks(doc any) (breaks []string, steps []map[string]any) {
	say := func(format string, args ...any) { breaks = append(breaks, fmt.Sprintf(format, args...)) }
	object := func(v any, where string) map[string]any {
		m, ok := v.(map[string]any)
		if !ok {
			say("%s is no object", where)
		}
		for k := range m {
			if keys := bitbucketKeys[where]; keys != nil && !slices.Contains(keys, k) {
				say("%s has a key %s", where, k)
			}
		}
		return m
	}
	step := func(v any) {
		m := object(v, "step")
		steps = append(steps, m)
		if list, ok := m["script"].([]any); !ok || len(list) == 0 {
			say("a step without a script")
		}
		if most, ok := m["max-time"]; ok {
			if n, err := most.(json.Number).Int64(); err != nil || n < 1 || n > 720 {
				say("max-time %v", most)
			}
		}
		for _, part := range []string{"script", "after-script", "artifacts", "caches", "services"} {
			list, _ := m[part].([]any)
			for _, l := range list {
				if _, ok := l.(string); !ok {
					say("%s holds %v", part, l)
				}
			}
		}
	}
	items := func(v any, where string) {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			say("%s is no list of steps", where)
		}
		for _, i := range list {
			m := object(i, "item")
			if s, ok := m["step"]; ok {
				step(s)
			}
		}
	}
	top := object(doc, "")
	pipelines := object(top["pipelines"], "pipelines")
	if len(pipelines) == 0 {
		say("there are no pipelines")
	}
	for kind, v := range pipelines {
		if kind == "default" {
			items(v, kind)
			continue
		}
		for pattern, list := range object(v, kind) {
			items(list, kind+" "+pattern)
		}
	}
	if d, ok := top["definitions"]; ok {
		object(d, "definitions")
	}
	return breaks, steps
}

// TestBitbucketRules holds what is written for Bitbucket to rules of its reference, as there is no schema to be had.
func TestBitbucketRules(t *testing.T) {
	t.Parallel()
	_, made, _ := skyWith(t, nil, "", "ci", "init", "--dry-run", "bitbucket")
	example, err := os.ReadFile("../../examples/ci/bitbucket/bitbucket-pipelines.yml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"ci init": made, "example": string(example)} {
		breaks, steps := bitbucketBreaks(yamlDocs(t, text)[0])
		for _, b := range breaks {
			t.Errorf("%s: %s", name, b)
		}
		if len(steps) == 0 {
			t.Errorf("%s: no steps", name)
		}
		for _, s := range steps {
			for _, part := range []string{"script", "after-script"} {
				list, _ := s[part].([]any)
				for _, l := range list {
					isBash(t, name, l.(string))
				}
			}
		}
	}
	for _, bad := range []string{"pipelines: {}\n", "pipelines:\n  default:\n    - step: {scripts: [a]}\n", "pipelines:\n  branch: {main: [step: {script: [a]}]}\n", "image: a\n"} {
		if breaks, _ := bitbucketBreaks(yamlDocs(t, bad)[0]); len(breaks) == 0 {
			t.Errorf("%q passes", bad)
		}
	}
}
