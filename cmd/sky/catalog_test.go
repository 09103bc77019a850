package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sky runs a command line in this process.
func sky(t *testing.T, home string, env map[string]string, args ...string) (int, string, string) {
	t.Helper()
	var out, errOut bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, errOut: &errOut, home: home, width: 120,
		getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(t.Context())
	return a.report(cmd, args, err), out.String(), errOut.String()
}

// wants checks the end of a command, and that both streams hold what they should ("!x" = they must not).
func wants(t *testing.T, code, wantCode int, out, errOut string, words ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit %d, want %d\n%s%s", code, wantCode, out, errOut)
	}
	for _, w := range words {
		not, is := strings.CutPrefix(w, "!")
		if strings.Contains(out+errOut, not) == is {
			t.Errorf("%q: wrong in\n%s%s", w, out, errOut)
		}
	}
}

func TestCatalogCommands(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.StripPrefix("/v8", http.FileServer(http.Dir(filepath.Join("testdata", "optimizer", "catalog")))))
	t.Cleanup(srv.Close)
	home := t.TempDir()
	env := map[string]string{catalogURLEnv: srv.URL + "/v8"}
	run := func(wantCode int, args []string, words ...string) string {
		t.Helper()
		code, out, errOut := sky(t, home, env, args...)
		wants(t, code, wantCode, out, errOut, words...)
		return out
	}
	run(exitOK, []string{"catalog", "list"}, "built in", "2021 (old)", "New ones: sky catalog update")
	// Without prices nothing is made up: what is built in says so.
	run(exitOK, []string{"launch", "--dryrun", "--clouds", "aws,gcp", "--gpus", "V100"}, "AWS (us-west-2)", "3.06", "n1-highmem-8   8       52        V100:1   -  ",
		"AWS: prices are built in and old, of 2021. Run `sky catalog update aws`.", "GCP: from the built-in catalogue, which has machines but no prices.", "A cost of - is not known")
	run(exitOK, []string{"launch", "--dryrun", "--clouds", "aws", "--gpus", "H100:8", "-o", "json"}, `"hourly_cost": null`, "not known", "!NaN")
	run(exitOK, []string{"catalog", "update"}, "aws/vms.csv: new, 1829 rows", "gcp/vms.csv: new, 1167 rows", "aws/images.csv: new", "!az_mappings")
	run(exitOK, []string{"catalog", "update"}, "aws/vms.csv: unchanged", "!new")
	run(exitOK, []string{"launch", "--dryrun", "--clouds", "aws,gcp", "--gpus", "V100"}, "GCP (us-central1-a)", "2.95", "!old", "!not known")
	var list struct {
		Catalogs []struct {
			Cloud string `json:"cloud"`
			Rows  int    `json:"rows"`
			Old   bool   `json:"old"`
			From  string `json:"from"`
		} `json:"catalogs"`
	}
	if err := json.Unmarshal([]byte(run(exitOK, []string{"catalog", "list", "-o", "json"})), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Catalogs) != 2 || list.Catalogs[0].Rows != 1829 || list.Catalogs[0].Old || list.Catalogs[0].From != srv.URL+"/v8/aws/vms.csv" {
		t.Errorf("%+v", list)
	}
	// A file of the user's own is dated by when it was changed, named when rows are bad, and never replaced unasked.
	path := filepath.Join(home, "catalog", "aws", "vms.csv")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("m6i.huge,,,many,32,,0.1,,us-east-1,use1-az1,,,,,\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	run(exitOK, []string{"launch", "--dryrun", "--clouds", "aws", "--gpus", "V100"}, path+":1831: vCPUs \"many\" is not a number",
		"AWS: prices are old, of "+old.Format(time.DateOnly)+" (8 days). Run `sky catalog update aws`.")
	run(exitOK, []string{"catalog", "update", "aws"}, "aws/vms.csv: kept", "aws/images.csv: unchanged")
	run(exitOK, []string{"catalog", "update", "aws", "--force"}, "aws/vms.csv: new, 1829 rows")
	run(exitFailure, []string{"catalog", "update", "nosuchcloud"}, "/v8/nosuchcloud/vms.csv: the server answers 404", "what was here before is still used")
	run(exitUsage, []string{"catalog", "update", "--url", "ftp://x"}, "is no http or https URL")
	run(exitUsage, []string{"catalog", "update", "../x"}, "is no name of a cloud")
}

