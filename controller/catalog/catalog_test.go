package catalog_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"aloft/controller/catalog"
	"aloft/controller/catalog/shelf"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
	"aloft/providers/local"
)

// known are the providers of a test; the default is this host.
type known struct {
	all     map[string]providers.Provider
	enabled []string
}

func (k known) Names() []string                  { return k.enabled }
func (k known) Enabled(context.Context) []string { return k.enabled }
func (k known) Default() string                  { return "local" }
func (k known) Get(name string) (providers.Provider, error) {
	if p, ok := k.all[name]; ok {
		return p, nil
	}
	return nil, errors.New("not configured")
}

func TestPlace(t *testing.T) {
	t.Parallel()
	host, err := local.New(providers.Config{Home: t.TempDir(), Settings: map[string]string{"gpus": "V100:2"}})
	if err != nil {
		t.Fatal(err)
	}
	cloud := fake.New(fake.Config{Name: "aws"})
	all := map[string]providers.Provider{"local": host, "aws": cloud}
	none := shelf.Shelf{Dir: t.TempDir()}
	for _, x := range []struct {
		name    string
		enabled []string
		task    *statev1.TaskSpec
		want    string // provider of the best candidate, or ! and words of the failure
	}{
		{"a cloud when there is one", []string{"local", "aws"}, &statev1.TaskSpec{}, "aws"},
		{"this host when there is none", []string{"local"}, &statev1.TaskSpec{}, "local"},
		{"this host when asked for", []string{"local", "aws"}, &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "local"}}}, "local"},
		{"pretended GPUs", []string{"local"}, &statev1.TaskSpec{Resources: []*statev1.Resources{{Accelerator: "V100", AcceleratorCount: 2}}}, "local"},
		{"one named, one not", []string{"local", "aws"}, &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "gcp"}, {Cpus: 2}}}, "aws"},
		{"not enabled", []string{"local"}, &statev1.TaskSpec{Resources: []*statev1.Resources{{Cloud: "aws"}}}, "!not enabled"},
		{"not on offer", []string{"local"}, &statev1.TaskSpec{Resources: []*statev1.Resources{{Accelerator: "V100", AcceleratorCount: 8}}}, "!V100:2"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			p, err := catalog.New(known{all, x.enabled}, none).Place(t.Context(), x.task)
			if want, ok := strings.CutPrefix(x.want, "!"); ok {
				var inf *catalog.Infeasible
				if !errors.As(err, &inf) || !strings.Contains(inf.GetFailure().GetMessage()+inf.GetFailure().GetHint(), want) {
					t.Fatalf("got %v, want %q", err, want)
				}
				return
			}
			if err != nil || p.Candidates[0].GetProvider() != x.want || slices.ContainsFunc(p.Candidates, func(c *statev1.Candidate) bool { return c.GetWanted() == nil }) {
				t.Fatalf("got %v, %v", p, err)
			}
		})
	}
}
