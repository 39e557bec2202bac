package settings

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "1234": 1234, "1B": 1, "64KiB": 64 << 10, "256MiB": 256 << 20, "256 mib": 256 << 20,
		" 3GiB ": 3 << 30, "2TiB": 2 << 40, "1GB": 1e9, "5KB": 5000, "7MB": 7e6, "1TB": 1e12,
		"9223372036854775807": math.MaxInt64,
	} {
		got, err := ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5GiB", "1 PiB", "1Mi", "12 34", "0x10", "9223372036854775808", "8388608TiB", "１"} {
		_, err := ParseBytes(text)
		require.Error(t, err, text)
		require.Contains(t, err.Error(), text)
	}
}

func TestBytesPrintsWhatItReads(t *testing.T) {
	for b, want := range map[Bytes]string{0: "0", 1023: "1023", 256 * MiB: "256MiB", 1536 * MiB: "1536MiB", 1e9: "1GB", 5000: "5KB", TiB: "1TiB"} {
		require.Equal(t, want, b.String())
	}
	rapid.Check(t, func(t *rapid.T) {
		b := Bytes(rapid.Int64Range(0, math.MaxInt64).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "round") {
			b = b / MiB * MiB
		}
		var back Bytes
		text, err := b.MarshalText()
		require.NoError(t, err)
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, b, back)
	})
}

func TestMemory(t *testing.T) {
	var m Memory
	require.NoError(t, m.UnmarshalText([]byte("60%")))
	require.Equal(t, "60%", m.String())
	require.Equal(t, 600*MiB, m.Of(1000*MiB))
	require.NoError(t, m.UnmarshalText([]byte("12.5 %")))
	require.Equal(t, Bytes(125), m.Of(1000))
	require.NoError(t, m.UnmarshalText([]byte("256MiB")))
	require.Equal(t, "256MiB", m.String())
	require.Equal(t, 256*MiB, m.Of(1))
	for _, text := range []string{"0%", "-5%", "101%", "%", "NaN%", "x%", ""} {
		require.Error(t, new(Memory).UnmarshalText([]byte(text)), text)
	}
}

func TestMemoryLimitIsWhatTheProcessMayUse(t *testing.T) {
	limit := MemoryLimit()
	require.Greater(t, limit, 64*MiB)
	if machine, ok := machineMemory(); ok {
		require.LessOrEqual(t, limit, machine)
	}
}

func TestFaultsAreAllReported(t *testing.T) {
	var f Faults
	require.NoError(t, Join(f))
	f.Check(true, "file-size", "fine")
	f.AddErr("lake", nil)
	require.NoError(t, Join(f))
	f.Check(false, "file-age", "%s is negative", "-1s")
	f.AddErr("lake", errors.New("no bucket"))
	require.EqualError(t, Join(f), "2 settings are wrong:\nfile-age: -1s is negative\nlake: no bucket")
	require.EqualError(t, Join(f[:1]), "1 setting is wrong:\nfile-age: -1s is negative")
	var fault Fault
	require.ErrorAs(t, Join(f), &fault)
	require.Equal(t, "file-age", fault.Setting)
}
