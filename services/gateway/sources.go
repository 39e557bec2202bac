package gateway

import (
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/services/gateway/internal/intake"
	"weir/services/gateway/internal/quota"
	"weir/services/gateway/internal/source"
)

// SourceList is where the sources are kept, for the commands that look at them and edit
// them; a running gateway follows by itself.
type SourceList struct {
	Path string `name:"sources" default:"sources.yaml" help:"File of the sources and their write keys."`
}

// SourceInfo is what may be told of a source: no key, no id of a user.
type SourceInfo struct {
	ID, Name   string
	Enabled    bool
	WriteKeys  int
	Limits     quota.Limits
	Origins    []string
	IP         string   // keep, mask or drop
	Drop, Hash []string // paths
	Blocked    int      // names of events
	Suppressed int      // users
}

// Validate says what is wrong with the settings, not with the file.
func (l SourceList) Validate() []error {
	var f settings.Faults
	f.Check(l.Path != "", "sources", "is empty")
	return f
}

// All lists the sources, in their order.
func (l SourceList) All() ([]SourceInfo, error) {
	list, err := source.LoadList(l.Path)
	if err != nil {
		return nil, err
	}
	infos := make([]SourceInfo, len(list))
	for i, s := range list {
		infos[i] = SourceInfo{
			ID: s.ID, Name: s.Name, Enabled: s.Enabled, WriteKeys: s.WriteKeys, Limits: s.Limits, Origins: s.Origins,
			IP: addressPolicy(s.Policy), Drop: s.Policy.Drop, Hash: s.Policy.Hash,
			Blocked: len(s.Policy.Blocked), Suppressed: len(s.Policy.Suppressed),
		}
	}
	return infos, nil
}

func addressPolicy(p intake.Policy) string {
	switch {
	case p.DropIP:
		return "drop"
	case p.MaskIP != nil:
		return "mask"
	}
	return "keep"
}

// ValidSourceID tells whether a source can have that id.
func ValidSourceID(id string) bool { return lake.ValidSourceID([]byte(id)) }

// Add makes a source and gives its write key, of which only the hash is kept.
func (l SourceList) Add(id, name string) (key string, err error) {
	s := source.NewSecret()
	return s.Key, source.EditFile(l.Path, source.Add(id, name, s))
}

// Rotate gives a source one more write key; the newest of its old ones stays good.
func (l SourceList) Rotate(id string) (key string, err error) {
	s := source.NewSecret()
	return s.Key, source.EditFile(l.Path, source.Rotate(id, s))
}

// Retire takes all write keys of a source away but the newest.
func (l SourceList) Retire(id string) error { return source.EditFile(l.Path, source.Retire(id)) }

// Enable switches a source on or off.
func (l SourceList) Enable(id string, on bool) error {
	return source.EditFile(l.Path, source.Enable(id, on))
}
