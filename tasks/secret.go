package tasks

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every printed form of a secret shows.
const Redacted = "<redacted>"

// Secret is a value that never prints itself: every formatting, JSON, text and
// logging path shows Redacted. Only Reveal returns the value.
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value. Call it only where the value is handed to the
// process that needs it.
func (s Secret) Reveal() string { return s.value }

// String returns Redacted.
func (s Secret) String() string { return Redacted }

// GoString returns Redacted, for %#v.
func (s Secret) GoString() string { return Redacted }

// Format writes Redacted for every verb, so that %x and %q do not leak either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalJSON returns Redacted as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText returns Redacted, for encoders that work on text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalYAML returns Redacted.
func (s Secret) MarshalYAML() (any, error) { return Redacted, nil }

// LogValue returns Redacted, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }
