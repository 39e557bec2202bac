package embedded_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
)

func startGlue(t *testing.T, dir, addr string) *embedded.Glue {
	t.Helper()
	g, err := embedded.StartGlue(embedded.GlueOptions{Dir: dir, Addr: addr})
	require.NoError(t, err)
	return g
}

// ask sends one operation as it stands on the wire.
func ask(addr, op, input string) (status int, answer map[string]any, err error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr, bytes.NewReader([]byte(input)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Amz-Target", "AWSGlue."+op)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	return resp.StatusCode, answer, err
}

func mustAsk(t *testing.T, addr, op, input string) map[string]any {
	t.Helper()
	status, answer, err := ask(addr, op, input)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%v", answer)
	return answer
}

func TestGlueRestartsWithEverything(t *testing.T) {
	dir := t.TempDir()
	g := startGlue(t, dir, "127.0.0.1:0")
	mustAsk(t, g.Addr(), "CreateDatabase", `{"DatabaseInput":{"Name":"Weir","Parameters":{"a":"b"},"SomethingNew":7}}`)
	mustAsk(t, g.Addr(), "CreateTable", `{"DatabaseName":"weir","TableInput":{"Name":"T","PartitionKeys":[{"Name":"dt","Type":"string"}],"Owner":"me"},
		"PartitionIndexes":[{"IndexName":"i","Keys":["dt"]}]}`)
	mustAsk(t, g.Addr(), "UpdateTable", `{"DatabaseName":"weir","VersionId":"0","TableInput":{"Name":"t","PartitionKeys":[{"Name":"dt","Type":"string"}],"Owner":"you"}}`)
	mustAsk(t, g.Addr(), "BatchCreatePartition", `{"DatabaseName":"weir","TableName":"t","PartitionInputList":[{"Values":["1"]},{"Values":["2"]},{"Values":["3"]}]}`)
	mustAsk(t, g.Addr(), "DeletePartition", `{"DatabaseName":"weir","TableName":"t","PartitionValues":["2"]}`)
	all := func(addr string) (seen []map[string]any) {
		for op, input := range map[string]string{
			"GetDatabases": `{}`, "GetTables": `{"DatabaseName":"weir"}`, "GetTableVersions": `{"DatabaseName":"weir","TableName":"t"}`,
			"GetPartitions": `{"DatabaseName":"weir","TableName":"t"}`, "GetPartitionIndexes": `{"DatabaseName":"weir","TableName":"t"}`,
		} {
			seen = append(seen, map[string]any{op: mustAsk(t, addr, op, input)})
		}
		return seen
	}
	before := all(g.Addr())
	require.NoError(t, g.Close())
	again := startGlue(t, dir, g.Addr())
	t.Cleanup(func() { _ = again.Close() })
	require.ElementsMatch(t, before, all(again.Addr()))
	require.Len(t, mustAsk(t, again.Addr(), "GetTableVersions", `{"DatabaseName":"weir","TableName":"t"}`)["TableVersions"], 2)
}

func TestGlueRefuses(t *testing.T) {
	g := startGlue(t, "", "127.0.0.1:0")
	t.Cleanup(func() { _ = g.Close() })
	for _, test := range []struct{ op, input, code string }{
		{"NoSuchThing", `{}`, "UnknownOperationException"},
		{"GetTable", `{"DatabaseName":`, "SerializationException"},
		{"GetTable", `{"DatabaseName":7}`, "SerializationException"},
		{"GetTable", `{"DatabaseName":"weir","Name":"t"}`, "EntityNotFoundException"},
		{"CreateDatabase", `{}`, "InvalidInputException"},
		{"CreateTable", `{"DatabaseName":"weir","TableInput":{"Name":"t"},"OpenTableFormatInput":{}}`, "InvalidInputException"},
		{"GetDatabases", `{"MaxResults":1001}`, "InvalidInputException"},
		{"GetDatabases", `{"NextToken":"***"}`, "InvalidInputException"},
	} {
		status, answer, err := ask(g.Addr(), test.op, test.input)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, test.code, answer["__type"], test.input)
	}
	resp, err := http.Get("http://" + g.Addr())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

func TestGlueFaultsComeAndGo(t *testing.T) {
	g := startGlue(t, "", "127.0.0.1:0")
	t.Cleanup(func() { _ = g.Close() })
	code := func() any {
		_, answer, err := ask(g.Addr(), "GetDatabases", `{}`)
		require.NoError(t, err)
		return answer["__type"]
	}
	other := g.Inject(embedded.GlueFault{Op: "GetTable", Code: "X"})
	fault := g.Inject(embedded.GlueFault{Op: "GetDatabases", Code: "ThrottlingException", Skip: 1, Count: 2})
	require.Equal(t, []any{nil, "ThrottlingException", "ThrottlingException", nil}, []any{code(), code(), code(), code()})
	require.Equal(t, 2, fault.Hits())
	require.Zero(t, other.Hits())
	rest := g.Inject(embedded.GlueFault{Code: "InternalServiceException"})
	require.Equal(t, "InternalServiceException", code())
	rest.Remove()
	require.Nil(t, code())
}

// Tens of thousands of partitions are an ordinary table.
func TestGlueHoldsManyPartitions(t *testing.T) {
	const sources, days = 60, 100
	dir := t.TempDir()
	g := startGlue(t, dir, "127.0.0.1:0")
	mustAsk(t, g.Addr(), "CreateDatabase", `{"DatabaseInput":{"Name":"weir"}}`)
	mustAsk(t, g.Addr(), "CreateTable", `{"DatabaseName":"weir","TableInput":{"Name":"t","PartitionKeys":[{"Name":"sourceid","Type":"string"},{"Name":"dt","Type":"string"}]}}`)
	for s := range sources {
		var list []map[string]any
		for d := range days {
			list = append(list, map[string]any{
				"Values":            []string{fmt.Sprintf("source%03d", s), fmt.Sprintf("2026-%03d", d)},
				"StorageDescriptor": map[string]any{"Location": fmt.Sprintf("s3://weir/lake/eventlogs/sourceid=source%03d/dt=2026-%03d/", s, d)},
			})
		}
		input, err := json.Marshal(map[string]any{"DatabaseName": "weir", "TableName": "t", "PartitionInputList": list})
		require.NoError(t, err)
		require.Empty(t, mustAsk(t, g.Addr(), "BatchCreatePartition", string(input))["Errors"])
	}
	require.NoError(t, g.Close())

	start := time.Now()
	again := startGlue(t, dir, "127.0.0.1:0")
	t.Cleanup(func() { _ = again.Close() })
	t.Logf("started with %d partitions in %s", sources*days, time.Since(start))
	found, token := 0, ""
	for {
		answer := mustAsk(t, again.Addr(), "GetPartitions", fmt.Sprintf(
			`{"DatabaseName":"weir","TableName":"t","MaxResults":1000,"Expression":"dt = '2026-007'","NextToken":%q}`, token))
		found += len(answer["Partitions"].([]any))
		if token, _ = answer["NextToken"].(string); token == "" {
			break
		}
	}
	require.Equal(t, sources, found)
}

// A client may hold connections on which it has asked nothing yet: a stop does not wait for them.
func TestGlueStopsBesideUnusedConnections(t *testing.T) {
	g := startGlue(t, "", "127.0.0.1:0")
	c, err := net.Dial("tcp", g.Addr())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	answer, err := http.Get("http://" + g.Addr()) // it was dialed later, so the first is known by now
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.NoError(t, g.Close())
}
