// Package filestamp tells one content of a file from the next without reading it. Looking is polling: it works on every
// file system, also through the symbolic links by which Kubernetes replaces a mounted file. It reads nothing and
// remembers nothing; who follows a file does (source, certs). Owned by the gateway.
package filestamp

import "os"

// Stamp is what a look at a file has seen.
type Stamp struct {
	info os.FileInfo // nil = the file was not there
}

// Of looks at a file.
func Of(path string) Stamp {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}
	}
	return Stamp{info: info}
}

// Same says that both looks have seen one content.
func (s Stamp) Same(o Stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}
