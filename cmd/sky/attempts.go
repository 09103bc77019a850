package main

import (
	"fmt"
	"strings"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// jsonTry is a place that was tried.
type jsonTry struct {
	Infra     string   `json:"infra"`
	Instance  string   `json:"instance"`
	Spot      bool     `json:"spot"`
	Price     *float64 `json:"hourly_price_usd"` // of one node; null = unknown
	StartedMS int64    `json:"started_ms"`
	EndedMS   int64    `json:"ended_ms"`
	Instances []string `json:"instances"`
	Failure   *jsonWhy `json:"failure,omitempty"`
	Problem   *jsonWhy `json:"problem,omitempty"`
}

func attemptsJSON(list []*statev1.PlacementAttempt) []jsonTry {
	out := []jsonTry{}
	for _, t := range list {
		c := t.GetCandidate()
		j := jsonTry{Infra: candidateInfra(c), Instance: c.GetInstanceType(), Spot: c.GetSpot(), StartedMS: t.GetStartedMs(), EndedMS: t.GetEndedMs(),
			Instances: append([]string{}, t.GetInstances()...), Failure: whyJSON(t.GetFailure()), Problem: whyJSON(t.GetProblem())}
		if !c.GetPriceUnknown() {
			p := c.GetHourlyPrice()
			j.Price = &p
		}
		out = append(out, j)
	}
	return out
}

// blocksJSON is what a launch keeps from for now.
func blocksJSON(list []*statev1.Block) []map[string]any {
	out := []map[string]any{}
	for _, b := range list {
		out = append(out, map[string]any{"provider": b.GetProvider(), "region": b.GetRegion(), "zone": b.GetZone(), "what": blockText(b),
			"until_ms": b.GetUntilMs(), "failure": whyJSON(b.GetFailure())})
	}
	return out
}

// instanceText is a machine type with its market.
func instanceText(c *statev1.Candidate) string {
	s := dash(c.GetInstanceType())
	if c.GetSpot() {
		s += "[Spot]"
	}
	return s
}

// priceText is what one machine of a candidate costs an hour.
func priceText(c *statev1.Candidate) string {
	if c.GetPriceUnknown() {
		return "?"
	}
	return money(c.GetHourlyPrice())
}

// attemptOutcome is how an attempt ended in one word: the vendor's code, or ours.
func attemptOutcome(x *statev1.PlacementAttempt) (outcome, reason string) {
	f := x.GetFailure()
	switch {
	case f != nil:
		outcome = f.GetCode()
		if outcome == "" {
			outcome = strings.ToLower(f.GetKind().String())
		}
		message := f.GetMessage()
		// Class and code stand beside it already.
		if _, rest, ok := strings.Cut(message, f.GetClass()+" ("+f.GetCode()+"): "); ok && f.GetClass() != "" {
			message = rest
		}
		return outcome, classWord(f) + ": " + message
	case x.GetEndedMs() == 0 && x.GetProblem() != nil:
		return "trying", "tried again after " + x.GetProblem().GetCode() + ": " + x.GetProblem().GetMessage()
	case x.GetEndedMs() == 0:
		return "trying", ""
	}
	return "ok", ""
}

// classWord says what kind of failure it is: the class of a refusal, or our own kind.
func classWord(f *statev1.Failure) string {
	if f.GetClass() != "" {
		return f.GetClass()
	}
	return strings.ToLower(f.GetKind().String())
}

// showAttempts lists every place that was tried, when, at what price, and the reason it was left.
func (a *app) showAttempts(title string, attempts []*statev1.PlacementAttempt) {
	if len(attempts) == 0 {
		return
	}
	a.say("\n%s", title)
	t := &table{header: []string{"INFRA", "INSTANCE", "$/hr", "STARTED", "TOOK", "OUTCOME", "REASON"}, flex: []int{6, 5, 1}, drop: []int{2, 3}}
	for _, x := range attempts {
		outcome, reason := attemptOutcome(x)
		t.add(candidateInfra(x.GetCandidate()), instanceText(x.GetCandidate()), priceText(x.GetCandidate()), time.UnixMilli(x.GetStartedMs()).Format(time.DateTime),
			between(x.GetStartedMs(), x.GetEndedMs(), time.Now()), outcome, dash(reason))
	}
	t.style = func(_, col int, cell string) string {
		if col == 5 && cell == "ok" {
			return a.style(styleGreen, cell)
		}
		return cell
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
}

// showBlocks lists what a launch keeps from for now, and until when.
func (a *app) showBlocks(blocks []*statev1.Block) {
	if len(blocks) == 0 {
		return
	}
	a.say("\nNot tried for now")
	t := &table{header: []string{"INFRA", "WHAT", "UNTIL", "BECAUSE"}, flex: []int{3}}
	for _, b := range blocks {
		until := "this launch's end"
		if b.GetUntilMs() > 0 {
			until = time.UnixMilli(b.GetUntilMs()).Format(time.TimeOnly)
		}
		t.add(candidateInfra(&statev1.Candidate{Provider: b.GetProvider(), Region: b.GetRegion(), Zone: b.GetZone()}), blockText(b), until,
			fmt.Sprintf("%s: %s", classWord(b.GetFailure()), b.GetFailure().GetMessage()))
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
}

// blockText says of which machines a block speaks.
func blockText(b *statev1.Block) string {
	var parts []string
	switch {
	case b.GetInstanceType() != "":
		parts = append(parts, b.GetInstanceType())
	case b.GetFamily() != "":
		parts = append(parts, b.GetFamily()+" with "+number(b.GetCpus())+" vCPUs or more")
	}
	if b.GetAccelerator() != "" {
		parts = append(parts, b.GetAccelerator()+":"+number(b.GetAcceleratorCount()))
		if b.GetInstanceType() == "" {
			parts[len(parts)-1] += " or more"
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "everything")
	}
	switch b.GetMarket() {
	case 1:
		parts = append(parts, "on demand")
	case 2:
		parts = append(parts, "spot")
	}
	return strings.Join(parts, ", ")
}

// launchFailed is the last screen of a launch that got no machines: every attempt with its reason, as SkyPilot shows them.
func (a *app) launchFailed(v *controlv1.ClusterView, asJSON bool) error {
	c := v.GetCluster()
	f := c.GetFailure()
	if asJSON {
		if err := a.ndjson(map[string]any{"type": "launch_failed", "cluster": c.GetName(), "failure": whyJSON(f), "attempts": attemptsJSON(c.GetAttempts())}); err != nil {
			return err
		}
	} else if len(c.GetAttempts()) > 0 {
		a.say("%s Failed to provision all possible launchable resources for %s.", a.style(styleRed, "✗"), c.GetName())
		a.showAttempts("Reasons for provision failures (details: sky logs --provision "+c.GetName()+")", c.GetAttempts())
	}
	return &exitError{code: codeOfKind(f.GetKind()), err: &failureError{f}}
}
