package ignore

import "strings"

// globs are the lines of a .skyignore.
type globs []glob

type glob struct {
	parts   []string
	dirOnly bool
}

func parseGlobs(text string) globs {
	var out globs
	for _, l := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		var g glob
		if l[0] != '/' {
			g.parts = append(g.parts, "**")
		}
		g.dirOnly = strings.HasSuffix(l, "/")
		for _, p := range strings.Split(l, "/") {
			if p != "" && p != "." {
				g.parts = append(g.parts, p)
			}
		}
		if n := len(g.parts); n > 1 || (n == 1 && g.parts[0] != "**") {
			out = append(out, g)
		}
	}
	return out
}

// match tells whether a path or one of the directories above it matches a line.
func (gs globs) match(rel string, dir bool) bool {
	path := strings.Split(rel, "/")
	for n := 1; n <= len(path); n++ {
		for _, g := range gs {
			if g.dirOnly && n == len(path) && !dir {
				continue
			}
			if matchParts(g.parts, path[:n]) {
				return true
			}
		}
	}
	return false
}

// matchParts matches all components; ** takes any number of them, none of which begins with a dot.
func matchParts(parts, path []string) bool {
	for len(parts) > 0 {
		if parts[0] == "**" {
			for i := 0; ; i++ {
				if matchParts(parts[1:], path[i:]) {
					return true
				}
				if i == len(path) || path[i][0] == '.' {
					return false
				}
			}
		}
		if len(path) == 0 {
			return false
		}
		if path[0][0] == '.' && parts[0][0] != '.' {
			return false
		}
		if !wildmatch(parts[0], path[0], false) {
			return false
		}
		parts, path = parts[1:], path[1:]
	}
	return len(path) == 0
}
