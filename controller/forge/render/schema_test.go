package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSARIFSchema holds reports of many findings, of none, and of odd texts to the schema of SARIF 2.1.0.
func TestSARIFSchema(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("testdata", "sarif-2.1.0-rtm.5.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	valid := func(data []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	many := findingsReport(t)
	for i := range 300 {
		s := many.Suites[0]
		s.Name = fmt.Sprint("suite ", i)
		many.Suites = append(many.Suites, s)
	}
	for name, r := range map[string]*Report{"findings": findingsReport(t), "none": {}, "many": many} {
		var b bytes.Buffer
		if err := SARIF(&b, r, "ci/suite.yaml", "train/fit/ab12", "1.2.3"); err != nil {
			t.Fatal(err)
		}
		if err := valid(b.Bytes()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bad := bytes.ReplaceAll(b.Bytes(), []byte(`"runs"`), []byte(`"walks"`)); valid(bad) == nil {
			t.Errorf("%s: a document without runs passes", name)
		}
	}
}

// TestCodeQualityShape holds GitLab's code quality report to what GitLab documents: the fields it needs, known severities, and
// fingerprints of one finding each.
func TestCodeQualityShape(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := CodeQuality(&b, findingsReport(t), "./ci/suite.yaml"); err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Description, Fingerprint, Severity string
		Check                              string `json:"check_name"`
		Location                           struct {
			Path  string
			Lines struct{ Begin int }
		}
	}
	if err := json.Unmarshal(b.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range list {
		known := regexp.MustCompile(`^(info|minor|major|critical|blocker)$`).MatchString(f.Severity)
		if f.Description == "" || f.Check == "" || f.Fingerprint == "" || seen[f.Fingerprint] || !known || f.Location.Lines.Begin < 1 || strings.HasPrefix(f.Location.Path, ".") {
			t.Errorf("%+v", f)
		}
		seen[f.Fingerprint] = true
	}
	if len(list) == 0 {
		t.Error("there are no findings")
	}
}
