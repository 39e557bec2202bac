package iam

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"`
	Action    []string
	Resource  []string                       `json:",omitempty"`
	Condition map[string]map[string]anyOfStr `json:",omitempty"`
}

// anyOfStr is a text or a list of them.
type anyOfStr []string

func (a *anyOfStr) UnmarshalJSON(text []byte) error {
	if text[0] != '"' {
		return json.Unmarshal(text, (*[]string)(a))
	}
	*a = make([]string, 1)
	return json.Unmarshal(text, &(*a)[0])
}

func policies(t *testing.T) map[string]policy {
	t.Helper()
	names, err := filepath.Glob("*.json")
	require.NoError(t, err)
	all := map[string]policy{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		var p policy
		require.NoError(t, dec.Decode(&p), name)
		all[strings.TrimSuffix(name, ".json")] = p
	}
	return all
}

func actions(p policy) (list []string) {
	for _, s := range p.Statement {
		list = append(list, s.Action...)
	}
	return list
}

// characters that a managed policy may have, without white space (IAM and STS quotas).
const maxPolicy = 6144

func TestPoliciesAreWhole(t *testing.T) {
	all := policies(t)
	require.NotEmpty(t, all)
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	placeholder := regexp.MustCompile(`\$\{\w+\}`)
	action := regexp.MustCompile(`^[a-z0-9-]+:[A-Z][A-Za-z]+$`)
	for name, p := range all {
		require.Equal(t, "2012-10-17", p.Version, name)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		require.Less(t, len(text), maxPolicy, name)
		require.Contains(t, string(page), name+".json")
		sids := map[string]bool{}
		for _, s := range p.Statement {
			require.Equal(t, "Allow", s.Effect, name)
			require.Regexp(t, `^[A-Za-z0-9]+$`, s.Sid, name)
			require.False(t, sids[s.Sid], "%s: %s stands twice", name, s.Sid)
			sids[s.Sid] = true
			require.Equal(t, s.Principal == nil, len(s.Resource) > 0, "%s: %s has no resource, or is none of a role's trust", name, s.Sid)
			for _, a := range s.Action {
				require.Regexp(t, action, a, "%s allows more than one action by name", name)
			}
			for _, r := range s.Resource {
				require.Regexp(t, `^arn:aws:[a-z0-9-]+:`, r, name)
				require.NotRegexp(t, `^arn:aws:[a-z0-9-]+:[^:]*:[^:]*:\*`, r, "%s: a resource is everything of a service", name)
			}
		}
		for _, p := range placeholder.FindAllString(string(text), -1) {
			require.Contains(t, string(page), "`"+strings.Trim(p, "${}")+"`", "%s: the page does not say what to put there", name)
		}
	}
}

// TestPoliciesAreWhatTheCodeCalls: whatever a role may come to call is allowed by its
// policies, and nothing else is.
func TestPoliciesAreWhatTheCodeCalls(t *testing.T) {
	c, all := load(t), policies(t)
	covered := map[string]bool{}
	for name, r := range roles {
		var used, allowed []string
		for _, operation := range c.reached(t, r.roots...) {
			needs := actionsOf[operation]
			require.NotEmpty(t, needs, "%s calls %s: say in actionsOf what it needs", name, operation)
			used = append(used, needs...)
		}
		used = append(used, byEngines[name]...)
		for _, p := range r.policies {
			require.Contains(t, all, p)
			covered[p] = true
			allowed = append(allowed, actions(all[p])...)
		}
		slices.Sort(used)
		slices.Sort(allowed)
		require.Equal(t, slices.Compact(used), slices.Compact(allowed), "%s: what is used, and what is allowed", name)
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(all)), slices.Collect(maps.Keys(covered)), "each policy is somebody's")
	for name, root := range without {
		require.Empty(t, c.reached(t, root), "%s uses AWS and has no policy", name)
	}
}

// filled has values for the placeholders.
var filled = strings.NewReplacer(
	"${LAKE_BUCKET}", "weir", "${LAKE_PREFIX}", "lake", "${GROUP}", "weir-sink", "${DATABASE}", "weir",
	"${AWS_REGION}", "us-east-1", "${AWS_ACCOUNT}", "123456789012", "${LOGS_BUCKET}", "weir", "${LOGS_PREFIX}", "logs",
	"${RAW_BUCKET}", "raw", "${RAW_PREFIX}", "segment-logs", "${RESULTS_BUCKET}", "answers", "${RESULTS_PREFIX}", "weir",
)

