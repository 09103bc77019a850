// Package filter reads the filters that Compute Engine's lists take.
package filter

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Filter decides whether a list shows a resource, which is given as its JSON object.
type Filter func(map[string]any) bool

// Parse reads a list filter as Compute Engine documents it: comparisons with = != > < >= <= and :, AND (also by
// juxtaposition), OR (which binds closer, as in AIP-160), NOT, - and parentheses; or, not mixed with these, the older eq
// and ne with a regular expression.
func Parse(s string) (Filter, error) {
	if strings.TrimSpace(s) == "" {
		return func(map[string]any) bool { return true }, nil
	}
	words, err := lex(s)
	if err != nil {
		return nil, err
	}
	p := &filterParser{words: words}
	f, err := p.and()
	if err != nil {
		return nil, err
	}
	if p.at < len(p.words) {
		return nil, fmt.Errorf("unexpected %q", p.words[p.at].text)
	}
	if p.older && p.newer {
		return nil, fmt.Errorf("eq and ne cannot be mixed with other operators")
	}
	return f, nil
}

// word is one token of a filter.
type word struct {
	text   string
	quoted bool
}

var filterOps = []string{">=", "<=", "!=", "=", ">", "<", ":"}

func lex(s string) ([]word, error) {
	var out []word
	for i := 0; i < len(s); {
		switch ch := s[i]; {
		case ch == ' ' || ch == '\t' || ch == '\n':
			i++
		case ch == '(' || ch == ')':
			out = append(out, word{text: string(ch)})
			i++
		case ch == '"' || ch == '\'':
			var b strings.Builder
			j := i + 1
			for ; j < len(s) && s[j] != ch; j++ {
				if s[j] == '\\' && j+1 < len(s) && (s[j+1] == ch || s[j+1] == '\\') {
					j++
				}
				b.WriteByte(s[j])
			}
			if j >= len(s) {
				return nil, fmt.Errorf("a quote is not closed")
			}
			out = append(out, word{text: b.String(), quoted: true})
			i = j + 1
		default:
			if op := operator(s[i:]); op != "" {
				out = append(out, word{text: op})
				i += len(op)
				continue
			}
			j := i
			for j < len(s) && !strings.ContainsRune(" \t\n()", rune(s[j])) && operator(s[j:]) == "" {
				j++
			}
			out = append(out, word{text: s[i:j]})
			i = j
		}
	}
	return out, nil
}

func operator(s string) string {
	for _, op := range filterOps {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

type filterParser struct {
	words []word
	at    int
	depth int
	older bool // eq or ne was seen
	newer bool // another operator was
}

func (p *filterParser) peek(texts ...string) bool {
	if p.at >= len(p.words) || p.words[p.at].quoted {
		return false
	}
	for _, t := range texts {
		if p.words[p.at].text == t {
			return true
		}
	}
	return false
}

func (p *filterParser) and() (Filter, error) {
	if p.depth++; p.depth > 50 {
		return nil, fmt.Errorf("too deep")
	}
	defer func() { p.depth-- }()
	f, err := p.or()
	if err != nil {
		return nil, err
	}
	for p.at < len(p.words) && !p.peek(")") {
		if p.peek("AND") {
			p.at++
		}
		left := f
		right, err := p.or()
		if err != nil {
			return nil, err
		}
		f = func(o map[string]any) bool { return left(o) && right(o) }
	}
	return f, nil
}

func (p *filterParser) or() (Filter, error) {
	f, err := p.unary()
	if err != nil {
		return nil, err
	}
	for p.peek("OR") {
		p.at++
		left := f
		right, err := p.unary()
		if err != nil {
			return nil, err
		}
		f = func(o map[string]any) bool { return left(o) || right(o) }
	}
	return f, nil
}

func (p *filterParser) unary() (Filter, error) {
	switch {
	case p.peek("NOT"):
		p.at++
		f, err := p.unary()
		if err != nil {
			return nil, err
		}
		return func(o map[string]any) bool { return !f(o) }, nil
	case p.peek("("):
		p.at++
		f, err := p.and()
		if err != nil {
			return nil, err
		}
		if !p.peek(")") {
			return nil, fmt.Errorf("a parenthesis is not closed")
		}
		p.at++
		return f, nil
	}
	return p.comparison()
}

func (p *filterParser) comparison() (Filter, error) {
	if p.at+2 >= len(p.words) {
		return nil, fmt.Errorf("a comparison is not complete")
	}
	field, op, value := p.words[p.at], p.words[p.at+1], p.words[p.at+2]
	if field.quoted || op.quoted || strings.ContainsAny(field.text, "()") || (!value.quoted && strings.ContainsAny(value.text, "()")) {
		return nil, fmt.Errorf("a comparison is not complete")
	}
	p.at += 3
	if old := op.text == "eq" || op.text == "ne"; old {
		p.older = true
	} else {
		p.newer = true
	}
	name, not := strings.CutPrefix(field.text, "-")
	f, err := compare(strings.Split(name, "."), op.text, value)
	if err != nil || !not {
		return f, err
	}
	return func(o map[string]any) bool { return !f(o) }, nil
}

func compare(path []string, op string, value word) (Filter, error) {
	switch op {
	case "eq", "ne":
		r, err := regexp.Compile("^(?:" + value.text + ")$")
		if err != nil {
			return nil, err
		}
		return func(o map[string]any) bool {
			v, ok := lookup(o, path)
			return (ok && r.MatchString(v)) == (op == "eq")
		}, nil
	case "=":
		return func(o map[string]any) bool { v, ok := lookup(o, path); return ok && v == value.text }, nil
	case "!=":
		return func(o map[string]any) bool { v, ok := lookup(o, path); return !ok || v != value.text }, nil
	case ":":
		if value.text == "*" && !value.quoted {
			return func(o map[string]any) bool { _, ok := lookup(o, path); return ok }, nil
		}
		return func(o map[string]any) bool {
			v, ok := lookup(o, path)
			return ok && strings.Contains(strings.ToLower(v), strings.ToLower(strings.Trim(value.text, "*")))
		}, nil
	case ">", "<", ">=", "<=":
		return func(o map[string]any) bool {
			v, ok := lookup(o, path)
			if !ok {
				return false
			}
			c := strings.Compare(v, value.text)
			a, aerr := strconv.ParseFloat(v, 64)
			b, berr := strconv.ParseFloat(value.text, 64)
			if aerr == nil && berr == nil {
				c = 0
				if a < b {
					c = -1
				} else if a > b {
					c = 1
				}
			}
			return (c > 0 && op[0] == '>') || (c < 0 && op[0] == '<') || (c == 0 && len(op) == 2)
		}, nil
	}
	return nil, fmt.Errorf("no operator %q", op)
}

// lookup gives the field at a path as text. A label's key may hold dots in filters of other services; here it cannot.
func lookup(o map[string]any, path []string) (string, bool) {
	var v any = o
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return "", false
		}
		if v, ok = m[p]; !ok {
			return "", false
		}
	}
	switch t := v.(type) {
	case string:
		return t, true
	case bool, int, float64:
		return fmt.Sprint(t), true
	case nil:
		return "", false
	}
	return "", true
}
