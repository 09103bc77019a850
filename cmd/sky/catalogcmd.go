package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"aloft/controller"
	"aloft/controller/catalog"
	"aloft/controller/catalog/fetch"
	"aloft/controller/catalog/sheet"
	"aloft/controller/catalog/shelf"
	"aloft/providers"
)

// catalogURLEnv names another server of catalogues.
const catalogURLEnv = "ALOFT_CATALOG_URL"

func newCatalogCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Machines and prices of clouds: update, list",
		Long: `Machines and prices of clouds, by which launches are placed: one CSV per cloud
under $ALOFT_HOME/catalog, in SkyPilot's columns`,
		Args: knownCommand, RunE: showHelp,
	}
	cmd.AddCommand(a.catalogUpdate(), a.catalogList())
	return cmd
}

func (a *app) catalogUpdate() *cobra.Command {
	var o catalogUpdate
	var clouds []string
	cmd := &cobra.Command{
		Use:   "update [CLOUD...]",
		Short: "Bring the newest catalogues",
		Long: `Bring the newest catalogues, by default those that SkyPilot publishes, of aws, gcp
and every other cloud that has one here. A file is asked for only if it has
changed, read from end to end, and then replaced at once; one that you have
edited stays as it is. What cannot be brought leaves the old file in place.

--from api asks the clouds themselves, with your credentials: which machines they
sell in which zones of your account, and at which prices today. A price that a
cloud does not tell is left open. Without names it asks every cloud that is
enabled and can tell.`,
		Example: `  sky catalog update
  sky catalog update --from api --clouds aws,gcp
  sky catalog update aws --url https://mirror.example/catalogs/v8`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			switch o.from {
			case "url", "api":
			default:
				return usageError("--from %q: allowed are url and api", o.from)
			}
			if o.from == "api" && o.url != "" {
				return usageError("--url says where files lie, and --from api asks the clouds: give one of them")
			}
			if o.url == "" {
				o.url, _ = a.getenv(catalogURLEnv)
			}
			o.clouds = append(args, clouds...)
			return a.updateCatalogs(cmd.Context(), o)
		},
	}
	cmd.Flags().StringSliceVar(&clouds, "clouds", nil, "`CLOUD,...` to bring, as the arguments")
	cmd.Flags().StringVar(&o.from, "from", "url", "`WHERE` from: url, or api to ask the clouds themselves")
	cmd.Flags().StringVar(&o.url, "url", "", "`URL` under which CLOUD/vms.csv lies (default $"+catalogURLEnv+", else SkyPilot's)")
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "replace files that you have edited, too")
	outputFlag(cmd, &o.output)
	return cmd
}

// catalogUpdate says what is brought from where.
type catalogUpdate struct {
	clouds            []string
	from, url, output string
	force             bool
}

// catalogSources are the clouds that are asked themselves; none unless that is wanted.
func (a *app) catalogSources(o *catalogUpdate) (map[string]fetch.Source, error) {
	if o.from != "api" {
		return nil, nil
	}
	ps, err := controller.CatalogSources(a.home, a.providers, a.getenv, o.clouds)
	if err != nil {
		var e *providers.Error
		if errors.As(err, &e) && e.Hint != "" {
			err = fmt.Errorf("%w\n  %s", err, e.Hint)
		}
		return nil, &exitError{code: exitConfig, err: err}
	}
	if len(ps) == 0 {
		return nil, &exitError{code: exitConfig, err: errors.New("no cloud is enabled that can tell its own catalogue\n  sky check says why; sky catalog update brings catalogues that need no credentials")}
	}
	out := map[string]fetch.Source{}
	for name, p := range ps {
		out[name] = fetch.FromProvider(p)
	}
	o.clouds = slices.Sorted(maps.Keys(out))
	return out, nil
}

