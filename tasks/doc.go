// Package tasks reads what a user asked for: the task YAML (SkyPilot's
// grammar, plus our own tests, artifacts and budget sections) and the
// command-line overrides on top of it.
//
// Everything here is pure: the package parses, types, checks and normalises
// text. It knows no cloud, no catalogue and no network, and reads only the
// files it is told to read. Every problem of a file is reported at once, each
// with the file, line, column and field it belongs to; see [Diagnostic].
//
// Scalars are typed as YAML 1.1 (what PyYAML's safe loader does), because that
// is what existing task files were written against. Where that changes the
// text a user typed (12:30 becomes 750), a warning says so.
package tasks
