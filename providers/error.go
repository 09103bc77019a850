package providers

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies a failure so that callers decide on it without reading its text.
type Kind int

// Kinds of failure.
const (
	KindUnknown Kind = iota
	Capacity         // none to be had now, here
	Quota            // the account may not have more
	Auth             // credentials missing, expired or refused
	Invalid          // the request can never work
	Conflict         // the token is bound to something else
	NotFound         // what was named does not exist
	Throttled        // too many calls; see RetryAfter
	Transient        // try again
	Unsupported      // this provider cannot do it
)

var kindNames = [...]string{"unknown", "capacity", "quota", "auth", "invalid", "conflict", "not found", "throttled", "transient", "unsupported"}

// String is the kind's lower-case word.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", int(k))
	}
	return kindNames[k]
}

// CodeAgentStart is the code of an agent that was installed on a machine and does not start there.
const CodeAgentStart = "agent-start"

// Scope says how much of a provider a failure speaks of: what the planner blocks.
type Scope int

// Scopes, growing.
const (
	ScopeZone Scope = iota
	ScopeRegion
	ScopeAccount
	ScopeProvider
)

var scopeNames = [...]string{"zone", "region", "account", "provider"}

// String is the scope's lower-case word.
func (s Scope) String() string {
	if s < 0 || int(s) >= len(scopeNames) {
		return fmt.Sprintf("scope %d", int(s))
	}
	return scopeNames[s]
}

// Error is the only error type that leaves a provider, besides context errors.
type Error struct {
	Provider   string
	Op         string // create, describe, delete, stop, start, offers, shell, check
	Kind       Kind
	Scope      Scope
	Code       string        // the vendor's code, or ours
	RetryAfter time.Duration // 0 = the caller's own pace
	Err        error         // cause; never holds a secret
	Hint       string        // what a person can do
}

// Error is one line: provider, operation, kind, code and cause.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %s", e.Provider, e.Op, e.Kind)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf finds the kind of err; KindUnknown when no *Error is in its chain.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindUnknown
}
