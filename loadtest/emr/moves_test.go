package emr

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Hive is told: a large day goes into as many files as it needs, a day of two folders is one day, and only the job's own
// objects are deleted, each before its successors come.
func TestHiveIsTold(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("skipped: part python3 cannot be had: the job is Python")
	}
	const large, small, gone = "eventlogs/sourceid=a/dt=2026-11-22", "eventlogs/sourceid=a/dt=2026-11-23", "eventlogs/sourceid=b/dt=2026-11-22"
	given := map[string]any{
		"days": map[string]any{
			large: map[string]any{"s3://b/raw/a/1": [][]any{{"s3://b/raw/a/1/x.gz", 500 << 20, 1}}, "s3://b/raw/a/2": [][]any{{"s3://b/raw/a/2/x.gz", 100 << 20, 1}}},
			small: map[string]any{"s3://b/raw/a/3": [][]any{{"s3://b/raw/a/3/x.gz", 1, 1}}},
			gone:  map[string]any{"s3://b/raw/b/1": [][]any{{"s3://b/raw/b/1/x.gz", 1, 1}}},
		},
		"prints": map[string]string{large: "00000000000000aa", small: "00000000000000bb", gone: "00000000000000cc"},
		"held": map[string][]string{
			large: {"history-0123456789abcdef-1of2.parquet", "history-0123456789abcdef-2of2.parquet"},
			small: {}, gone: {"history-0123456789abcdef-1of1.parquet", "somebody-elses.parquet"},
		},
		"staged": []string{
			"s3://b/lake/_staging/json_to_parquet_hive/rows", "s3://b/lake/_staging/json_to_parquet_hive/rows/" + large + "/file=0",
			"s3://b/lake/_staging/json_to_parquet_hive/rows/" + large + "/file=2/000001_0", "s3://b/lake/_staging/json_to_parquet_hive/rows/" + large + "/file=0/000000_0",
			"s3://b/lake/_staging/json_to_parquet_hive/rows/" + small + "/file=0/000000_0", "s3://b/lake/_staging/json_to_parquet_hive/rejected/" + small + "/reason=malformed/000000_0.gz",
			"s3://b/lake/_staging/json_to_parquet_hive/rejected/" + gone + "/reason=empty/000000_0.gz",
		},
	}
	told := hiveIsTold(t, python, given)
	require.Equal(t, `ALTER TABLE weir_history_raw ADD
PARTITION (sourceid='a', dt='2026-11-22', files=3, folder=0) LOCATION 's3://b/raw/a/1'
PARTITION (sourceid='a', dt='2026-11-22', files=3, folder=1) LOCATION 's3://b/raw/a/2';
ALTER TABLE weir_history_raw ADD
PARTITION (sourceid='a', dt='2026-11-23', files=1, folder=0) LOCATION 's3://b/raw/a/3'
PARTITION (sourceid='b', dt='2026-11-22', files=1, folder=0) LOCATION 's3://b/raw/b/1';
`, told.Partitions)
	require.Equal(t, []string{
		"-rm -r -f -skipTrash s3://b/lake/_rejected/" + large,
		"-rm -skipTrash s3://b/lake/" + large + "/history-0123456789abcdef-1of2.parquet s3://b/lake/" + large + "/history-0123456789abcdef-2of2.parquet",
		"-mkdir -p s3://b/lake/" + large,
		"-mv s3://b/lake/_staging/json_to_parquet_hive/rows/" + large + "/file=0/000000_0 s3://b/lake/" + large + "/history-00000000000000aa-1of2.parquet",
		"-mv s3://b/lake/_staging/json_to_parquet_hive/rows/" + large + "/file=2/000001_0 s3://b/lake/" + large + "/history-00000000000000aa-2of2.parquet",
		"-rm -r -f -skipTrash s3://b/lake/_rejected/" + small,
		"-mkdir -p s3://b/lake/_rejected/eventlogs/sourceid=a",
		"-mv s3://b/lake/_staging/json_to_parquet_hive/rejected/" + small + " s3://b/lake/_rejected/" + small,
		"-mkdir -p s3://b/lake/" + small,
		"-mv s3://b/lake/_staging/json_to_parquet_hive/rows/" + small + "/file=0/000000_0 s3://b/lake/" + small + "/history-00000000000000bb-1of1.parquet",
		"-rm -r -f -skipTrash s3://b/lake/_rejected/" + gone,
		"-mkdir -p s3://b/lake/_rejected/eventlogs/sourceid=b",
		"-mv s3://b/lake/_staging/json_to_parquet_hive/rejected/" + gone + " s3://b/lake/_rejected/" + gone,
		"-rm -skipTrash s3://b/lake/" + gone + "/history-0123456789abcdef-1of1.parquet",
	}, told.Moves)
}

type hiveTold struct {
	Partitions string   `json:"partitions"`
	Moves      []string `json:"moves"`
}

func hiveIsTold(t *testing.T, python string, given any) (told hiveTold) {
	in, err := json.Marshal(given)
	require.NoError(t, err)
	jobs, err := filepath.Abs("../../deploy/emr")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", "moves.py"))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+jobs, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdin = bytes.NewReader(in)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	require.NoError(t, err, said.String())
	require.NoError(t, json.Unmarshal(out, &told))
	return told
}
