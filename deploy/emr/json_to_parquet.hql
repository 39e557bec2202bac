-- Raw JSON history into Parquet with the columns of eventlogs, in Hive 3.1: the part of the job that Hive does. It reads the
-- raw folders of ${days} and writes into <lake>/_staging/json_to_parquet_hive and nowhere else, so that by itself it can
-- harm nothing; json_to_parquet_hive.py runs it, and puts what it made into the days that are nobody else's.
--
--   hive --hivevar jobs=… --hivevar days=… --hivevar layout=weir|segment --hivevar lake=s3://bucket/lake
--        --hiveconf textinputformat.record.delimiter=<newline> -f json_to_parquet.hql
--
-- jobs is the folder of weirevent.py and weirhive.py, days a local file of statements
--   ALTER TABLE weir_history_raw ADD PARTITION (sourceid='…', dt='YYYY-MM-DD', files=<Parquet files>, folder=<number>) LOCATION '…';
-- Without the delimiter a carriage return inside of a line ends the line too. Prints the numbers of rows and of rejected lines.

ADD FILES ${hivevar:jobs}/weirevent.py ${hivevar:jobs}/weirhive.py;

-- The script's environment has the job's settings, of which the list of folders may be longer than a program can be given.
SET hive.script.operator.truncate.env=true;
SET hive.exec.dynamic.partition.mode=nonstrict;
SET hive.exec.max.dynamic.partitions=1000000;
SET hive.exec.max.dynamic.partitions.pernode=1000000;
SET hive.exec.max.created.files=1000000;
-- One writer at a time: the rows come sorted by partition, and each (sourceid, dt, file) is one object.
SET hive.optimize.sort.dynamic.partition=true;
SET hive.merge.mapfiles=false;
SET hive.merge.mapredfiles=false;
SET hive.merge.tezfiles=false;
SET hive.stats.autogather=false;
-- Of the rejected lines.
SET hive.exec.compress.output=true;
SET mapreduce.output.fileoutputformat.compress.codec=org.apache.hadoop.io.compress.GzipCodec;

-- Hive writes a timestamp as if it were one of its Java's time zone: that must be UTC.
SELECT assert_true(reflect('java.time.ZoneId', 'systemDefault') RLIKE '^(Etc/)?(UTC|UCT|GMT|GMT0|Universal|Zulu|Greenwich)$|^Z$');

DROP TABLE IF EXISTS weir_history_raw;
DROP TABLE IF EXISTS weir_history_rows;
DROP TABLE IF EXISTS weir_history_rejected;
dfs -rm -r -f -skipTrash ${hivevar:lake}/_staging/json_to_parquet_hive;

-- A line is one column, whatever bytes are in it.
CREATE EXTERNAL TABLE weir_history_raw (line string)
PARTITIONED BY (sourceid string, dt string, files int, folder int)
ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe'
WITH SERDEPROPERTIES ('serialization.last.column.takes.rest' = 'true')
STORED AS TEXTFILE
LOCATION '${hivevar:lake}/_staging/json_to_parquet_hive/raw';

SOURCE ${hivevar:days};

CREATE EXTERNAL TABLE weir_history_rows (
  anonymousid string, messageid string, type string, userid string, event string,
  `timestamp` timestamp, originaltimestamp timestamp, sentat timestamp, receivedat timestamp,
  context map<string,string>, traits map<string,string>, properties map<string,string>, integrations map<string,string>,
  name string, category string, groupid string, previousid string, version string, rescued map<string,string>,
  kafkatopic string, kafkapartition int, kafkaoffset bigint)
PARTITIONED BY (sourceid string, dt string, file int)
STORED AS PARQUET
LOCATION '${hivevar:lake}/_staging/json_to_parquet_hive/rows/eventlogs'
TBLPROPERTIES ('parquet.compression' = 'SNAPPY');

CREATE EXTERNAL TABLE weir_history_rejected (line string)
PARTITIONED BY (sourceid string, dt string, reason string)
STORED AS TEXTFILE
LOCATION '${hivevar:lake}/_staging/json_to_parquet_hive/rejected/eventlogs';

-- What an event becomes is said by weirevent.py, to the byte; no SerDe for JSON does (services/decisions/0022).
FROM (
  FROM weir_history_raw
  SELECT TRANSFORM (sourceid, dt, files, line) ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t'
  USING 'python3 weirhive.py ${hivevar:layout}'
  AS (sourceid string, dt string, file int, reason string, line binary,
      anonymousid string, messageid string, type string, userid string, event string,
      name string, category string, groupid string, previousid string, version string,
      happened bigint, original bigint, sent bigint, received bigint,
      context map<string,string>, traits map<string,string>, properties map<string,string>, integrations map<string,string>,
      rescued map<string,string>)
  ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' ESCAPED BY '\\' COLLECTION ITEMS TERMINATED BY '\002' MAP KEYS TERMINATED BY '\003'
) e
INSERT OVERWRITE TABLE weir_history_rows PARTITION (sourceid, dt, file)
SELECT anonymousid, messageid, type, userid, event,
  cast(happened / 1000.0 AS timestamp), cast(original / 1000.0 AS timestamp), cast(sent / 1000.0 AS timestamp), cast(received / 1000.0 AS timestamp),
  context, traits, properties, integrations, name, category, groupid, previousid, version, rescued,
  cast(NULL AS string), cast(NULL AS int), cast(NULL AS bigint), sourceid, dt, file
WHERE reason IS NULL
INSERT OVERWRITE TABLE weir_history_rejected PARTITION (sourceid, dt, reason)
SELECT cast(line AS string), sourceid, dt, reason
WHERE reason IS NOT NULL;

SET hive.exec.compress.output=false;
SELECT coalesce(sum(good), 0), coalesce(sum(bad), 0)
FROM (SELECT 1 AS good, 0 AS bad FROM weir_history_rows UNION ALL SELECT 0, 1 FROM weir_history_rejected) lines;

DROP TABLE weir_history_raw;
DROP TABLE weir_history_rows;
DROP TABLE weir_history_rejected;