// allows tells whether a policy allows an action on a resource; prefix is the listing's.
func (p policy) allows(action, resource, prefix string) bool {
	for _, s := range p.Statement {
		if !slices.Contains(s.Action, action) || !matches(s.Resource, resource) {
			continue
		}
		if like, ok := s.Condition["StringLike"]["s3:prefix"]; !ok || matches(like, prefix) {
			return true
		}
	}
	return false
}

// matches reads * and ? as IAM does.
func matches(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(filled.Replace(p)))
		return regexp.MustCompile("^" + p + "$").MatchString(text)
	})
}

const objectARN = "arn:aws:s3:::weir/lake/"

// TestWhoMayTouchWhat holds the keys of a lake against the policies: who may write each,
// and who may read it.
func TestWhoMayTouchWhat(t *testing.T) {
	all := policies(t)
	owner := lake.Owner{Group: "weir-sink", Topic: "weir.events", TopicID: lake.TopicID{1}}
	at := lake.Partition{Table: lake.EventLogsName, SourceID: "s", Day: 20786}
	const flush = "0199f5a2-7c1e-7b7a-9d3e-0123456789ab"
	for key, who := range map[string]struct{ write, read string }{
		lake.ObjectKey(lake.EventLogs(), at, flush, 0):           {"jobs-runtime operator sink", "analyst catalog jobs-runtime operator sink"},
		lake.ObjectKey(lake.EventLogsRaw("zstd"), at, flush, 0):  {"operator sink", "analyst catalog operator sink"},
		owner.ManifestKey(1, flush):                              {"operator sink", "analyst catalog operator register sink"},
		owner.StartedKey():                                       {"operator sink", "analyst catalog operator register sink"},
		owner.BundleKey(1, flush):                                {"operator sink", "operator sink"},
		lake.OwnersKey(owner.TopicID):                            {"operator sink", "catalog operator register sink"},
		lake.ColumnsKey(lake.EventLogsName):                      {"operator sink", "catalog operator register sink"},
		lake.ColumnsCopyKey(lake.EventLogsName, 1):               {"operator sink", "catalog operator register sink"},
		"_weir/probe/conditions":                                 {"catalog operator sink", "catalog operator register sink"},
		lake.GateKey("weir", owner.TopicID):                      {"catalog operator", "analyst catalog operator register sink"},
		lake.LedgerKey("weir"):                                   {"catalog operator", "analyst catalog operator register sink"},
		lake.SumsKey("weir", at.Day):                             {"catalog operator", "analyst catalog operator register sink"},
		lake.FilesKey("weir", at.Day, 0, 1, 0):                   {"catalog", "analyst catalog operator"},
		lake.FilesKey("weir", at.Day, 1, 1, 0):                   {"catalog", "analyst catalog operator"},
		lake.JobFileKey("v", "rollup_by_type.py"):                {"jobs-submitter", "catalog jobs-runtime jobs-submitter operator register sink"},
		lake.MessagesByTypeDaily().Dir + "/sourceid=s/dt=x/r":    {"jobs-runtime", "analyst jobs-runtime operator"},
		lake.MessagesByTypeWeekly().Dir + "/sourceid=s/week=x/r": {"jobs-runtime", "analyst jobs-runtime operator"},
		"_staging/rollup_by_type/rows/x":                         {"jobs-runtime", "jobs-runtime"},
		"_rejected/eventlogs/sourceid=s/dt=x/reason=malformed/p": {"jobs-runtime", "jobs-runtime"},
		"eventlogs_$folder$":                                     {"jobs-runtime", "jobs-runtime"},
		"another/thing":                                          {"", ""},
	} {
		for action, want := range map[string]string{"s3:PutObject": who.write, "s3:GetObject": who.read} {
			var may []string
			for name, p := range all {
				if p.allows(action, objectARN+key, "") {
					may = append(may, name)
				}
			}
			slices.Sort(may)
			require.Equal(t, want, strings.Join(may, " "), "%s of %s", action, key)
		}
		for name, p := range all {
			require.False(t, name != "jobs-runtime" && p.allows("s3:DeleteObject", objectARN+key, ""), "%s may delete %s", name, key)
		}
	}
}
