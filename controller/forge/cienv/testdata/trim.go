//go:build ignore

// Trim makes the payloads in events of those that GitHub's community collected: the package @octokit/webhooks-examples
// 7.6.1 of npm (github.com/octokit/webhooks, MIT licence). Addresses, identifiers and prose are left out; the repository
// is called acme/model. What the package lacks is made of what it has: see below.
//
//	npm pack @octokit/webhooks-examples@7.6.1 && tar xzf octokit-webhooks-examples-7.6.1.tgz
//	go run trim.go package/api.github.com/index.json events
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strings"
)

type doc = map[string]any

func main() {
	src, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	src = bytes.ReplaceAll(src, []byte("Codertocat/Hello-World"), []byte("acme/model"))
	var all []struct {
		Name     string
		Examples []doc
	}
	if err := json.Unmarshal(src, &all); err != nil {
		log.Fatal(err)
	}
	// example is a copy of the first of a kind that fits.
	example := func(name string, fits func(doc) bool) doc {
		for _, e := range all {
			for _, x := range e.Examples {
				if e.Name == name && fits(x) {
					b, _ := json.Marshal(x)
					var out doc
					_ = json.Unmarshal(b, &out)
					return out
				}
			}
		}
		log.Fatalf("there is no such example of %s", name)
		return nil
	}
	action := func(a string) func(doc) bool { return func(x doc) bool { return x["action"] == a } }
	ref := func(r string) func(doc) bool {
		return func(x doc) bool { return x["ref"] == r && x["deleted"] == false }
	}
	first := func(doc) bool { return true }
	pulls := func(n int) func(doc) bool {
		return func(x doc) bool { return len(x["workflow_run"].(doc)["pull_requests"].([]any)) == n }
	}
	out := map[string]doc{
		"push":              example("push", ref("refs/heads/master")),
		"push_tag":          example("push", ref("refs/tags/simple-tag")),
		"pull_request":      example("pull_request", action("opened")),
		"issue_comment":     example("issue_comment", action("created")),
		"merge_group":       example("merge_group", first),
		"workflow_dispatch": example("workflow_dispatch", first),
		"release":           example("release", action("published")),
		"workflow_run":      example("workflow_run", pulls(1)),
		"workflow_run_fork": example("workflow_run", pulls(0)), // of octo-org/octo-repo, seen from acme/model
	}
	// Of a fork: the head is another repository's.
	fork := example("pull_request", action("opened"))
	fork["pull_request"].(doc)["head"].(doc)["repo"].(doc)["full_name"] = "eve/model"
	out["pull_request_fork"] = fork
	// A comment on a pull request: the issue is one, as that of an example that has a milestone.
	on := example("issue_comment", action("created"))
	on["issue"] = example("issues", action("milestoned"))["issue"]
	out["issue_comment_pull"] = on
	// A schedule is no webhook: this is what Actions writes.
	out["schedule"] = doc{"schedule": "0 3 * * *", "workflow": ".github/workflows/train.yaml", "repository": out["push"]["repository"]}
	// A run of the repository itself, of the head of its pull request.
	run := out["workflow_run"]["workflow_run"].(doc)
	out["workflow_run"]["repository"].(doc)["full_name"], run["head_repository"].(doc)["full_name"] = "acme/model", "acme/model"
	head := run["pull_requests"].([]any)[0].(doc)["head"].(doc)
	run["head_sha"], run["head_branch"] = head["sha"], head["ref"]
	out["merge_group"]["repository"].(doc)["full_name"], out["workflow_dispatch"]["repository"].(doc)["full_name"] = "acme/model", "acme/model"
	for name, d := range out {
		trim(d)
		b, err := json.MarshalIndent(d, "", " ")
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[2], name+".json"), append(b, '\n'), 0o644)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
}

// trim leaves out what nobody here would read.
func trim(v any) {
	switch v := v.(type) {
	case doc:
		for k, x := range v {
			switch {
			case strings.HasSuffix(k, "url") && k != "html_url", strings.HasPrefix(k, "node_id"), strings.HasPrefix(k, "has_"), strings.HasSuffix(k, "_count"),
				k == "_links", k == "description", k == "user", k == "sender", k == "owner", k == "license", k == "labels", k == "permissions", k == "installation",
				k == "organization", k == "assets", k == "reactions", k == "milestone", k == "commits":
				delete(v, k)
			default:
				trim(x)
			}
		}
		delete(v, "body")
	case []any:
		for _, x := range v {
			trim(x)
		}
	}
}
