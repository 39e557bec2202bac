package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

// What Glue lacks of a lake is an exit code and a row; repairing it is rows too, and what
// cannot be repaired is an exit code again.
func TestCatalogReconcileAndRepair(t *testing.T) {
	clean(t)
	store, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	proxy := s3test.NewProxy(t, store.Addr()) // keeps no connection open, for which Close would wait
	kafka, err := embedded.StartKafka(embedded.KafkaOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = kafka.Close() })
	glue, err := embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = glue.Close() })
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": proxy.URL(), "AWS_ENDPOINT_URL_GLUE": "http://" + glue.Addr(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
	} {
		t.Setenv(name, value)
	}
	t.Setenv("WEIR_KAFKA_BROKERS", kafka.Addr())

	code, out, errs := invokeWeir(t, "", "catalog", "reconcile", "--output", "json")
	require.Equal(t, exitFound, code, errs)
	require.Contains(t, errs, "weir catalog reconcile: 2 differences, 2 of them listed; weir catalog repair puts back what Glue lacks")
	var list []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list, 2)
	require.Equal(t, "table missing", list[0]["difference"])
	require.Equal(t, "eventlogs", list[0]["table"])
	require.Nil(t, list[0]["dt"])

	code, out, errs = invokeWeir(t, "", "catalog", "repair", "--dry-run", "--output", "csv")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "what,result,was,why\ntable eventlogs,would be created,table missing,")
	code, out, errs = invokeWeir(t, "", "catalog", "repair")
	require.Equal(t, exitDone, code, errs)
	require.Contains(t, out, "table eventlogs_raw  created")
	code, out, errs = invokeWeir(t, "", "catalog", "reconcile", "--output", "csv")
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, "difference,table,sourceid,dt,key,why\n", out)

	bucket, err := s3.Open(t.Context(), s3.Config{Lake: lake.Location{Bucket: "weir", Prefix: "lake"}}, nil)
	require.NoError(t, err)
	body, err := codec.EncodeGate(&flush.Gate{Marks: map[int32]flush.Mark{3: {Alarm: "it stands"}}})
	require.NoError(t, err)
	require.NoError(t, bucket.Put(t.Context(), lake.GateKey("weir", lake.TopicID{7}), body))
	code, _, errs = invokeWeir(t, "", "catalog", "reconcile")
	require.Equal(t, exitFound, code, errs)
	code, out, errs = invokeWeir(t, "", "catalog", "repair", "--output", "csv")
	require.Equal(t, exitFound, code, errs)
	require.Contains(t, out, "partition 3 of "+lake.TopicID{7}.String()+",refused,it stands,")
	require.Contains(t, errs, "1 of 1 could not be repaired: they are as they were")
}

func TestCatalogRepairListsEveryFault(t *testing.T) {
	clean(t)
	t.Setenv("AWS_REGION", "eu-west-1")
	code, out, errs := invokeWeir(t, "", "catalog", "repair", "--lake", "nowhere", "--database", "A-B", "--partition=-1", "--topic", "a b")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	for _, want := range []string{"lake: ", "database: ", "partition: -1", "topic: "} {
		require.Contains(t, errs, want)
	}
}
