# Runs the statements of a table in Hive's DDL, which is Athena's, against a metastore of its own, and answers from the table
# that they make. The statements of the second file are only parsed: their SerDe is not here.
import json
import sys

from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.config("spark.sql.catalogImplementation", "hive")
    .config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:ddl;create=true")
    .config("spark.hadoop.fs.s3.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem")
    .getOrCreate()
)


def statements(path):
    with open(path) as f:
        return [s.strip() for s in f.read().split(";\n") if s.strip()]


spark.sql("CREATE DATABASE weir")
for s in statements(sys.argv[1]):
    spark.sql(s)
for s in statements(sys.argv[2]):
    spark._jsparkSession.sessionState().sqlParser().parsePlan(s)
rows = spark.sql("select messageid, properties['items'] as items, dt > '2020' as day from weir.eventlogs where event = 'Order Completed' order by 1").collect()
print(json.dumps({
    "rows": [[r.messageid, r["items"], r.day] for r in rows],
    "comments": {c.name: c.description for c in spark.catalog.listColumns("weir.eventlogs") if c.description},
}))
