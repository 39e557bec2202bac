package change

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/promote"
)

func TestDDL(t *testing.T) {
	l := NewLake(lake.Location{Bucket: "b", Prefix: "it's"}, lake.EventLogs(), lake.EventLogsRaw("zstd"))
	var list promote.List
	require.NoError(t, list.UnmarshalText([]byte(`properties.it's: double`)))
	var err error
	l.Promoted, _, err = l.Promoted.Extend(list.Paths)
	require.NoError(t, err)
	events := l.SpecOf(lake.EventLogs()).DDL("weir")
	for _, part := range []string{
		"CREATE EXTERNAL TABLE IF NOT EXISTS `weir`.`eventlogs` (\n  `anonymousid` string,\n",
		"  `timestamp` timestamp,\n", "  `properties` map<string,string>,\n",
		"  `properties_it_s` double COMMENT 'properties.it\\'s'\n)\nPARTITIONED BY (`sourceid` string, `dt` string)\n",
		"ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'\n",
		"LOCATION 's3://b/it\\'s/eventlogs/'\n",
		"TBLPROPERTIES ('classification'='parquet', 'compressionType'='zstd', 'partition_filtering.enabled'='true', 'typeOfData'='file');\n",
		"\nMSCK REPAIR TABLE `weir`.`eventlogs`;\n",
	} {
		require.Contains(t, events, part)
	}
	require.NotContains(t, events, "weir.owner")
	raw := l.SpecOf(lake.EventLogsRaw("zstd")).DDL("weir")
	require.Contains(t, raw, "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nWITH SERDEPROPERTIES ('case.insensitive'='TRUE', 'ignore.malformed.json'='FALSE', 'serialization.format'='1')\n")
	require.NotContains(t, raw, "properties_it_s")
	files := l.FilesSpec("weir").DDL("weir")
	require.Contains(t, files, "PARTITIONED BY (`dt` string)")
}
