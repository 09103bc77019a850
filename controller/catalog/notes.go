package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
	"aloft/controller/plan/place"
)

// PickNotes are the lines under the table of considered resources: what nothing satisfies, and among what the cheapest was
// found. Clouds are those that were asked.
func PickNotes(c place.Choice, clouds []string) []string {
	var out []string
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if c.Failure == nil {
		for _, r := range c.Unmet {
			add(fmt.Sprintf("No resource satisfying %s on %s.", place.Describe(r), titles(clouds)))
		}
		if len(c.Near) > 0 && len(c.Unmet) > 0 {
			add("Did you mean: " + strings.Join(c.Near, ", "))
		}
	}
	if len(c.Picks) == 0 || c.Picks[0].Accelerator == "" {
		return out
	}
	best := c.Picks[0]
	for _, o := range c.Others {
		if !strings.EqualFold(o.Wanted.GetAccelerator(), best.Accelerator) {
			continue
		}
		what := fmt.Sprintf("%s:%v", best.Accelerator, best.Count)
		add(fmt.Sprintf("Multiple %s instances satisfy %s. The cheapest, %s, is considered among: %s.", place.Title(o.Cloud), what, o.Chosen, strings.Join(o.Types, ", ")))
		add("To list more details, run: sky gpus list " + best.Accelerator)
	}
	return out
}

func titles(clouds []string) string {
	var out []string
	for _, c := range clouds {
		out = append(out, place.Title(c))
	}
	return strings.Join(out, ", ")
}

// AgeNotes say where the prices of used clouds, and those shown, are from when they may be wrong: old, built in, not known.
func AgeNotes(books []*shelf.Book, used map[string]bool, shown []place.Pick, now time.Time) []string {
	var out []string
	for _, b := range books {
		if s := Age(b, now); used[b.Cloud] && s != "" {
			out = append(out, s)
		}
	}
	if slices.ContainsFunc(shown, func(p place.Pick) bool { return !sheet.Known(p.Price) }) {
		out = append(out, "A cost of - is not known: run `sky catalog update`.")
	}
	return out
}

// Clouds are those of picks.
func Clouds(picks []place.Pick) map[string]bool {
	out := map[string]bool{}
	for _, p := range picks {
		out[p.Cloud] = true
	}
	return out
}

// Age is what is to be said of the age of a catalogue; "" = it is new.
func Age(b *shelf.Book, now time.Time) string {
	if b.Date.IsZero() {
		years := BuiltinYears(b)
		if len(years) == 0 {
			return fmt.Sprintf("%s: from the built-in catalogue, which has machines but no prices. Run `sky catalog update %s`.", place.Title(b.Cloud), b.Cloud)
		}
		return fmt.Sprintf("%s: prices are built in and old, of %s. Run `sky catalog update %s`.", place.Title(b.Cloud), strings.Join(years, ", "), b.Cloud)
	}
	if age := now.Sub(b.Date); age > shelf.OldAfter {
		return fmt.Sprintf("%s: prices are old, of %s (%d days). Run `sky catalog update %s`.", place.Title(b.Cloud), b.Date.Format(time.DateOnly), int(age.Hours()/24), b.Cloud)
	}
	return ""
}

// BuiltinYears are the dates of the whole machines' prices in a built-in catalogue.
func BuiltinYears(b *shelf.Book) []string {
	var out []string
	for i := range b.Sheet.Types {
		t := &b.Sheet.Types[i]
		if t.Name == "" {
			continue
		}
		for _, r := range b.Sheet.Rows(t) {
			if d := b.Sheet.Dated(r); d != "" && sheet.Known(r.Price) && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	slices.Sort(out)
	return out
}
