package report_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// TestJUnitSchema holds the XML to Jenkins' schema, form 4, by a validator that is not ours. Skipped cases say why in an
// attribute, which only later forms have, so that is taken out first.
func TestJUnitSchema(t *testing.T) {
	t.Parallel()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("SKIPPED: there is no xmllint (libxml2-utils) to validate with")
	}
	valid := func(name, text string) error {
		file := filepath.Join(t.TempDir(), name+".xml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(xmllint, "--noout", "--nonet", "--schema", filepath.Join("testdata", "junit-4.xsd"), file).CombinedOutput()
		if err != nil {
			t.Logf("%s: %s", name, out)
		}
		return err
	}
	reason := regexp.MustCompile(`<skipped message="[^"]*">`)
	hostileNames := hostile()
	hostileNames.Outcomes[0].Conditions[0].Details = "\x00\x1b[31m]]>&\ufffe"
	refused := sample()
	refused.Outcomes, refused.Err = nil, engine.Errorf(engine.Internal, "no")
	compat := sample()
	compat.Mode = engine.Deepchecks
	empty := sample()
	empty.Outcomes = nil
	for name, r := range map[string]*engine.Report{"sample": sample(), "hostile": hostileNames, "hundred": hundred(), "refused": refused, "deepchecks": compat, "empty": empty} {
		text := reason.ReplaceAllString(render(t, r, report.JUnit), "<skipped>")
		if err := valid(name, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "sample" && valid("nameless", strings.Replace(text, "<testcase ", "<testcase nobody=\"\" ", 1)) == nil {
			t.Error("an attribute that there is not passes")
		}
	}
}

// TestJUnitBound: a report whose texts are large stays below what GitLab takes, with each of its cases.
func TestJUnitBound(t *testing.T) {
	t.Parallel()
	r := hundred()
	cases := strings.Count(render(t, r, report.JUnit), "<testcase ")
	for i := range r.Outcomes {
		for j := range r.Outcomes[i].Conditions {
			r.Outcomes[i].Conditions[j].Details = strings.Repeat("<\x00ü", 100_000)
		}
	}
	text := render(t, r, report.JUnit)
	if len(text) > 30_000_000 || strings.Count(text, "<testcase ") != cases || cases < 50 {
		t.Errorf("%d bytes, %d cases of %d", len(text), strings.Count(text, "<testcase "), cases)
	}
	if !strings.Contains(text, `<property name="seed" value="`) {
		t.Error("no properties")
	}
}
