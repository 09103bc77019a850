//go:build ignore

// Trim makes github.json out of GitHub's OpenAPI description: the paths that are called, and what they refer to, without
// examples and prose.
//
//	npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
//	go run trim.go package/generated/api.github.com.json >github.json
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"
)

var keep = map[string][]string{
	"/user": {"get"},
	"/repos/{owner}/{repo}/issues/{issue_number}/comments":          {"get", "post"},
	"/repos/{owner}/{repo}/issues/comments/{comment_id}":            {"patch", "delete"},
	"/repos/{owner}/{repo}/commits/{commit_sha}/comments":           {"get", "post"},
	"/repos/{owner}/{repo}/comments/{comment_id}":                   {"patch", "delete"},
	"/repos/{owner}/{repo}/pulls":                                   {"get", "post"},
	"/repos/{owner}/{repo}/pulls/{pull_number}":                     {"get"},
	"/repos/{owner}/{repo}/commits/{commit_sha}/pulls":              {"get"},
	"/repos/{owner}/{repo}/statuses/{sha}":                          {"post"},
	"/repos/{owner}/{repo}/check-runs":                              {"post"},
	"/repos/{owner}/{repo}/check-runs/{check_run_id}":               {"patch"},
	"/repos/{owner}/{repo}/commits/{ref}/check-runs":                {"get"},
	"/repos/{owner}/{repo}/code-scanning/sarifs":                    {"post"},
	"/repos/{owner}/{repo}/code-scanning/sarifs/{sarif_id}":         {"get"},
	"/repos/{owner}/{repo}/git/blobs":                               {"post"},
	"/repos/{owner}/{repo}/git/trees":                               {"post"},
	"/repos/{owner}/{repo}/git/commits":                             {"post"},
	"/repos/{owner}/{repo}/git/commits/{commit_sha}":                {"get"},
	"/repos/{owner}/{repo}/git/ref/{ref}":                           {"get"},
	"/repos/{owner}/{repo}/git/refs":                                {"post"},
	"/repos/{owner}/{repo}/git/refs/{ref}":                          {"patch"},
	"/repos/{owner}/{repo}/contents/{path}":                         {"get"},
	"/repos/{owner}/{repo}/actions/runners":                         {"get"},
	"/repos/{owner}/{repo}/actions/runners/{runner_id}":             {"get", "delete"},
	"/repos/{owner}/{repo}/actions/runners/generate-jitconfig":      {"post"},
	"/repos/{owner}/{repo}/actions/runners/registration-token":      {"post"},
	"/repos/{owner}/{repo}/actions/runners/downloads":               {"get"},
	"/orgs/{org}/actions/runners/downloads":                         {"get"},
	"/orgs/{org}/actions/runners":                                   {"get"},
	"/orgs/{org}/actions/runners/{runner_id}":                       {"get", "delete"},
	"/orgs/{org}/actions/runners/generate-jitconfig":                {"post"},
	"/orgs/{org}/actions/runners/registration-token":                {"post"},
	"/repos/{owner}/{repo}/actions/runs":                            {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/jobs":              {"get"},
	"/repos/{owner}/{repo}/pulls/{pull_number}/merge":               {"put"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}":                   {"get"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/rerun":             {"post"},
	"/repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs": {"post"},
}

func main() {
	src, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(src, &doc); err != nil {
		log.Fatal(err)
	}
	paths := map[string]any{}
	for p, methods := range keep {
		item, ok := doc["paths"].(map[string]any)[p].(map[string]any)
		if !ok {
			log.Fatalf("there is no path %s", p)
		}
		out := map[string]any{}
		for _, m := range methods {
			if out[m] = item[m]; out[m] == nil {
				log.Fatalf("there is no %s of %s", m, p)
			}
		}
		paths[p] = out
	}
	clean(paths)
	components := map[string]any{}
	for todo := refs(paths, nil); len(todo) > 0; {
		ref := todo[0]
		todo = todo[1:]
		parts := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
		group, _ := components[parts[0]].(map[string]any)
		if group == nil {
			group = map[string]any{}
			components[parts[0]] = group
		}
		if group[parts[1]] != nil {
			continue
		}
		v := doc["components"].(map[string]any)[parts[0]].(map[string]any)[parts[1]]
		clean(v)
		if parts[0] == "responses" {
			v.(map[string]any)["description"] = "-"
		}
		group[parts[1]] = v
		todo = refs(v, todo)
	}
	info := doc["info"].(map[string]any)
	out, err := json.Marshal(map[string]any{
		"openapi": doc["openapi"], "info": map[string]any{"title": info["title"], "version": info["version"], "license": info["license"],
			"description": "Trimmed from @octokit/openapi 23.0.2 (MIT)."},
		"servers": doc["servers"], "paths": paths, "components": components,
	})
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(append(out, '\n'))
}

// clean removes examples and prose, but not properties of these names.
func clean(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"example", "examples", "description", "summary", "externalDocs", "x-github", "tags", "operationId", "title"} {
			switch x := v[k].(type) {
			case string, []any:
				delete(v, k)
			case map[string]any:
				if _, schema := x["type"]; !schema && x["$ref"] == nil && x["oneOf"] == nil && x["anyOf"] == nil && x["allOf"] == nil {
					delete(v, k)
				}
			}
		}
		if v["content"] != nil && v["headers"] != nil {
			delete(v, "headers")
		}
		if codes, ok := v["responses"].(map[string]any); ok {
			for _, x := range codes {
				if resp, ok := x.(map[string]any); ok && resp["$ref"] == nil {
					defer func() { resp["description"] = "-" }() // one is wanted
				}
			}
		}
		for _, x := range v {
			clean(x)
		}
	case []any:
		for _, x := range v {
			clean(x)
		}
	}
}

func refs(v any, out []string) []string {
	switch v := v.(type) {
	case map[string]any:
		if r, ok := v["$ref"].(string); ok {
			out = append(out, r)
		}
		for _, x := range v {
			out = refs(x, out)
		}
	case []any:
		for _, x := range v {
			out = refs(x, out)
		}
	}
	return out
}
