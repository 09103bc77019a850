package forge

import (
	"fmt"
	"strings"
	"time"
)

// Reason is why a forge did not do something.
type Reason string

// The reasons.
const (
	Unauthorized Reason = "unauthorized" // the token is none, or ran out
	Forbidden    Reason = "forbidden"    // the token may not
	NotFound     Reason = "not_found"    // not there, or not to be seen with this token
	TooLong      Reason = "too_long"
	Invalid      Reason = "invalid"
	RateLimited  Reason = "rate_limited"
	Unavailable  Reason = "unavailable" // 5xx, or no answer
	Unexpected   Reason = "unexpected"
)

// Error is a call that failed. It holds nothing secret.
type Error struct {
	Doing  string // "list comments"
	Status int    // of HTTP; 0 = there was no answer
	Reason Reason
	Detail string // what the forge said, made safe to print
	// Unsure says that the call may have been carried out all the same.
	Unsure bool
	// After is how long the forge asked to wait.
	After time.Duration
	cause error
}

// Error says what failed and what the forge answered.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Doing)
	switch {
	case e.Status > 0:
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	case e.cause != nil:
		fmt.Fprintf(&b, ": %v", e.cause)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Reason == RateLimited {
		b.WriteString(": the limit of requests is used up")
		if e.After > 0 {
			fmt.Fprintf(&b, ", again in %s", e.After.Round(time.Second))
		}
	}
	return b.String()
}

// Unwrap gives what broke the call when there was no answer.
func (e *Error) Unwrap() error { return e.cause }
