package engine

// Comparison tells how a report stands against an earlier one, its baseline.
type Comparison struct {
	Name string // what the baseline is called
	// Tolerance is the share of its earlier value by which a measure may get
	// worse.
	Tolerance float64
	Turns     []Turn
	Changes   []Change
	// Steady counts measures that moved within the tolerance, or not at all.
	Steady int
	// Notes say what makes the two less comparable.
	Notes []string
}

// Turn is a condition, or a whole check, whose outcome is another one now.
type Turn struct {
	Check, Which, Segment string
	Condition             string // "" for the check itself
	Before, After         string // categories, "not run" or "absent"
	Details               string
	Kind                  Movement
}

// Change is a measure that moved beyond the tolerance.
type Change struct {
	Check, Which, Segment string
	Measure               string
	Before, After         float64
	// Share is the change relative to Before; infinite when that was 0.
	Share float64
	Kind  Movement
}

// Movement is the direction of a turn or change.
type Movement string

// The movements. Moved is that of measures of which neither direction is the
// better one.
const (
	Worse  Movement = "worse"
	Better Movement = "better"
	Moved  Movement = "changed"
)

// Worse counts what got worse.
func (c *Comparison) Worse() int {
	n := 0
	for _, t := range c.Turns {
		if t.Kind == Worse {
			n++
		}
	}
	for _, m := range c.Changes {
		if m.Kind == Worse {
			n++
		}
	}
	return n
}
