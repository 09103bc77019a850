// Package comment keeps one comment per key on a pull request, issue or commit up to date, whoever else posts there.
package comment

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"aloft/controller/forge"
)

// Stamp orders what was posted: by run, attempt and moment.
type Stamp struct {
	Run     int64
	Attempt int64
	AtMS    int64
}

// older says that the run is one before that of o; runs that are not known are not older than any.
func (s Stamp) older(o Stamp) bool {
	if s.Run == 0 || o.Run == 0 {
		return false
	}
	return s.Run < o.Run || s.Run == o.Run && s.Attempt < o.Attempt
}

// before orders stamps completely.
func (s Stamp) before(o Stamp) bool {
	if s.older(o) || o.older(s) {
		return s.older(o)
	}
	return s.AtMS < o.AtMS
}

// marker is the first line of a comment of ours; readers do not see it.
type marker struct {
	key   string
	stamp Stamp
	hash  string // of the text
}

// The forms of a marker: a comment of HTML, and for Bitbucket, which shows those, the definition of a link that nothing uses.
var (
	markerHTML = regexp.MustCompile(`^<!-- sky-report:v1 (.*) -->$`)
	markerLink = regexp.MustCompile(`^\[sky-report\]: #(?: |%20)?\(?v1 (.*?)\)?$`)
)

// cmlMark is the watermark of CML, with its label.
var cmlMark = regexp.MustCompile(`!\[\]\(https://cml\.dev/watermark\.png(?:#[^ )]*)? "CML watermark ?([^"]*)"\)`)

func (m marker) line(k forge.Kind) string {
	text := "key=" + escapeKey(m.key) + " run=" + strconv.FormatInt(m.stamp.Run, 10) + " attempt=" + strconv.FormatInt(m.stamp.Attempt, 10) +
		" at=" + strconv.FormatInt(m.stamp.AtMS, 10) + " hash=" + m.hash
	if k == forge.Bitbucket {
		return "[sky-report]: # (v1 " + text + ")"
	}
	return "<!-- sky-report:v1 " + text + " -->"
}

// escapeKey leaves nothing that ends a comment of HTML or that a forge rewrites.
func escapeKey(key string) string {
	return strings.NewReplacer("-", "%2D", "_", "%5F", "~", "%7E", ".", "%2E").Replace(url.QueryEscape(key))
}

// parseMarker reads the marker of a comment's text.
func parseMarker(body string) (marker, bool) {
	line, _, _ := strings.Cut(strings.TrimLeft(body, "\ufeff \r\n"), "\n")
	line = strings.TrimSpace(line)
	found := markerHTML.FindStringSubmatch(line)
	if found == nil {
		found = markerLink.FindStringSubmatch(line)
	}
	if found == nil {
		return marker{}, false
	}
	var m marker
	ok := false
	for _, field := range strings.Fields(found[1]) {
		k, v, _ := strings.Cut(field, "=")
		switch k {
		case "key":
			key, err := url.QueryUnescape(v)
			m.key, ok = key, err == nil
		case "run":
			m.stamp.Run = whole(v)
		case "attempt":
			m.stamp.Attempt = whole(v)
		case "at":
			m.stamp.AtMS = whole(v)
		case "hash":
			m.hash = v
		}
	}
	return m, ok
}

func whole(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// cmlLabel finds the label of CML's watermark. Forges give the text back with some characters escaped.
func cmlLabel(body string) (string, bool) {
	all := cmlMark.FindAllStringSubmatch(body, -1)
	if len(all) == 0 {
		return "", false
	}
	label := all[len(all)-1][1]
	return strings.TrimSpace(strings.NewReplacer(`\_`, "_", `\*`, "*", `\[`, "[", `\<`, "<").Replace(label)), true
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
