// Package emr holds the jobs' files as this version of weir ships them, for `weir jobs`,
// which runs them. Its invariant: they are the files of this folder, byte for byte. What
// they do is said in README.md. Owned by whoever owns the jobs.
package emr

import "embed"

//go:embed *.py
var files embed.FS

// Files are the jobs and the modules that they import.
func Files() embed.FS { return files }
