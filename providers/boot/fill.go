package boot

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The script's own small template language: {{.Name}} stands for a value; of what is between {{- if .Name}}, {{- else}} and
// {{- end}} the first part stays when there is a value, else the second. White space before these three goes. The standard
// library's templates call methods by name, which makes the linker keep every method of every type: with the clouds' SDKs
// in the program that is half of it.
var mark = regexp.MustCompile(`\s*\{\{- (if \.\w+|else|end)\}\}|\{\{\.\w+\}\}`)

// fill puts values into the script. A name without a value is an error.
func fill(source string, values map[string]string) ([]byte, error) {
	var out strings.Builder
	var unknown []string
	get := func(name string) string {
		v, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return v
	}
	shown := []bool{true} // of each open part, the innermost last
	put := func(s string) {
		if shown[len(shown)-1] {
			out.WriteString(s)
		}
	}
	at := 0
	for _, m := range mark.FindAllStringSubmatchIndex(source, -1) {
		put(source[at:m[0]])
		at = m[1]
		word := ""
		if m[2] >= 0 {
			word = source[m[2]:m[3]]
		}
		name, isIf := strings.CutPrefix(word, "if .")
		last := len(shown) - 1
		switch {
		case word == "":
			put(get(strings.Trim(source[m[0]:m[1]], "{.}")))
		case isIf:
			shown = append(shown, shown[last] && get(name) != "")
		case last == 0:
			return nil, errors.New("an else or end without an if")
		case word == "else":
			shown[last] = shown[last-1] && !shown[last]
		default:
			shown = shown[:last]
		}
	}
	put(source[at:])
	switch {
	case len(shown) > 1:
		return nil, errors.New("an if without an end")
	case len(unknown) > 0:
		return nil, fmt.Errorf("no value for %s", strings.Join(unknown, ", "))
	}
	return []byte(out.String()), nil
}
