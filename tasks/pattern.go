package tasks

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used: most commands use none, and all of them
// together take longer than everything else that a command does before it begins.
type pattern struct {
	compile func() *regexp.Regexp
}

func newPattern(text string) pattern {
	return pattern{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

func (p pattern) MatchString(s string) bool { return p.compile().MatchString(s) }

func (p pattern) FindStringSubmatch(s string) []string { return p.compile().FindStringSubmatch(s) }

func (p pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.compile().FindAllStringSubmatch(s, n)
}

func (p pattern) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return p.compile().FindAllStringSubmatchIndex(s, n)
}

func (p pattern) ReplaceAllStringFunc(s string, f func(string) string) string {
	return p.compile().ReplaceAllStringFunc(s, f)
}
