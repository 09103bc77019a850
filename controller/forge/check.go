package forge

import (
	"context"
	"time"
)

// State is how far a run is, and how it ended.
type State string

// The states.
const (
	Pending   State = "pending"
	Running   State = "running"
	Success   State = "success"
	Failure   State = "failure" // a job or a condition failed
	Errored   State = "error"   // we could not run it
	Cancelled State = "cancelled"
	Neutral   State = "neutral"
	Skipped   State = "skipped"
)

// States lists them.
func States() []State {
	return []State{Pending, Running, Success, Failure, Errored, Cancelled, Neutral, Skipped}
}

// Ended reports whether nothing more will come.
func (s State) Ended() bool { return s != Pending && s != Running }

// Status is a commit's status: one line beside the commit. Name is its identity: the last status of a name counts.
type Status struct {
	SHA   string
	Name  string
	State State
	Title string // one line; shortened to what the forge takes
	URL   string // of the run
}

// Check is a status with a page of its own.
type Check struct {
	Status
	// ExternalID is the run's: the same check of the same run is changed, not made again.
	ExternalID  string
	Summary     string // Markdown
	Text        string // Markdown, below the summary
	Annotations []Annotation
	// Data are facts shown as a table where the forge has one.
	Data           []Datum
	Started, Ended time.Time
}

// Level of an annotation.
type Level string

// The levels.
const (
	LevelNotice  Level = "notice"
	LevelWarning Level = "warning"
	LevelFailure Level = "failure"
)

// Annotation is a finding at a line of a file.
type Annotation struct {
	Path           string
	Line           int
	Level          Level
	Title, Message string
	Key            string // the same for the same finding in every run
}

// Datum is a fact of a report.
type Datum struct {
	Title string
	Value any // string, float64, bool or time.Duration
}

// Posted is what became of a status or check.
type Posted struct {
	Kind   string // check, status or report
	ID     string
	URL    string
	Action string // created, updated or unchanged
	// Dropped counts annotations that the forge does not take.
	Dropped int
}

// StatusSetter sets statuses of commits. Every forge has them.
type StatusSetter interface {
	SetStatus(ctx context.Context, s Status) (Posted, error)
}

// CheckSetter sets checks: GitHub's check runs, Bitbucket's Code Insights. GitLab has none. GitHub takes them from apps
// only, the token of Actions among them: others get an Error with reason Forbidden, and statuses are what is left.
type CheckSetter interface {
	SetCheck(ctx context.Context, c Check) (Posted, error)
}

// shorten cuts a text to so many characters, with a sign that it was cut.
func shorten(s string, most int) string {
	if rs := []rune(s); len(rs) > most {
		return string(rs[:most-1]) + "…"
	}
	return s
}

// shortenBytes is shorten for limits in bytes; it parts no character.
func shortenBytes(s string, most int) string {
	const sign = "…"
	if len(s) <= most {
		return s
	}
	cut := most - len(sign)
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + sign
}
