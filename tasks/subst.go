package tasks

import (
	"fmt"
	"strings"
)

// reSubst matches $$, $NAME, ${NAME} and ${NAME:-default}.
var reSubst = newPattern(`\$(?:\$|([a-zA-Z_][a-zA-Z0-9_]*)|\{([a-zA-Z_][a-zA-Z0-9_]*)(?::-([^}]*))?\})`)

// substituter replaces variables inside the strings of a few fields. It works
// on each string by itself, so a value can never change the structure of the
// document.
type substituter struct {
	c       *checker
	envs    map[string]string
	secrets map[string]Secret
	masks   map[string]string
	added   int // bytes written so far
}

// spend counts written bytes and reports, once, when they are too many.
func (s *substituter) spend(n int, v *value, path string) bool {
	was := s.added
	s.added += n
	if s.added > MaxFileSize && was <= MaxFileSize {
		s.c.fail(v.pos, path, "replacing variables makes the file too large", fmt.Sprintf("at most %d MiB of text", MaxFileSize>>20), "")
	}
	return s.added <= MaxFileSize
}

// tree replaces variables in every key and string below v, in place.
func (s *substituter) tree(v *value, path string) {
	if v == nil || v.literal {
		return
	}
	if v.kind == kindText {
		s.text(v, path)
	}
	for i, it := range v.items {
		s.tree(it, index(path, i))
	}
	for _, e := range v.entries {
		at := join(path, e.name())
		s.tree(e.key, at)
		s.tree(e.val, at)
	}
}

func (s *substituter) text(v *value, path string) {
	if !strings.Contains(v.text, "$") {
		return
	}
	var real, mask strings.Builder
	secret := false
	last, spent := 0, 0
	for _, m := range reSubst.FindAllStringSubmatchIndex(v.text, -1) {
		for _, b := range []*strings.Builder{&real, &mask} {
			b.WriteString(v.text[last:m[0]])
		}
		last = m[1]
		if !s.spend(real.Len()-spent, v, path) {
			return
		}
		spent = real.Len()
		whole := v.text[m[0]:m[1]]
		group := func(i int) (string, bool) {
			if m[2*i] < 0 {
				return "", false
			}
			return v.text[m[2*i]:m[2*i+1]], true
		}
		name, ok := group(1)
		if !ok {
			name, _ = group(2)
		}
		def, hasDef := group(3)
		if name == "" { // $$
			real.WriteByte('$')
			mask.WriteString("$$")
			continue
		}
		if sec, ok := s.secrets[name]; ok && (sec.Reveal() != "" || !hasDef) {
			real.WriteString(sec.Reveal())
			mask.WriteString(whole)
			secret = true
			continue
		}
		_, isSecret := s.secrets[name]
		if env, ok := s.envs[name]; ok && !isSecret && (env != "" || !hasDef) {
			real.WriteString(env)
			mask.WriteString(escapeDollar(env))
			continue
		}
		if hasDef {
			real.WriteString(def)
			mask.WriteString(escapeDollar(def))
			continue
		}
		s.c.warn(v.pos, path, fmt.Sprintf("the variable %s is not set; %s stays as it is", name, whole), "",
			fmt.Sprintf("declare it under envs, or write $%s to keep it literally", whole))
		real.WriteString(whole)
		mask.WriteString(escapeDollar(whole))
	}
	real.WriteString(v.text[last:])
	mask.WriteString(v.text[last:])
	if !s.spend(real.Len()-spent, v, path) {
		return
	}
	v.text = real.String()
	if secret {
		v.mask, v.masked = mask.String(), true
		if v.text != "" {
			s.masks[v.text] = v.mask
		}
	}
}

// escapeDollar writes text so that substitution gives it back unchanged.
func escapeDollar(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		if s[i] == '$' && (i+1 == len(s) || reSubstStart.MatchString(s[i+1:i+2])) {
			b.WriteByte('$')
		}
	}
	return b.String()
}

var reSubstStart = newPattern(`^[$a-zA-Z_{]`)

// masked returns the printable form of a substituted string: with ${NAME} where
// a secret went in, and dollars escaped elsewhere.
func (t *Task) masked(s string) string {
	if m, ok := t.masks[s]; ok {
		return m
	}
	return escapeDollar(s)
}
