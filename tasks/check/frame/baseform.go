package frame

import (
	"strings"
	"unicode"
)

// BaseForm is a text in lower case without anything but letters and digits, or
// the text itself when nothing else would be left: what spellings of one thing
// have in common.
func BaseForm(s string) string {
	if base := BareForm(s); base != "" {
		return base
	}
	return s
}

// BareForm is BaseForm without its exception: "" when there is no letter or
// digit.
func BareForm(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
