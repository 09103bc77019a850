package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aloft/controller/catalog"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// BenchmarkPlace is what a launch does: candidates in every zone of two clouds, by catalogues as large as AWS's.
func BenchmarkPlace(b *testing.B) {
	rows := map[string]string{}
	all := map[string]providers.Provider{}
	for _, cloud := range []string{"aws", "gcp"} {
		var s strings.Builder
		for i := range 100_000 {
			acc := ",,"
			if i/100%5 == 0 {
				acc = "V100,1,"
			}
			fmt.Fprintf(&s, "m6i.t%d,%s8,32,,%d.5,0.5,r%d,r%d-z%d,\n", i/100, acc, 1+i%7, i%100/4, i%100/4, i%4)
		}
		rows[cloud], all[cloud] = s.String(), fake.New(fake.Config{Name: cloud})
	}
	c := catalog.New(known{all, []string{"aws", "gcp"}}, shelfWith(b, time.Hour, rows))
	for name, r := range map[string]*statev1.Resources{"gpu": {Accelerator: "V100"}, "cpu": {Cloud: "aws", Cpus: 8}, "spot": {Accelerator: "V100", UseSpot: true}} {
		b.Run(name, func(b *testing.B) {
			place := func() {
				p, err := c.Place(b.Context(), &statev1.TaskSpec{Resources: []*statev1.Resources{r}})
				if err != nil || len(p.Candidates) == 0 {
					b.Fatal(p, err)
				}
			}
			place() // reads the catalogues
			b.ReportAllocs()
			for b.Loop() {
				place()
			}
		})
	}
}
