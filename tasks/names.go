package tasks

import (
	"fmt"
)

var (
	reTaskName    = newPattern(`^[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*$`)
	reClusterName = newPattern(`^[a-zA-Z](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$`)
	reGroupName   = newPattern(`^[a-zA-Z0-9_-]+$`)
	reEnvName     = newPattern(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// ValidClusterName returns an error that says what a cluster name may be, or nil.
func ValidClusterName(name string) error {
	if reClusterName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("the cluster name %s is not valid: it starts with a letter, goes on with letters, digits, '-', '_' or '.', and ends with a letter or digit", quote(name))
}

// ValidTaskName returns an error that says what a task name may be, or nil.
func ValidTaskName(name string) error {
	if reTaskName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("the task name %s is not valid: it is ASCII letters and digits, joined by one or two of '.', '_' and '-'", quote(name))
}

// TaskName returns the name to show for task i (from 0) of the document:
// its own, or the pipeline's with the index.
func (d *Document) TaskName(i int) string {
	if n := d.Tasks[i].Name; n != "" {
		return n
	}
	if d.Name != "" && len(d.Tasks) > 1 {
		return fmt.Sprintf("%s-%d", d.Name, i)
	}
	return d.Name
}
