package comment

import (
	"regexp"
	"strings"
	"unicode"

	"aloft/controller/forge"
)

// gap is put where text would become markup: nobody sees it, and it parts the characters.
const gap = "\u200b"

var (
	// tags that may stay: without attributes they only lay text out.
	harmless = regexp.MustCompile(`^<(?:/?(?:details|summary|sub|sup|b|strong|em|i|code|kbd)|br ?/?|details open)>|^<!-- -->`)
	entity   = regexp.MustCompile(`^&(?:lt|gt|amp|quot|nbsp|#36);`)
	command  = regexp.MustCompile(`^[ \t]*/[A-Za-z]`)
	ghRef    = regexp.MustCompile(`(?i)\b(gh-)([0-9])`)
	webHost  = regexp.MustCompile(`(?i)\b(www)\.`)
)

// Neutralise makes Markdown of a job, which anyone may have written, safe to post with a token that may write: nobody is
// mentioned, no issue is referred to or closed, no command of GitLab's is given, nothing is linked to or loaded from
// elsewhere, and no HTML stays but what folds and lays text out. Blocks of code that begin at the margin stay as they are,
// and so do links of the form [text](<URL>) to the page of the run.
func Neutralise(text, run string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
	var out []string
	var open *fence
	for _, s := range strings.Split(text, "\n") {
		s = strings.Map(seen, s)
		if open != nil {
			if closes(s, *open) {
				open = nil
			}
			out = append(out, s)
			continue
		}
		if f, ok := opens(s); ok && s[0] != ' ' {
			if n := len(out); n > 0 && strings.TrimSpace(out[n-1]) != "" {
				out = append(out, "") // within a block of HTML it would be no code
			}
			// What follows the fence names a language, nothing more.
			out = append(out, s[:f.size]+language(s[f.size:]))
			open = &f
			continue
		}
		out = append(out, neutralLine(s, run))
	}
	return strings.Join(out, "\n")
}

// language keeps the name of a language.
func language(info string) string {
	name := strings.TrimSpace(info)
	if i := strings.IndexFunc(name, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '+' && r != '-'
	}); i >= 0 {
		return ""
	}
	return name
}

// seen replaces characters that turn text around or are no text.
func seen(r rune) rune {
	switch {
	case r == '\t':
		return r
	case unicode.IsControl(r), r == 0x2028, r == 0x2029, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return '\uFFFD'
	}
	return r
}

func neutralLine(s, run string) string {
	var b strings.Builder
	if command.MatchString(s) {
		b.WriteString(gap)
	}
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case rest[0] == '<':
			if m := harmless.FindString(rest); m != "" {
				b.WriteString(m)
				i += len(m)
				continue
			}
			b.WriteString("<")
			if parts(rest) {
				b.WriteString(gap)
			}
		case rest[0] == '&':
			if m := entity.FindString(rest); m != "" {
				b.WriteString(m)
				i += len(m)
				continue
			}
			b.WriteString("&")
			if parts(rest) {
				b.WriteString(gap)
			}
		case rest[0] == '@', rest[0] == '#' && digitNext(rest), rest[0] == '!' && digitNext(rest):
			b.WriteByte(rest[0])
			if parts(rest) {
				b.WriteString(gap)
			}
		case strings.HasPrefix(rest, "://"):
			b.WriteString(":" + gap)
		case rest[0] == ']' && runLink(rest, run) != "":
			b.WriteString(runLink(rest, run))
			i += len(runLink(rest, run))
			continue
		case rest[0] == ']' && len(rest) > 1 && (rest[1] == '(' || rest[1] == '[' || rest[1] == ':'):
			b.WriteString("]" + gap)
		default:
			// What comes before the next character that matters goes as it is.
			n := strings.IndexAny(rest[1:], special)
			if n < 0 {
				n = len(rest) - 1
			}
			b.WriteString(rest[:n+1])
			i += n
		}
		i++
	}
	line := b.String()
	lower := strings.ToLower(line) // most lines hold neither
	if strings.Contains(lower, "gh-") {
		line = ghRef.ReplaceAllString(line, "$1"+gap+"$2")
	}
	if strings.Contains(lower, "www.") {
		line = webHost.ReplaceAllString(line, "$1"+gap+".")
	}
	return line
}

// special begins what neutralLine looks for.
const special = "<&@#!:]"

var runRest = regexp.MustCompile(`^(?:/attempts/[0-9]+)?>\)`)

// runLink is the end of a link to the page of the run, or of an attempt of it, that a text begins with.
func runLink(s, run string) string {
	rest, ok := strings.CutPrefix(s, "](<"+run)
	if !ok || !strings.HasPrefix(run, "https://") && !strings.HasPrefix(run, "http://") || strings.ContainsAny(run, "<> \\") {
		return ""
	}
	end := runRest.FindString(rest)
	if end == "" {
		return ""
	}
	return "](<" + run + end
}

// parts says that a gap is wanted after the first character.
func parts(s string) bool {
	return len(s) > 1 && s[1] != ' ' && !strings.HasPrefix(s[1:], gap)
}

func digitNext(s string) bool { return len(s) > 1 && s[1] >= '0' && s[1] <= '9' }

// charts are the curves of a report, in Mermaid.
var charts = regexp.MustCompile("(?s)\n<details><summary>Curves: [0-9]+</summary>\n\n```mermaid\n.*?\n</details>\n")

// Dialect turns Markdown that GitHub and GitLab show into what a forge shows: Bitbucket knows no HTML.
func Dialect(text string, k forge.Kind) string {
	if k != forge.Bitbucket {
		return text
	}
	text = charts.ReplaceAllString(text, "") // it draws none; the table has small curves
	var out []string
	var open *fence
	for _, s := range strings.Split(text, "\n") {
		if open != nil {
			if closes(s, *open) {
				open = nil
			}
			out = append(out, s)
			continue
		}
		if f, ok := opens(s); ok {
			open = &f
			out = append(out, s)
			continue
		}
		out = append(out, flat(s))
	}
	return strings.Join(out, "\n")
}

var (
	summary = regexp.MustCompile(`<summary>(.*?)</summary>`)
	anyTag  = regexp.MustCompile(`</?(?:details|summary|sub|sup|kbd)(?: open)?>`)
	bold    = regexp.MustCompile(`</?(?:b|strong)>`)
	italic  = regexp.MustCompile(`</?(?:i|em)>`)
)

func flat(s string) string {
	s = summary.ReplaceAllString(s, "**$1**")
	s = anyTag.ReplaceAllString(s, "")
	s = italic.ReplaceAllString(bold.ReplaceAllString(s, "**"), "*")
	return strings.NewReplacer("<!-- -->", gap, "<br>", " ", "<br/>", " ", "<br />", " ", "<code>", "`", "</code>", "`").Replace(s)
}
