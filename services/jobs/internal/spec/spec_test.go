package spec

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/puretest"
)

func TestPure(t *testing.T) { puretest.Check(t) }

var history = Job{
	Name: JSONToParquet, Lake: "s3://b/lake", Raw: "s3://b/segment-logs/", Layout: "segment",
	Sources: []string{"b", "a", "b"}, From: "2026-11-01", To: "2026-11-22", Codec: "zstd",
}

func same(s string) string { return s }

func TestArguments(t *testing.T) {
	require.Equal(t, []string{
		"--raw", "s3://b/segment-logs", "--layout", "segment", "--lake", "s3://b/lake", "--codec", "zstd",
		"--source", "a", "--source", "b", "--from", "2026-11-01", "--to", "2026-11-22",
	}, history.Args(same))
	require.Equal(t, []string{"--lake", "s3a://b/lake", "--codec", "snappy"},
		Job{Name: RollupByType, Lake: "s3://b/lake/", Codec: "snappy", Layout: "weir"}.Args(func(s string) string { return "s3a" + s[2:] }))
	require.Equal(t, "json_to_parquet.py", history.Script())
}

func TestTokens(t *testing.T) {
	token := history.Token("app", "2026-11-29", 1)
	require.Len(t, token, 32)
	equal := history
	equal.Sources, equal.Lake = []string{"a", "b"}, "s3://b/lake/"
	require.Equal(t, token, equal.Token("app", "2026-11-29", 1))
	seen := map[string]bool{token: true}
	fresh := func(other string) {
		t.Helper()
		require.False(t, seen[other])
		seen[other] = true
	}
	fresh(history.Token("other", "2026-11-29", 1))
	fresh(history.Token("app", "2026-11-30", 1))
	fresh(history.Token("app", "2026-11-29", 2))
	for _, change := range []func(*Job){
		func(j *Job) { j.Name = RollupByType },
		func(j *Job) { j.Lake = "s3://c/lake" },
		func(j *Job) { j.Raw = "s3://c/raw" },
		func(j *Job) { j.Layout = "weir" },
		func(j *Job) { j.Sources = nil },
		func(j *Job) { j.From = "" },
		func(j *Job) { j.To = "2026-11-23" },
		func(j *Job) { j.Codec = "snappy" },
	} {
		j := history
		change(&j)
		fresh(j.Token("app", "2026-11-29", 1))
	}
}

func TestRunNames(t *testing.T) {
	token := history.Token("app", "2026-11-29", 1)
	n, ok := ParseRunName(history.RunName("2026-11-29", token))
	require.True(t, ok)
	require.Equal(t, Named{JSONToParquet, "2026-11-29", token}, n)
	for _, name := range []string{"", "nightly", "weir/other/2026-11-29/" + token, "weir/rollup_by_type/2026-11-29/short"} {
		_, ok := ParseRunName(name)
		require.False(t, ok, name)
	}
}

func TestWhatTheCatalogIsTold(t *testing.T) {
	require.Equal(t, []string{
		"weir catalog register --lake s3://b/lake --database weir --table eventlogs --source b --source a --source b --from 2026-11-01 --to 2026-11-22",
	}, history.Register("weir"))
	// 2026-11-25 is a Wednesday, 2026-11-29 a Sunday, 2026-11-30 a Monday.
	for _, c := range [][4]string{
		{"2026-11-25", "2026-11-25", "2026-11-23", "2026-11-29"},
		{"2026-11-29", "2026-11-29", "2026-11-23", "2026-11-29"},
		{"2026-11-30", "2026-11-30", "2026-11-30", "2026-12-06"},
		{"", "", "", ""},
	} {
		j := Job{Name: RollupByType, From: c[0], To: c[1]}
		require.Equal(t, []Written{{"messages_by_type_daily", nil, c[2], c[3]}, {"messages_by_type_weekly", nil, c[2], c[3]}}, j.Writes())
	}
}

func TestFates(t *testing.T) {
	for reason, want := range map[string]struct {
		code   int
		advice string
	}{
		"Job failed, please check complete logs in configured logging destination. ExitCode: 3. Last few exceptions: x": {3, "left out with --from"},
		"Job failed. ExitCode: 1. Caused by: AmazonS3Exception: Access Denied (Status Code: 403)":                       {1, "deploy/iam/jobs-runtime.json"},
		"ApplicationMaxCapacityExceededException: … capacity":                                                           {0, "later may help"},
		"weirlake.LakeError: move a to b: refused; run the job again":                                                   {0, "does what is missing"},
		"Unknown Error.":                      {0, "may help"},
		"Job exited with exit status 137 ...": {137, "may help"},
	} {
		f := Judge(reason)
		require.Equal(t, want.code, f.Code, reason)
		require.Contains(t, f.Advice, want.advice, reason)
	}
}
