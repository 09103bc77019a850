// Package runners reads what people and publishers write about the machines of self-hosted runners: times without a job, and
// digests of programs.
package runners

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// LongestSpan is the longest time that Span takes.
const LongestSpan = 366 * 24 * time.Hour

var spanPart = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?(?:\s|,|and\b|$|[0-9])`)

// Span reads a time as users of CML write it: seconds (300), Go's form (1h30m) or words (5 minutes, 1 hour and 30 minutes).
// "never" is 0. An error says only that it is none.
func Span(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no time of at most 366 days", s)
	text := strings.ToLower(strings.TrimSpace(s))
	if text == "never" {
		return 0, nil
	}
	if text == "" {
		return 0, bad
	}
	var sum time.Duration
	for text != "" {
		m := spanPart.FindStringSubmatch(text)
		if m == nil {
			return 0, bad
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, bad
		}
		unit := time.Second
		switch {
		case strings.HasPrefix(m[2], "m"):
			unit = time.Minute
		case strings.HasPrefix(m[2], "h"):
			unit = time.Hour
		case strings.HasPrefix(m[2], "d"):
			unit = 24 * time.Hour
		case strings.HasPrefix(m[2], "w"):
			unit = 7 * 24 * time.Hour
		}
		if n*float64(unit) > float64(LongestSpan) {
			return 0, bad
		}
		sum += time.Duration(n * float64(unit))
		rest := strings.TrimPrefix(strings.TrimLeft(text[len(m[1]):], " \t"), m[2])
		if m[2] == "" && rest != "" {
			return 0, bad // a number without a unit stands alone
		}
		rest = strings.TrimLeft(rest, " \t,")
		if after, ok := strings.CutPrefix(rest, "and "); ok {
			rest = strings.TrimLeft(after, " \t")
		}
		if text = rest; sum > LongestSpan {
			return 0, bad
		}
	}
	return sum, nil
}

// Arches are the machines for which there are programs of runners, in GitHub's words.
func Arches() []string { return []string{"x64", "arm64"} }

// GoArch is an architecture of Arches as Go, and GitLab, call it.
func GoArch(arch string) string {
	if arch == "x64" {
		return "amd64"
	}
	return arch
}

// IsDigest reports whether a text is a SHA-256 in hexadecimal.
func IsDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32
}

// GitLabDigests reads the digests of GitLab's runner for Linux, by architecture of Arches, out of its release.sha256, which is
// what sha256sum writes. Lines that are something else count for nothing.
func GitLabDigests(text []byte) map[string]string {
	out := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 2 || !IsDigest(f[0]) {
			continue
		}
		name := path.Base(strings.TrimPrefix(f[1], "*"))
		for _, arch := range Arches() {
			if name == "gitlab-runner-linux-"+GoArch(arch) {
				out[arch] = f[0]
			}
		}
	}
	return out
}
