package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Level is how much a finding matters.
type Level string

// The levels, the worst first.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelNotice  Level = "notice"
)

// Finding is one condition that did not pass, a check that did not run, or a measure that is worse than in the baseline.
type Finding struct {
	Level     Level
	Suite     string
	Check     string // id, stable
	Title     string // of the check, for people
	Where     string // data set and segment, "" = none
	Condition string
	Details   string
	// Fingerprint is the same for the same condition in every run, whatever it found.
	Fingerprint string
}

// Message is the finding in one sentence.
func (f Finding) Message() string {
	s := f.Title
	if f.Where != "" {
		s += " (" + f.Where + ")"
	}
	s += ": " + f.Condition
	if f.Details != "" {
		s += ": " + f.Details
	}
	return oneLine(s)
}

// Findings lists what did not pass, the worst first and otherwise in the order of the suites.
func (r *Report) Findings() []Finding {
	var levels [3][]Finding
	add := func(f Finding) {
		sum := sha256.Sum256([]byte(strings.Join([]string{f.Suite, f.Check, f.Where, f.Condition}, "\x00")))
		f.Fingerprint = hex.EncodeToString(sum[:16])
		i := map[Level]int{LevelError: 0, LevelWarning: 1, LevelNotice: 2}[f.Level]
		levels[i] = append(levels[i], f)
	}
	for _, s := range r.Suites {
		if s.Error != nil {
			add(Finding{Level: LevelError, Suite: s.Name, Check: "suite", Title: s.Name, Condition: "did not run", Details: s.Error.Class + ": " + s.Error.Message})
		}
		for _, c := range s.Checks {
			f := Finding{Suite: s.Name, Check: c.ID, Title: c.Header, Where: where(c)}
			if f.Title == "" {
				f.Title = c.Name
			}
			if f.Check == "" {
				f.Check = c.Name
			}
			if c.Status == "error" && c.Error != nil {
				f.Level, f.Condition, f.Details = LevelNotice, "did not run", c.Error.Class+": "+c.Error.Message
				add(f)
			}
			for _, k := range c.Conditions {
				f.Condition, f.Details = k.Name, k.Details
				switch k.Category {
				case "PASS":
					continue
				case "WARN":
					f.Level = LevelWarning
				default:
					f.Level = LevelError
				}
				add(f)
			}
		}
		if s.Baseline == nil {
			continue
		}
		for _, m := range s.Baseline.Measures {
			if m.Direction == "worse" {
				add(Finding{Level: LevelError, Suite: s.Name, Check: m.Check, Title: m.Check, Condition: m.Measure + " is not worse than in " + s.Baseline.Name,
					Details: string(m.Before) + " → " + string(m.After)})
			}
		}
	}
	return append(append(levels[0], levels[1]...), levels[2]...)
}

func where(c outcome) string {
	var parts []string
	for _, s := range []string{c.Dataset, c.Segment} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// oneLine is a text without line breaks and without characters that formats do not take.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c <= 0x9f || c == '\u2028' || c == '\u2029' {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))), " ")
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	if rs := []rune(s); len(rs) > most {
		return string(rs[:most-1]) + "…"
	}
	return s
}
