package train

import (
	"bytes"
	"strings"
)

// Script wraps the text of setup or run into a bash script: it changes to
// workdir (unless empty), turns Python's output buffering off, and then holds
// the user's text verbatim. There is no `set -e`: the exit code is that of the
// user's last command. Run it with bash.
func Script(user string, workdir string) []byte {
	var b bytes.Buffer
	b.WriteString("#!/bin/bash\n")
	b.WriteString("export PYTHONUNBUFFERED=1\n")
	if workdir != "" {
		b.WriteString("cd -- " + quotePath(workdir) + " || exit 1\n")
	}
	b.WriteString(user)
	if user != "" && !strings.HasSuffix(user, "\n") {
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// quotePath quotes a path for bash and lets a leading ~ mean the home directory.
func quotePath(p string) string {
	if p == "~" {
		return `"$HOME"`
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		return `"$HOME"/` + singleQuote(rest)
	}
	return singleQuote(p)
}

func singleQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
