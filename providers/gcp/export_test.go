package gcp

// RoleFile is the custom role for tests.
func RoleFile() string { return roleFile() }

// Methods are the ids of the calls in the table.
func Methods() []string {
	var out []string
	for _, c := range calls() {
		out = append(out, c.method)
	}
	return out
}
