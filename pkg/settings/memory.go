package settings

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
)

// Memory is a byte budget: a size, or a share of what this process may use.
// Its text is that of Bytes, or a percentage such as 60%.
type Memory struct {
	Percent float64 // 0 = Bytes counts
	Bytes   Bytes
}

// ParseMemory reads the text form of Memory.
func ParseMemory(text string) (Memory, error) {
	s := strings.TrimSpace(text)
	if share, ok := strings.CutSuffix(s, "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(share), 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Memory{}, fmt.Errorf("%q is no share: want a percentage above 0%% and up to 100%%", text)
		}
		return Memory{Percent: p}, nil
	}
	b, err := ParseBytes(s)
	return Memory{Bytes: b}, err
}

func (m Memory) String() string {
	if m.Percent > 0 {
		return strconv.FormatFloat(m.Percent, 'f', -1, 64) + "%"
	}
	return m.Bytes.String()
}

// MarshalText and UnmarshalText make Memory a setting for flags, YAML and JSON.
func (m Memory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMemory.
func (m *Memory) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMemory(string(text))
	return err
}

// Of gives the budget in bytes when the process may use limit.
func (m Memory) Of(limit Bytes) Bytes {
	if m.Percent > 0 {
		return Bytes(float64(limit) * m.Percent / 100)
	}
	return m.Bytes
}

// MemoryLimit is what this process may use: the smallest of GOMEMLIMIT, the
// container's limit (cgroup v2, then v1) and the machine's memory. Where none
// can be read it is 1 GiB, which every machine that runs weir has.
func MemoryLimit() Bytes {
	limit := Bytes(math.MaxInt64)
	if n := debug.SetMemoryLimit(-1); n > 0 && n != bounded.Load() {
		limit = Bytes(n)
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if n, ok := readNumber(path); ok {
			limit = min(limit, n)
			break
		}
	}
	if n, ok := machineMemory(); ok {
		limit = min(limit, n)
	}
	if limit == math.MaxInt64 {
		return GiB
	}
	return limit
}

// Of the limit the heap gets a share: stacks, mapped files and what the kernel keeps for the process are the rest.
const heapPercent = 90

var bounded atomic.Int64 // the bound that BoundHeap has set; it is not what the process may use

// BoundHeap makes the garbage collector work harder as the process comes near its MemoryLimit, unless GOMEMLIMIT says
// where that is.
func BoundHeap() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	n := int64(MemoryLimit()) / 100 * heapPercent
	bounded.Store(n)
	debug.SetMemoryLimit(n)
}

// CollectAt runs the garbage collector whenever the heap has grown by so many percent, unless GOGC says when.
func CollectAt(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func readNumber(path string) (Bytes, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return Bytes(n), err == nil && n > 0 // "max" is no number: no limit
}

func machineMemory() (Bytes, bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return Bytes(n) * KiB, err == nil
		}
	}
	return 0, false
}
