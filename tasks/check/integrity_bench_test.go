package check_test

import (
	"fmt"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// BenchmarkDataIntegrity runs the data_integrity suite, as a whole and check by
// check, on tables in memory.
func BenchmarkDataIntegrity(b *testing.B) {
	for _, size := range []struct{ rows, features int }{{100_000, 20}, {100_000, 100}, {1_000_000, 20}} {
		b.Run(fmt.Sprintf("%dx%d", size.rows, size.features), func(b *testing.B) {
			in := splitInputs(b, size.rows, size.features)
			var items []engine.Item
			for _, def := range check.Tabular.SuiteChecks(check.DataIntegrity) {
				item, problems := def.Build(nil, nil, engine.Mended)
				if len(problems) > 0 {
					b.Fatal(problems)
				}
				items = append(items, item)
			}
			b.Run("all", func(b *testing.B) { runItems(b, in, items) })
			for i := range items {
				b.Run(items[i].Def.ID, func(b *testing.B) { runItems(b, in, items[i:i+1]) })
			}
		})
	}
}
