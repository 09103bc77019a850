package main

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/runners"
)

// runnerScript is what the machine of a runner does.
//
//go:embed runnernode/runner.sh
var runnerScript string

// runnerSecret is the variable by which the secret of a registration comes to the machine, among the task's secrets.
const runnerSecret = "ALOFT_RUNNER_SECRET"

// runnerRun is the `run` of a runner's task, with everything filled in that is no secret.
func runnerRun(kind forge.Kind, r runnerRecord, env map[string]string, builds map[string]runnerBuild, idle time.Duration, setup string) string {
	keep := "0"
	if r.Keep {
		keep = "1"
	}
	vars := [][2]string{{"labels", strings.Join(r.Labels, ",")}}
	for name, v := range map[string]string{"ACTIONS_RUNNER_INPUT_URL": "server", "CI_SERVER_URL": "server", "ACCOUNT_UUID": "account", "REPOSITORY_UUID": "repository",
		"RUNNER_UUID": "runner", "OAUTH_CLIENT_ID": "client"} {
		if value, ok := env[name]; ok {
			vars = append(vars, [2]string{v, value})
		}
	}
	if kind == forge.Bitbucket && env["REPOSITORY_UUID"] == "" {
		vars = append(vars, [2]string{"repository", ""})
	}
	slices.SortFunc(vars, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	vars = slices.CompactFunc(vars, func(a, b [2]string) bool { return a[0] == b[0] })
	var lines []string
	for _, v := range vars {
		lines = append(lines, v[0]+"="+shellWord(v[1]))
	}
	return strings.NewReplacer("@KIND@", shellWord(string(kind)), "@NAME@", shellWord(r.Name), "@KEEP@", keep, "@IDLE@", strconv.Itoa(int(idle.Seconds())),
		"@X64_URL@", shellWord(builds["x64"].url), "@X64_SHA256@", shellWord(builds["x64"].sha256),
		"@ARM64_URL@", shellWord(builds["arm64"].url), "@ARM64_SHA256@", shellWord(builds["arm64"].sha256),
		"@ENV@", strings.Join(lines, "\n"), "@SETUP@", setup).Replace(runnerScript)
}

// shellWord is a string as one word of a shell.
func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// parseSpan reads a time as CML's users write it, of a flag. "never" gives 0 where it is allowed.
func parseSpan(flag, s string, never bool) (time.Duration, error) {
	d, err := runners.Span(s)
	if err != nil || d == 0 && !never {
		more := ""
		if never {
			more = ", or never"
		}
		return 0, usageError("%s %q: allowed: seconds as 300, or a time as 5m, 1h30m or \"5 minutes\"%s; at most 366 days", flag, s, more)
	}
	return d, nil
}