func (a *app) updateCatalogs(ctx context.Context, o catalogUpdate) error {
	s := shelf.Home(a.home)
	sources, err := a.catalogSources(&o)
	if err != nil {
		return err
	}
	clouds, output := o.clouds, o.output
	if len(clouds) == 0 {
		if clouds, err = s.Clouds(); err != nil {
			return &exitError{code: exitConfig, err: err}
		}
	}
	u, err := fetch.NewUpdater(fetch.Options{Shelf: s, URL: o.url, Force: o.force, Sources: sources, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return usageError("--url: %v", err)
	}
	var failed error
	var files []map[string]any
	for _, c := range clouds {
		if !shelf.ValidCloud(c) {
			return usageError("%q is no name of a cloud, as in aws or gcp", c)
		}
		a.spin("Bringing the catalogue of %s", c)
		rs, err := u.Update(ctx, c)
		for _, r := range rs {
			a.noteProblems(r.Problems, r.Bad)
			files = append(files, map[string]any{"cloud": r.Cloud, "file": r.File, "status": string(r.Status), "from": r.From, "rows": r.Rows, "bad_rows": r.Bad, "bytes": r.Bytes})
			if output == "text" && r.Status != fetch.Absent {
				a.say("%s", updateLine(r))
			}
		}
		switch {
		case ctx.Err() != nil:
			return &exitError{code: exitInterrupted, err: errors.New("interrupted; files that were not brought are as they were")}
		case err != nil:
			failed = errors.Join(failed, err)
		}
	}
	if failed != nil {
		return &exitError{code: exitFailure, err: fmt.Errorf("%w\n  what was here before is still used", failed)}
	}
	if output == "json" {
		return a.printJSON(map[string]any{"ok": true, "files": files})
	}
	return nil
}

func updateLine(r fetch.Result) string {
	name := r.Cloud + "/" + r.File
	switch r.Status {
	case fetch.New:
		if r.Rows > 0 {
			return fmt.Sprintf("%s: new, %d rows", name, r.Rows)
		}
		return name + ": new"
	case fetch.Unchanged:
		return name + ": unchanged"
	}
	return fmt.Sprintf("%s: kept, for it is yours or edited (--force replaces it)", name)
}

func (a *app) catalogList() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show which catalogues there are, and how old",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.listCatalogs(dir, output)
		},
	}
	cmd.Flags().StringVar(&dir, "catalog", "", "`DIR` of catalogues to look at instead")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) listCatalogs(dir, output string) error {
	s := a.shelfAt(dir)
	clouds, err := s.Clouds()
	if err != nil {
		return &exitError{code: exitConfig, err: err}
	}
	books, err := a.openBooks(s, clouds)
	if err != nil {
		return err
	}
	now := time.Now()
	list := []map[string]any{}
	t := &table{header: []string{"CLOUD", "TYPES", "ROWS", "PRICES", "FROM"}, flex: []int{4}}
	for _, b := range books {
		prices, from, checked, old := "none", "built in", int64(0), true
		switch {
		case !b.Date.IsZero():
			checked, old = b.Date.UnixMilli(), now.Sub(b.Date) > shelf.OldAfter
			prices, from = b.Date.Format(time.DateOnly), b.Path
			if m, ok := s.Meta(b.Cloud, "vms.csv"); ok {
				from = m.URL
			}
		default:
			if years := catalog.BuiltinYears(b); len(years) > 0 {
				prices = strings.Join(years, ", ")
			}
		}
		mark := ""
		if old && prices != "none" {
			mark = " (old)"
		}
		list = append(list, map[string]any{"cloud": b.Cloud, "types": namedTypes(b.Sheet), "rows": b.Sheet.Len(), "checked_ms": checked,
			"old": old, "price_dates": prices, "from": from, "path": b.Path, "bad_rows": b.Bad})
		t.add(infraName(b.Cloud), number(float64(namedTypes(b.Sheet))), number(float64(b.Sheet.Len())), prices+mark, from)
	}
	if output == "json" {
		return a.printJSON(map[string]any{"catalogs": list})
	}
	if len(books) == 0 {
		a.say("There are no catalogues in %s.", s.Dir)
		return nil
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	if slices.ContainsFunc(books, func(b *shelf.Book) bool { return catalog.Age(b, now) != "" }) {
		a.say("\nNew ones: sky catalog update")
	}
	return nil
}

// namedTypes counts machine types.
func namedTypes(s *sheet.Sheet) int {
	n := 0
	for i := range s.Types {
		if s.Types[i].Name != "" {
			n++
		}
	}
	return n
}
