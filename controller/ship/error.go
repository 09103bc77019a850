package ship

import "aloft/providers"

// codeNoAgent: there is no agent that could be sent, now or later.
const codeNoAgent = "no-agent"

// failure is an error of this package that the planner can decide on: to errors.As it is a *providers.Error, to people
// it is its cause.
type failure struct {
	kind       providers.Kind
	code, hint string
	err        error
}

// never is a failure that trying again cannot mend.
func never(code, hint string, err error) error {
	return &failure{kind: providers.Unsupported, code: code, hint: hint, err: err}
}

// unstarted is the failure of an agent that lies on the node and does not run: not mended by trying many times.
func unstarted(err error) error {
	return &failure{kind: providers.Transient, code: providers.CodeAgentStart, err: err,
		hint: "see .aloft/agent/agent.log in the node's home; an agent of another build or platform cannot run"}
}

// Error is the cause's text.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// As shows the failure as a *providers.Error.
func (f *failure) As(target any) bool {
	t, ok := target.(**providers.Error)
	if ok {
		*t = &providers.Error{Provider: "sky", Op: "ship", Kind: f.kind, Scope: providers.ScopeProvider, Code: f.code, Err: f.err, Hint: f.hint}
	}
	return ok
}
