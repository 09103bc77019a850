package gcp

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"aloft/providers"
)

// hash is a short digest of parts that is fit for names: lower-case letters and digits.
func hash(n int, parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h[:]))[:n]
}

// instanceName is the name that a token takes: itself where GCE allows it.
func instanceName(token string) string {
	if namePattern.MatchString(token) {
		return token
	}
	return "sky1-" + hash(40, "token", token)
}

// requestID is the id under which GCE remembers a call: a UUID made of what the call is about.
func requestID(parts ...string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	h[6] = h[6]&0x0f | 0x80 // version 8: made by a rule of our own
	h[8] = h[8]&0x3f | 0x80
	x := hex.EncodeToString(h[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// specDigest says whether two requests ask for the same machine.
func specDigest(s providers.NodeSpec) (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("digest of the request: %w", err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16]), nil
}

// instanceID is what a machine is known by: its name, which GCE gives again after a delete, and its number, which it does
// not.
func instanceID(name string, number uint64) string { return fmt.Sprintf("%s.%d", name, number) }

// splitID gives name and number of an id; the number is "" in an id that is not ours.
func splitID(id string) (name, number string) {
	name, number, _ = strings.Cut(id, ".")
	return name, number
}

// target is what stands for a machine in a path: the number where it is known, so that a call never hits a later machine
// of the same name.
func target(id string) string {
	name, number := splitID(id)
	if number != "" {
		return number
	}
	return name
}

// Network tags: one of all our machines, and one of a cluster's.
const allTag = "aloft"

func clusterTag(clusterID string) string { return "aloft-" + hash(20, "cluster", clusterID) }

// labelLimit is the longest value of a label, in characters.
const labelLimit = 63

// labelValue makes a value fit for a label, and reports whether it is unchanged.
func labelValue(v string) (string, bool) {
	out := fold(v)
	if utf8.RuneCountInString(out) > labelLimit {
		r := []rune(out)
		out = strings.TrimRight(string(r[:labelLimit-9]), "-_") + "-" + hash(8, v)
	}
	return out, out == v
}

// labelKey makes a key fit for a label; "" when nothing of it is left.
func labelKey(k string) string {
	out := strings.TrimLeft(fold(k), "-_0123456789")
	if utf8.RuneCountInString(out) > labelLimit {
		out = strings.TrimRight(string([]rune(out)[:labelLimit-9]), "-_") + "-" + hash(8, k)
	}
	return out
}

// fold keeps lower-case letters, digits, dashes and underscores of ASCII; anything else becomes a dash.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
}
