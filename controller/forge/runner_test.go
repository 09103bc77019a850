package forge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

func kinds() []forge.Kind { return []forge.Kind{forge.GitHub, forge.GitLab, forge.Bitbucket} }

// TestRunner follows a runner from its registration to its end, on every forge, of a repository and of an owner.
func TestRunner(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		for _, owner := range []string{"", "acme"} {
			t.Run(string(kind)+"/"+owner, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &forgetest.Server{Kind: kind, RunnerPage: 2}
					c, stop := client(t, s)
					defer stop()
					h := c.(forge.RunnerHost)
					ctx := context.Background()
					for i := range 4 {
						s.AddRunner(forgetest.Runner{Name: fmt.Sprintf("other-%d", i), Owner: owner, Labels: []string{"big"}, Online: true})
					}
					reg, err := h.Register(ctx, forge.RunnerSpec{Name: "mine", Labels: []string{"gpu", "x64"}, Owner: owner})
					if err != nil || reg.Runner.ID == "" || len(reg.Secrets) != 1 {
						t.Fatalf("%+v, %v", reg.Runner, err)
					}
					for k, v := range reg.Secrets {
						if _, ok := s.Connect(v); !ok {
							t.Errorf("the server does not know the secret %s", k)
						}
						if strings.Contains(v, "tok-secret") {
							t.Errorf("%s holds the token", k)
						}
					}
					list, err := h.Runners(ctx, owner)
					if err != nil || len(list) != 5 || list[4].Name != "mine" || !list[4].Online {
						t.Fatalf("%+v, %v", list, err)
					}
					one, err := h.Runner(ctx, owner, reg.Runner.ID)
					if err != nil || !one.Online || one.Busy || !one.Has([]string{"GPU"}) || one.Has([]string{"gpu", "small"}) {
						t.Fatalf("%+v, %v", one, err)
					}
					s.Start("mine", "900")
					if one, err = h.Runner(ctx, owner, reg.Runner.ID); err != nil || one.Busy != h.RunnerBusyKnown() {
						t.Errorf("with a job: %+v, %v", one, err)
					}
					run, err := h.RunnerRun(ctx, one)
					if want := map[bool]string{true: "900", false: ""}[h.RunnerBusyKnown()]; err != nil || run != want {
						t.Errorf("it has a job of run %q, %v", run, err)
					}
					var e *forge.Error
					if err := h.RemoveRunner(ctx, owner, reg.Runner.ID); !errors.As(err, &e) || e.Reason != forge.Busy {
						t.Errorf("a busy one was removed: %v", err)
					}
					s.Disconnect("mine")
					if run, err := h.RunnerRun(ctx, one); err != nil || run != "" {
						t.Errorf("after its end it has a job of run %q, %v", run, err)
					}
					for range 2 { // twice is as once
						if err := h.RemoveRunner(ctx, owner, reg.Runner.ID); err != nil {
							t.Error(err)
						}
					}
					if _, err := h.Runner(ctx, owner, reg.Runner.ID); !errors.As(err, &e) || e.Reason != forge.NotFound {
						t.Errorf("it is still there: %v", err)
					}
				})
			})
		}
	}
}

// TestRunnerName: GitHub has each name once.
func TestRunnerName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub}
		c, stop := client(t, s)
		defer stop()
		h := c.(forge.RunnerHost)
		s.AddRunner(forgetest.Runner{Name: "mine"})
		_, err := h.Register(context.Background(), forge.RunnerSpec{Name: "mine", Labels: []string{"gpu"}})
		var e *forge.Error
		if !errors.As(err, &e) || e.Status != 409 || e.Unsure {
			t.Errorf("%v", err)
		}
		reg, err := h.Register(context.Background(), forge.RunnerSpec{Name: "kept", Labels: []string{"gpu"}, Keep: true})
		if err != nil || reg.Env["ACTIONS_RUNNER_INPUT_URL"] != "http://forge.example/acme/model" || reg.Secrets["ACTIONS_RUNNER_INPUT_TOKEN"] == "" {
			t.Errorf("%+v, %v", reg, err)
		}
	})
}

