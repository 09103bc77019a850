package engine

import (
	"errors"
	"fmt"
)

// Class names the kind of an error, with the names users of deepchecks know.
type Class string

// The classes.
const (
	// ValueError is a bad argument or a bad state: the user's mistake.
	ValueError Class = "DeepchecksValueError"
	// NotSupported means that the check does not apply to this input.
	NotSupported Class = "DeepchecksNotSupportedError"
	// ProcessError means that the algorithm could not produce a result.
	ProcessError Class = "DeepchecksProcessError"
	// DatasetValidation means that a table is malformed or does not fit.
	DatasetValidation Class = "DatasetValidationError"
	// ModelValidation means that predictions are malformed or do not fit.
	ModelValidation Class = "ModelValidationError"
	// NotEnoughSamples means that there are too few rows.
	NotEnoughSamples Class = "NotEnoughSamplesError"
	// Timeout means that the check was predicted to run too long.
	Timeout Class = "DeepchecksTimeoutError"
	// Internal is a defect of this program: a check crashed.
	Internal Class = "InternalError"
)

// Cause says what a check that did not run means for the verdict.
type Cause string

// The causes.
const (
	// Failed: the check ought to have run. It counts against the report.
	Failed Cause = "error"
	// Irrelevant: the task has no use for the check.
	Irrelevant Cause = "irrelevant"
	// Missing: an input that the check needs was not given.
	Missing Cause = "missing_input"
)

// Error is the outcome of a check that could not run.
type Error struct {
	Class   Class
	Cause   Cause
	Message string
}

// Error returns the message alone; the class is for programs.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error that counts as a failure; too few rows are an input
// that is missing.
func Errorf(class Class, format string, args ...any) *Error {
	cause := Failed
	if class == NotEnoughSamples {
		cause = Missing
	}
	return &Error{Class: class, Cause: cause, Message: fmt.Sprintf(format, args...)}
}

// irrelevant makes an Error for a check that the task has no use for.
func irrelevant(class Class, message string) *Error {
	return &Error{Class: class, Cause: Irrelevant, Message: message}
}

// missing makes an Error for an input that was not given.
func missing(class Class, message string) *Error {
	return &Error{Class: class, Cause: Missing, Message: message}
}

// asError turns any error into an Error; those from outside the checks keep
// their text under the class Internal.
func asError(err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	return &Error{Class: Internal, Cause: Failed, Message: err.Error()}
}