// TestDryrunRefuses wants a reason for what cannot be.
func TestDryrunRefuses(t *testing.T) {
	t.Parallel()
	home, catalog := t.TempDir(), filepath.Join("testdata", "optimizer", "catalog")
	for _, x := range []struct {
		args  []string
		code  int
		words []string
	}{
		{[]string{"launch", "--clouds", "aws"}, exitUsage, []string{"are for --dryrun"}},
		{[]string{"launch", "--dryrun", "--clouds", "a/b"}, exitUsage, []string{"is no name of a cloud"}},
		{[]string{"launch", "--dryrun", "--clouds", "azure"}, exitConfig, []string{"no catalogue for azure", "sky catalog update azure"}},
		{[]string{"launch", "--dryrun", "--catalog", home}, exitConfig, []string{"there is no catalogue in"}},
		{[]string{"launch", "--dryrun", "--clouds", "aws", "--infra", "gcp"}, exitConfig, []string{"asks for gcp, which is not among"}},
		{[]string{"launch", "--dryrun", "--clouds", "aws", "--infra", "aws/us-east-1"}, exitConfig, []string{"no region us-east-1 in the catalogue", "built-in catalogue knows few regions"}},
		{[]string{"launch", "--dryrun", "--catalog", catalog, "--gpus", "A100:3"}, exitConfig, []string{"A100:3", "A100:4, A100:8"}},
		{[]string{"launch", "--dryrun", "--catalog", catalog, "--gpus", "A100:3", "-o", "json"}, exitConfig, []string{`"ok": false`, `"best": null`, `"exit_code": 108`, `"A100:4"`}},
		{[]string{"gpus", "list", "--catalog", catalog, "FOO"}, exitNotFound, []string{"no place offers FOO"}},
		{[]string{"gpus", "list", "--catalog", catalog, "A100:3"}, exitNotFound, []string{"A100:8"}},
		{[]string{"gpus", "list", "--catalog", catalog, "A100:x"}, exitUsage, []string{"positive number"}},
	} {
		t.Run(strings.Join(x.args, " "), func(t *testing.T) {
			t.Parallel()
			code, out, errOut := sky(t, home, nil, x.args...)
			wants(t, code, x.code, out, errOut, x.words...)
		})
	}
}

// TestGPUsList compares listings with SkyPilot's for the same catalogue.
func TestGPUsList(t *testing.T) {
	t.Parallel()
	home, catalog := t.TempDir(), filepath.Join("testdata", "optimizer", "catalog")
	for _, x := range []struct {
		args  []string
		words []string
	}{
		{nil, []string{"COMMON_GPU  AVAILABLE_QUANTITIES\nA10G        1, 4, 8\nA100        1, 2, 4, 8, 16\nA100-80GB   1, 2, 4, 8\nH100        1, 2, 4, 8\nH200        8\nL4          1, 2, 4, 8\nL40S        1, 4, 8\nT4          1, 2, 4\nV100        1, 2, 4, 8\nV100-32GB   8\n",
			"GOOGLE_TPU  AVAILABLE_QUANTITIES\ntpu-v2-8    1\ntpu-v3-8    1\ntpu-v6e-1   1\ntpu-v6e-4   1\ntpu-v6e-8   1\n", "!K80"}},
		{[]string{"-a"}, []string{"OTHER_GPU", "K80", "tpu-v3-32", "M60", "HOURLY_PRICE"}},
		{[]string{"--infra", "aws"}, []string{"A10G        1, 4, 8\nA100        8\nA100-80GB   8\nH100        1, 8\n", "!tpu"}},
		{[]string{"A100"}, []string{"A100  1    GCP    a2-highgpu-1g   40GB        12     85GB      $ 3.673       $ 1.837            us-central1\n",
			"A100  8    AWS    p4d.24xlarge    40GB        96     1152GB    $ 32.773      $ 9.497            us-east-1\n\nGPU        QTY",
			"A100-80GB  8    AWS    p4de.24xlarge   80GB        96     1152GB    $ 40.966      $ 12.187           us-west-2\n"}},
		{[]string{"T4:1"}, []string{"T4   1    AWS    g4dn.xlarge    16GB        4      16GB      $ 0.526       $ 0.170            us-east-1\n", "T4   1    AWS    g4dn.16xlarge  16GB        64     256GB     $ 4.352       $ 1.220            us-west-2\nT4   1    GCP    n1-highmem-4   15GB        4      26GB      $ 0.587       $ 0.160            us-central1\n"}},
		{[]string{"T4:1", "--all-regions", "--infra", "gcp"}, []string{"us-central1", "us-west1", "europe-west4"}},
		{[]string{"T4:1", "--infra", "aws/eu-central-1", "-o", "json"}, []string{`"region": "eu-central-1"`, `"hourly_price_usd": 0.6575`, `"device_memory_gb": 16`, "!us-east"}},
	} {
		t.Run(strings.Join(x.args, " "), func(t *testing.T) {
			t.Parallel()
			code, out, errOut := sky(t, home, nil, append([]string{"gpus", "list", "--catalog", catalog}, x.args...)...)
			wants(t, code, exitOK, out, errOut, x.words...)
		})
	}
}
