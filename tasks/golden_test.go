package tasks_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"aloft/tasks"
)

// goldenRow is what SkyPilot's parser made of one file.
type goldenRow struct {
	Path        string           `json:"path"`
	OK          bool             `json:"ok"`
	Error       string           `json:"error"`
	EnvArtifact string           `json:"env_artifact"`
	ValidateOK  *bool            `json:"validate_ok"`
	Tasks       []map[string]any `json:"tasks"`
	DAG         struct {
		Name      *string `json:"dag_name"`
		Execution string  `json:"execution"`
		N         int     `json:"n_tasks"`
	} `json:"dag"`
	Overrides struct {
		Env    [][2]string `json:"env"`
		Secret [][2]string `json:"secret"`
	} `json:"overrides"`
}

// knownDifferences are the files on which we differ on purpose; each is
// explained in docs/compatibility.md under the same words.
var knownDifferences = map[string]string{
	"anyof-labels-merge.yaml": "labels do not leak between alternatives",
	"autostop-yes.yaml":       "autostop: true means 5 minutes",
	"subst-default-set.yaml":  "${NAME:-default} works",
}

// goldenInstances stands in for a catalogue: the machine types of the corpus.
func goldenInstances(cloud, name string) (tasks.InstanceFacts, bool) {
	facts := map[string]tasks.InstanceFacts{
		"aws/p3.2xlarge": {VCPUs: 8, MemoryGB: 61, Accelerators: []tasks.Accelerator{{Name: "V100", Count: 1}}},
		"aws/p3.8xlarge": {VCPUs: 32, MemoryGB: 244, Accelerators: []tasks.Accelerator{{Name: "V100", Count: 4}}},
	}
	f, ok := facts[cloud+"/"+name]
	return f, ok
}

func goldenRows(t testing.TB) []goldenRow {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "golden", "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var rows []goldenRow
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var r goldenRow
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func corpusFile(t testing.TB, name string) []byte {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "golden", "corpus", name))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func (r goldenRow) overrides() tasks.Overrides {
	o := tasks.Overrides{LookupInstance: goldenInstances}
	for _, kv := range r.Overrides.Env {
		o.Env = append(o.Env, kv[0]+"="+kv[1])
	}
	for _, kv := range r.Overrides.Secret {
		o.Secrets = append(o.Secrets, kv[0]+"="+kv[1])
	}
	return o
}

func TestGolden(t *testing.T) {
	t.Parallel()
	rows := goldenRows(t)
	if len(rows) != 404 {
		t.Fatalf("the golden file has %d rows, want 404", len(rows))
	}
	verdicts, meanings, compared, differences := 0, 0, 0, 0
	for _, r := range rows {
		doc, ds := tasks.Parse(r.Path, corpusFile(t, r.Path), r.overrides())
		if ok := !ds.HasErrors(); ok != r.OK {
			t.Errorf("%s: accepted = %v, SkyPilot says %v (%s)\n%s", r.Path, ok, r.OK, r.Error, ds.Error())
			continue
		}
		verdicts++
		if doc == nil || r.Tasks == nil {
			if doc != nil && r.DAG.N != 0 && len(doc.Tasks) != r.DAG.N {
				t.Errorf("%s: %d tasks, want %d", r.Path, len(doc.Tasks), r.DAG.N)
			}
			continue
		}
		compared++
		problem := compareMeaning(r, doc)
		reason, known := knownDifferences[r.Path]
		switch {
		case problem == "" && known:
			t.Errorf("%s: listed as different (%s) but agrees", r.Path, reason)
		case problem != "" && known:
			differences++
			t.Logf("%s: differs on purpose: %s", r.Path, reason)
		case problem != "":
			t.Errorf("%s: %s", r.Path, problem)
		default:
			meanings++
		}
	}
	t.Logf("verdicts agree on %d of %d files; meaning agrees on %d of %d accepted files, %d differ on purpose",
		verdicts, len(rows), meanings, compared, differences)
}

// compareMeaning returns the first difference, or "".
func compareMeaning(r goldenRow, doc *tasks.Document) string {
	if len(doc.Tasks) != len(r.Tasks) {
		return "number of tasks differs"
	}
	wantParallel := strings.HasSuffix(r.DAG.Execution, "PARALLEL")
	if wantParallel != (doc.Execution == tasks.ExecutionParallel) {
		return "execution differs"
	}
	wantName := ""
	if r.DAG.Name != nil {
		wantName = *r.DAG.Name
	}
	if doc.Name != wantName {
		return "document name is " + doc.Name + ", want " + wantName
	}
	for i, task := range doc.Tasks {
		got := plainJSON(revealed(task))
		for key, want := range r.Tasks[i] {
			g := got[key]
			if key == "resources" && task.Resources.Kind == tasks.KindAnyOf {
				g, want = sortedResources(g), sortedResources(want)
			}
			if want = plainJSON2(want); !reflect.DeepEqual(g, want) {
				gb, _ := json.Marshal(g)
				wb, _ := json.Marshal(want)
				return key + " is\n  " + string(gb) + "\nwant\n  " + string(wb)
			}
		}
	}
	return ""
}

// revealed is Semantics with the values of secrets put back, which the golden
// file has in clear.
func revealed(task *tasks.Task) map[string]any {
	out := task.Semantics()
	secrets := map[string]any{}
	for k, v := range task.Secrets {
		secrets[k] = v.Reveal()
	}
	out["secrets"] = secrets
	if len(task.FileMounts) > 0 {
		mounts := map[string]any{}
		for _, m := range task.FileMounts {
			mounts[m.Dst] = m.Src
		}
		out["file_mounts"] = mounts
	}
	return out
}

func sortedResources(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = append([]any(nil), list...)
	sort.Slice(list, func(i, j int) bool {
		a, _ := json.Marshal(list[i])
		b, _ := json.Marshal(list[j])
		return string(a) < string(b)
	})
	return list
}

func plainJSON(v any) map[string]any {
	out, _ := plainJSON2(v).(map[string]any)
	return out
}

// plainJSON2 passes a value through JSON and undoes the placeholder for /tmp.
func plainJSON2(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), `\u003cTMP\u003e/`, "/tmp/")), &out); err != nil {
		return err.Error()
	}
	return out
}

// Every known difference is explained to users, in the same words.
func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	for file, reason := range knownDifferences {
		if !strings.Contains(string(doc), "`"+file+"`") || !strings.Contains(string(doc), reason) {
			t.Errorf("docs/compatibility.md does not explain %s: %s", file, reason)
		}
	}
	for _, r := range goldenRows(t) {
		if raw := r.Error != "" && r.Error != "ValueError" && r.Error != "InvalidSkyPilotConfigError"; raw && !strings.Contains(string(doc), "`"+r.Path+"` | "+r.Error) {
			t.Errorf("docs/compatibility.md does not list %s, on which SkyPilot dies with %s", r.Path, r.Error)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "examples", "*", "task.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("found %d examples: %v", len(files), err)
	}
	for _, name := range files {
		doc, ds := tasks.ParseFile(name, tasks.Overrides{FillRequired: true, ExtraClouds: []string{"local"}})
		if doc == nil {
			t.Errorf("%s:\n%s", name, ds.Error())
		}
	}
}
