// Package ignore decides which files of a source directory are not sent, by SkyPilot's rules.
//
// A .skyignore at the root of the directory replaces all other rules. Each line that is not empty and not a comment (#)
// is a glob: with a leading / relative to the root, else at any depth. * ? [a] [!a] do not match a slash, nor a leading
// dot that the pattern does not spell out; ** as a whole component matches any number of directories whose names do not
// begin with a dot. A trailing slash restricts the line to directories. There is no negation: a line that begins with !
// is a glob like any other. A directory that matches is left out with everything below it.
//
// Otherwise git decides, when the directory lies in a repository: what git ls-files --others --ignored --exclude-standard
// lists is left out, per repository and submodule. So .gitignore files at any depth, .git/info/exclude and the user's
// global excludes count, and a tracked file is sent even if it is ignored. Without the git program the same rules are
// evaluated here. A directory that is no repository is sent whole.
//
// .git itself is sent, so that a job can see its commit, unless a .skyignore leaves it out.
package ignore
