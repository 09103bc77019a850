package oidclab

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestVerify: the laboratory's clouds believe only what the CI system signed, for them, and just now.
func TestVerify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, err := New(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		other, err := New(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		sign := func(l *Lab, audience string, claims map[string]any) string {
			s, err := l.Token(audience, claims)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		good := sign(l, "a", nil)
		for _, x := range []struct {
			name, token string
			want        error
		}{
			{"good", good, nil},
			{"another key", sign(other, "a", nil), errSignature},
			{"no signature", good[:len(good)-86], errSignature},
			{"another audience", sign(l, "b", nil), errAudience},
			{"another subject", sign(l, "a", map[string]any{"sub": "repo:acme/other:pull_request"}), errSubject},
			{"another issuer", sign(l, "a", map[string]any{"iss": "https://elsewhere.test"}), errSignature},
			{"not yet", sign(l, "a", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), errEnded},
			{"no token", "x", errSignature},
		} {
			if err := l.verify(x.token, "a"); !errors.Is(err, x.want) {
				t.Errorf("%s: got %v, want %v", x.name, err, x.want)
			}
		}
		time.Sleep(time.Minute)
		if err := l.verify(good, "a"); !errors.Is(err, errEnded) {
			t.Errorf("after a minute: %v", err)
		}
	})
}
