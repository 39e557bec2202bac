package lake

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// stateDir holds all in the lake that is weir's own state. Query engines hide what begins with _.
const stateDir = "_weir/"

// bundleDir holds what is staged: nothing in it is state.
const bundleDir = "_weir-bundles/"

// TopicID is Kafka's id of a topic: a topic that was deleted and created again has another.
type TopicID [16]byte

// String is the id as lower-case UUID text. Kafka's own base64url form is case-sensitive and may begin with a dash,
// and is not used in keys.
func (id TopicID) String() string {
	var b [36]byte
	return string(id.Append(b[:0]))
}

// Append appends the text of String.
func (id TopicID) Append(dst []byte) []byte {
	for i, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, id[part[0]:part[1]])
	}
	return dst
}

// uuidLen is the length of a TopicID's text.
const uuidLen = 36

// ParseTopicID is the inverse of String.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(id) {
		return TopicID{}, fmt.Errorf("parse topic id %q: not a UUID", s)
	}
	copy(id[:], b)
	if id.String() != s {
		return TopicID{}, fmt.Errorf("parse topic id %q: not a UUID in lower case", s)
	}
	return id, nil
}

// Owner names one partition of one topic as one consumer group reads it: what manifests are kept for.
type Owner struct {
	Group, Topic string
	TopicID      TopicID
	Partition    int32
}

// ManifestDir is the directory of the owner's manifests, with a slash at its end.
func (o Owner) ManifestDir() string {
	return stateDir + EscapePathName(o.Group) + "/" + EscapePathName(o.Topic) + "-" + o.TopicID.String() + "/" +
		strconv.Itoa(int(o.Partition)) + "/"
}

// ManifestKey is the key of the manifest of a flush. Keys of one owner sort by seq.
func (o Owner) ManifestKey(seq uint64, flushID string) string {
	return fmt.Sprintf("%s%020d-%s.json", o.ManifestDir(), seq, flushID)
}

// StartedKey is the key of the marker that says where the owner's partition was started.
func (o Owner) StartedKey() string { return o.ManifestDir() + "started" }

// BundleKey is the key of the bundle of a flush: its small files before they are put at their own keys. Bundles have a
// prefix of their own, because a rule of the bucket may remove them.
func (o Owner) BundleKey(seq uint64, flushID string) string {
	return fmt.Sprintf("%s%s%020d-%s", bundleDir, strings.TrimPrefix(o.ManifestDir(), stateDir), seq, flushID)
}

// OwnersKey is the key of the object that names the group which reads a topic into this lake.
func OwnersKey(id TopicID) string { return stateDir + "owners/" + id.String() }

// ColumnsKey is the key of the registry of a table's promoted columns, as it is now.
func ColumnsKey(table string) string { return stateDir + "columns/" + EscapePathName(table) + ".json" }

// ColumnsCopyDir is the directory of the copies of a table's registry, one of each version, with a slash at its end.
func ColumnsCopyDir(table string) string { return stateDir + "columns/" + EscapePathName(table) + "/" }

// ColumnsCopyKey is the key of the copy of one version of a table's registry. Keys sort by version.
func ColumnsCopyKey(table string, version int64) string {
	return fmt.Sprintf("%s%020d.json", ColumnsCopyDir(table), version)
}

// ManifestsDir is the directory below which all manifests are, and other state.
func ManifestsDir() string { return stateDir }

// CatalogDir is the directory under which each catalog database keeps its own, with a slash at its end.
func CatalogDir() string { return stateDir + "catalog/" }

// GateDir is the directory of the gate's memory of a catalog database, with a slash at its end.
func GateDir(database string) string { return CatalogDir() + EscapePathName(database) + "/gate/" }

// GateKey is the key of the gate's memory of a topic.
func GateKey(database string, id TopicID) string { return GateDir(database) + id.String() + ".json" }

// ParseManifestKey is the inverse of ManifestKey: it takes what ManifestKey makes and nothing else.
func ParseManifestKey(key string) (o Owner, seq uint64, flushID string, err error) {
	bad := func() (Owner, uint64, string, error) {
		return Owner{}, 0, "", fmt.Errorf("parse manifest key %q: not a manifest's", key)
	}
	rest, ok := strings.CutPrefix(key, stateDir)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 4 {
		return bad()
	}
	if o.Group, err = UnescapePathName(parts[0]); err != nil {
		return bad()
	}
	dash := len(parts[1]) - uuidLen - 1
	if dash < 1 || parts[1][dash] != '-' {
		return bad()
	}
	if o.Topic, err = UnescapePathName(parts[1][:dash]); err != nil {
		return bad()
	}
	if o.TopicID, err = ParseTopicID(parts[1][dash+1:]); err != nil {
		return bad()
	}
	partition, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil || partition < 0 {
		return bad()
	}
	o.Partition = int32(partition)
	digits, file, _ := strings.Cut(parts[3], "-")
	if seq, err = strconv.ParseUint(digits, 10, 64); err != nil {
		return bad()
	}
	flushID, isJSON := strings.CutSuffix(file, ".json")
	if !isJSON || flushID == "" || o.ManifestKey(seq, flushID) != key {
		return bad()
	}
	return o, seq, flushID, nil
}