// TestPullMaker opens a pull request, finds it again among many, and has it merged.
func TestPullMaker(t *testing.T) {
	t.Parallel()
	want := map[forge.Kind]map[forge.MergeMethod]string{
		forge.GitHub:    {forge.MergeCommit: "auto MERGE", forge.MergeSquash: "auto SQUASH", forge.MergeRebase: "auto REBASE"},
		forge.GitLab:    {forge.MergeCommit: "when checked", forge.MergeSquash: "when checked, squashed", forge.MergeRebase: ""},
		forge.Bitbucket: {forge.MergeCommit: "merge_commit", forge.MergeSquash: "squash", forge.MergeRebase: "rebase_merge"},
		forge.Gitea:     {forge.MergeCommit: "merge when checked", forge.MergeSquash: "squash when checked", forge.MergeRebase: "rebase when checked"},
	}
	for _, kind := range forge.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &forgetest.Server{Kind: kind}
				for i := range 40 {
					s.Pulls = append(s.Pulls, forgetest.Pull{Number: 100 + i, Branch: fmt.Sprintf("other-%d", i), Owner: "acme", SHA: "cccccccccc"})
				}
				s.Pulls[39] = forgetest.Pull{Number: 139, Branch: "main-cml-pr-01234567", Owner: "eve", SHA: "dddddddddd"} // a fork's branch of the same name
				c, stop := client(t, s)
				defer stop()
				m, ctx := c.(forge.PullMaker), context.Background()
				if _, found, err := m.PullOf(ctx, "main-cml-pr-01234567"); found || err != nil {
					t.Fatalf("found %v, %v", found, err)
				}
				in := forge.Proposal{Head: "main-cml-pr-01234567", Base: "main", Title: "T", Body: "B"}
				made, err := m.OpenPull(ctx, in)
				if err != nil || made.Number == 0 || made.URL == "" {
					t.Fatalf("%+v, %v", made, err)
				}
				found, ok, err := m.PullOf(ctx, in.Head)
				if err != nil || !ok || found.Number != made.Number || found.URL != made.URL {
					t.Fatalf("%+v %v, %v", found, ok, err)
				}
				if _, err := m.OpenPull(ctx, in); kind != forge.Bitbucket && err == nil {
					t.Error("it was opened twice")
				}
				for how, result := range want[kind] {
					now, err := m.MergePull(ctx, found, how)
					list := s.Pulled()
					got := list[40].Merge
					if result == "" && err == nil || result != "" && (err != nil || got != result || now != (kind == forge.Bitbucket)) {
						t.Errorf("%s: %q, %v, %v", how, got, now, err)
					}
				}
				if kind == forge.GitHub {
					s.NotMerging = true
					now, err := m.MergePull(ctx, found, forge.MergeSquash)
					if list := s.Pulled(); !now || err != nil || list[40].Merge != "squash" {
						t.Errorf("a branch that waits for nothing: %q, %v, %v", list[40].Merge, now, err)
					}
				}
			})
		})
	}
}

// TestRunnerProgram: GitHub tells which program its runners need, and GitLab its version.
func TestRunnerProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		want := []forge.RunnerProgram{{OS: "linux", Arch: "x64", URL: "https://example.com/r.tar.gz", SHA256: strings.Repeat("ab", 32)}, {OS: "linux", Arch: "arm64", URL: "https://example.com/a.tar.gz"}}
		s := &forgetest.Server{Kind: forge.GitHub, Programs: want}
		c, stop := client(t, s)
		defer stop()
		for _, owner := range []string{"", "acme"} {
			if got, err := c.(forge.RunnerPrograms).RunnerPrograms(context.Background(), owner); err != nil || !slices.Equal(got, want) {
				t.Errorf("of %q: %+v, %v", owner, got, err)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitLab}
		c, stop := client(t, s)
		defer stop()
		if v, err := c.(forge.ServerVersion).ServerVersion(context.Background()); err != nil || v != "17.5.1" {
			t.Errorf("%q, %v", v, err)
		}
	})
}
