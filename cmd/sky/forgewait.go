package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"aloft/controller/forge"
	"aloft/controller/forge/cienv"
	"aloft/controller/forge/comment"
)

// apiTimeoutFlag is how long a forge is waited for: one bound for all requests of a command, with the pauses between them.
func apiTimeoutFlag(fl *pflag.FlagSet, d *time.Duration) {
	fl.DurationVar(d, "api-timeout", forge.DefaultPatience, "`TIME` for all requests to the forge together, with the pauses it asks for")
}

// apiURLFlag is where the API of a forge is that does not follow from the repository's address.
func apiURLFlag(fl *pflag.FlagSet, address *string) {
	fl.StringVar(address, "api-url", "", "`URL` of the forge's API, where it does not follow from the repository's: https://HOST/gitlab/api/v4")
}

// forgeTime bounds all that a command does with a forge.
func (o *commentOptions) forgeTime(ctx context.Context) (context.Context, context.CancelFunc) {
	d := o.apiTimeout
	if d <= 0 {
		d = forge.DefaultPatience
	}
	return context.WithTimeout(ctx, d)
}

// checkForge refuses a time that is none.
func (o *commentOptions) checkForge() error {
	if o.apiTimeout <= 0 {
		return usageError("--api-timeout %s: it takes a time above 0, as in 2m", o.apiTimeout)
	}
	return nil
}

// reachForge completes what a client of a forge is made of.
func (a *app) reachForge(o forge.Options, timeout time.Duration) forge.Options {
	o.Agent, o.Patience = "aloft/"+version, timeout
	o.Waiting = func(w forge.Wait) {
		why := "its limit of requests is used up"
		if w.Reason == forge.Unavailable {
			why = "it does not answer as it should"
		}
		a.note("Waiting for %s: %s; asked again at %s, in %s", w.Host, why, w.Until.UTC().Format("15:04:05 UTC"), time.Until(w.Until).Round(time.Second))
	}
	return o
}

// away reports that a forge could not be asked, whoever asks: its limit is used up, it is down, or the time ran out.
func away(err error) bool {
	var e *forge.Error
	if errors.As(err, &e) && (e.Reason == forge.RateLimited || e.Reason == forge.Unavailable) {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// intoSummary keeps a report that a forge did not take where the CI system shows it, and says so.
func (a *app) intoSummary(text, kept string) {
	switch where, err := a.writeSummary(text); {
	case err != nil:
		a.note("warning: the forge could not be reached, and the job summary cannot be written: %v", err)
	case where != "":
		a.note("warning: the forge could not be reached: the report is in %s instead.", where)
	default:
		a.note("warning: the forge could not be reached, and there is no job summary to write to: %s", kept)
	}
}

// writeSummary shows a text with the job, where the CI system can, and says how that is called; "" = it cannot.
func (a *app) writeSummary(text string) (string, error) {
	if path, _ := a.getenv("GITHUB_STEP_SUMMARY"); path != "" {
		return "the job summary", appendSummary(path, text)
	}
	if dir, _ := a.getenv("AGENT_TEMPDIRECTORY"); dir != "" && a.ciSystem() == cienv.Azure {
		f, err := os.CreateTemp(dir, "sky-report-*.md") // the agent reads it after the step
		if err != nil {
			return "", err
		}
		short, _ := comment.Shorten(text, summaryBudget/4, "") // of characters
		_, err = f.WriteString(short)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		a.say("##vso[task.uploadsummary]%s", filepath.Clean(f.Name()))
		return "the summary of the run", nil
	}
	return "", nil
}

// summaryText is a report as it is shown where there is no forge to keep its pictures.
func (o *commentOptions) summaryText(text, link string) string {
	text, pictures := takeImages(text, o.dir)
	if !o.trusted {
		text = comment.Neutralise(text, link)
	}
	return pictures.settle(text, o.images.placeholder)
}
