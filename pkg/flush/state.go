package flush

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"weir/pkg/lake"
)

// Phase tells whether the flush that a State names is decided or published.
type Phase uint8

// The phases of a State.
const (
	Done   Phase = iota // published; consume from Low
	Intent              // decided; whoever owns the partition publishes it and commits Done
)

func (p Phase) String() string {
	if p == Intent {
		return "intent"
	}
	return "done"
}

// State is the committed offset of a partition with its metadata: the one place where a flush is decided (I1).
type State struct {
	Low         int64 // every record below is visible in every table, or is a dead letter
	LeaderEpoch int32 // committed with it; -1 = unknown
	Seq         uint64
	Phase       Phase
	Manifest    string // key of the manifest of Seq; "" for seq 0
	Ahead       bool   // something is flushed at Low or above
	Home        string // see Home
}

const (
	metadataVersion = "weir1"
	// maxMetadata is the broker's default limit (offset.metadata.max.bytes).
	maxMetadata = 4096
	// maxKey is S3's limit; with it the metadata stays far below its own.
	maxKey = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Metadata is the text that is committed with Low:
//
//	weir1 <seq> <intent|done> <manifest key, or - for seq 0> <ahead|clean> <home> <crc32c>
//
// The checksum covers Low too, so that an offset that another tool moved is noticed even where it kept the metadata.
func (s State) Metadata() string {
	key, ahead := s.Manifest, "clean"
	if key == "" {
		key = "-"
	}
	if s.Ahead {
		ahead = "ahead"
	}
	text := fmt.Sprintf("%s %d %s %s %s %s", metadataVersion, s.Seq, s.Phase, key, ahead, s.Home)
	return text + " " + s.checksum(text)
}

func (s State) checksum(text string) string {
	sum := crc32.Checksum([]byte(strconv.FormatInt(s.Low, 10)+" "+text), castagnoli)
	return fmt.Sprintf("%08x", sum)
}

var errForeign = errors.New("not written by weir")

// ParseMetadata reads a committed offset and its metadata. An error means that someone else committed; empty metadata
// is never read as "no intent" (I9).
func ParseMetadata(offset int64, leaderEpoch int32, metadata string) (State, error) {
	if metadata == "" {
		return State{}, fmt.Errorf("metadata is empty: %w", errForeign)
	}
	if len(metadata) > maxMetadata {
		return State{}, fmt.Errorf("metadata of %d bytes: %w", len(metadata), errForeign)
	}
	f := strings.Split(metadata, " ")
	if f[0] != metadataVersion || len(f) != 7 {
		return State{}, fmt.Errorf("metadata %q: %w", metadata, errForeign)
	}
	s := State{Low: offset, LeaderEpoch: leaderEpoch, Manifest: f[3], Ahead: f[4] == "ahead", Home: f[5]}
	s.Seq, _ = strconv.ParseUint(f[1], 10, 64)
	if f[2] == Intent.String() {
		s.Phase = Intent
	}
	if f[3] == "-" {
		s.Manifest = ""
	}
	// What was read must give the same text again: that checks every field and the checksum at once.
	if s.Metadata() != metadata {
		return State{}, fmt.Errorf("metadata %q does not fit offset %d or its checksum: %w", metadata, offset, errForeign)
	}
	return s, s.check()
}

func (s State) check() error {
	switch {
	case s.Low < 0:
		return fmt.Errorf("offset %d: %w", s.Low, errForeign)
	case (s.Seq == 0) != (s.Manifest == ""):
		return fmt.Errorf("seq %d with manifest %q: %w", s.Seq, s.Manifest, errForeign)
	case s.Seq == 0 && (s.Phase == Intent || s.Ahead):
		return fmt.Errorf("seq 0 is neither decided nor ahead: %w", errForeign)
	}
	return nil
}

// Home names the place that a partition's state belongs to: 16 hex digits of a hash of cluster, topic and lake. A state
// whose home differs was written for another lake or another cluster.
func Home(clusterID string, topicID lake.TopicID, bucket, prefix string) string {
	h := sha256.New()
	for _, part := range []string{clusterID, string(topicID[:]), bucket, prefix} {
		h.Write([]byte(strconv.Itoa(len(part))))
		h.Write([]byte{0})
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
