// Package engine runs checks over data and predictions and judges their
// results by conditions. It knows no check of its own and renders nothing:
// the families of checks and the reports stand on it.
package engine

import "context"

// Scope says over what a check runs.
type Scope string

// The scopes.
const (
	// SingleDataset checks run on train and on test separately.
	SingleDataset Scope = "single_dataset"
	// TrainTest checks compare both.
	TrainTest Scope = "train_test"
	// ModelOnly checks look at the model alone.
	ModelOnly Scope = "model_only"
)

// Mode chooses between our behaviour and that of deepchecks where deepchecks
// is known to be wrong.
type Mode string

// The modes.
const (
	// Mended is the default: known defects of deepchecks are corrected.
	Mended Mode = ""
	// Deepchecks reproduces deepchecks, defects included.
	Deepchecks Mode = "deepchecks"
)

// Check computes one result. Checks hold their parameters and no other state.
type Check interface {
	// ID is the check's stable name: "DataDuplicates".
	ID() string
	// Run computes the result. The error, if any, is an *Error.
	Run(ctx context.Context, c *Context) (Result, error)
}

// Result is what a check found. It holds no rendering.
type Result struct {
	// Value is what conditions judge and reports write.
	Value Encoder
	// Reduced is the value as one or few numbers for monitoring; nil if the
	// check has no such form.
	Reduced Object
	// Displays are tables and plots that explain the value.
	Displays []Display
	// Judged are conditions that the check has judged itself; they come before
	// those that the document adds.
	Judged []Judged
}

// Verdict is the outcome of a condition.
type Verdict string

// The verdicts, from worst to best in the order reports use.
const (
	Fail   Verdict = "FAIL"
	Warn   Verdict = "WARN"
	Broken Verdict = "ERROR"
	Pass   Verdict = "PASS"
)

// Condition judges a result.
type Condition struct {
	// ID is the method's stable name: "ratio_less_or_equal".
	ID string
	// Name is the readable sentence with its threshold.
	Name string
	// Params are the condition's parameters.
	Params Object
	// Judge returns the verdict and its details.
	Judge func(Result) (Verdict, string, error)
}

// Judge makes a condition's function from one over the check's own type of
// value; a result of another type is an error.
func Judge[V Encoder](f func(V) (Verdict, string, error)) func(Result) (Verdict, string, error) {
	return func(r Result) (Verdict, string, error) {
		v, ok := r.Value.(V)
		if !ok {
			return Broken, "", Errorf(ValueError, "the condition does not fit results of type %T", r.Value)
		}
		return f(v)
	}
}

// Judged is the outcome of one condition.
type Judged struct {
	ID      string
	Name    string
	Params  Object
	Verdict Verdict
	Details string
}
