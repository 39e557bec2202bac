// Package emr holds the Spark jobs' files as this version of weir ships them, for `weir jobs`,
// which runs them. Its invariant: they are files of this folder, byte for byte. What
// they do is said in README.md. Owned by whoever owns the jobs.
package emr

import "embed"

//go:embed json_to_parquet.py rollup_by_type.py weirevent.py weirlake.py
var files embed.FS

// Files are the Spark jobs and the modules that they import.
func Files() embed.FS { return files }
