// Package contract is one suite of tests that every forge has to pass: the servers of forgetest, which stand for GitHub,
// GitLab, Bitbucket and Gitea, and a real Gitea where .ci/gitea/build has made one. Faults of the network and of forges on
// bad days are put between client and server, so they are the same for all.
package contract

// Difference is one point in which Gitea is not as GitHub. The suite asks both: one that is not as it says here fails,
// so does one that has gone.
type Difference struct {
	Name   string // what is asked
	GitHub string // what GitHub answers
	Gitea  string // what Gitea answers
	// So is what the client makes of it.
	So string
}

// Differences are those that are known, in the order of docs/ci-requirements.md.
func Differences() []Difference {
	return []Difference{
		{"base of the API", "there", "HTTP 404", "the address of the API ends with /api/v1; it is taken from the CI system"},
		{"two comments of five, by per_page", "2, Link", "5", "comments are read until no Link header names a next page"},
		{"two comments of five, by limit", "no such parameter", "5", "the same: the comments of an issue come all at once"},
		{"one pull request of two, by limit", "no such parameter", "1, Link", "lists are asked for with limit, not per_page"},
		{"comment of 70,000 characters", "HTTP 422", "HTTP 201", "comments are cut at 65,000 characters all the same"},
		{"status of 200 characters", "HTTP 422", "HTTP 201", "descriptions are cut at 140 characters all the same"},
		{"status of a state that is none", "HTTP 422", "HTTP 201", "only pending, success, failure and error are sent"},
		{"check runs of a commit", "there", "HTTP 404", "`sky ci check` sets the commit's status"},
		{"comments of a commit", "there", "HTTP 404", "`--if-no-pr commit` writes into the job summary; `--target commit/SHA` is refused"},
		{"pull requests of a commit", "there", "HTTP 404", "the open pull requests are looked through, those touched last first"},
		{"file attached to an issue", "HTTP 404", "HTTP 201", "pictures of a report are attached to the pull request"},
	}
}
