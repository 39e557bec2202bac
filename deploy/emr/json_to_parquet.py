"""Raw JSON history into Parquet with the columns of eventlogs, partitioned by sourceid and dt.

    spark-submit --py-files weirevent.py,weirlake.py json_to_parquet.py --raw s3://bucket/lake/raw --lake s3://bucket/lake

A row is what weir's sink makes of the same event, to the byte; README.md names what a raw line cannot tell. A rerun replaces
the days whose raw files changed. A day into which the sink has written is refused by name, and the others go on: exit 3.
Lines that are no event are kept, byte for byte, under <lake>/_rejected/. Prints one line of JSON.
"""

import argparse
import math
from datetime import date

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from weirevent import MAPS, TEXTS, TIMES, event
from weirlake import FILE_BYTES, LAYOUTS, Lake, LakeError, finish, history_arguments, history_print, target, wanted

MAP = T.MapType(T.StringType(), T.StringType())
PARSED = T.StructType(
    [T.StructField("reason", T.StringType())]
    + [T.StructField(name.lower(), T.StringType()) for name in TEXTS]
    + [T.StructField(name.lower(), T.LongType()) for name in TIMES]
    + [T.StructField(name, MAP) for name in MAPS + ("rescued",)]
)

# The columns of eventlogs in their order; those that tell where a record stood in Kafka have no value here.
COLUMNS = (
    ["anonymousid", "messageid", "type", "userid", "event"]
    + [f"timestamp_millis({name.lower()}) as `{name.lower()}`" for name in TIMES]
    + list(MAPS)
    + ["name", "category", "groupid", "previousid", "version", "rescued"]
    + ["cast(null as string) as kafkatopic", "cast(null as int) as kafkapartition", "cast(null as bigint) as kafkaoffset"]
)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    history_arguments(p)
    p.add_argument("--codec", choices=["zstd", "snappy"], default="zstd", help="of the Parquet files")
    return p.parse_args()


def raw_files(lake, args):
    """The raw files by the lake's folder that their rows go to, and how many folders were passed over."""
    found, ignored = wanted(lake.folders(f"{args.raw.rstrip('/')}/{LAYOUTS[args.layout][0]}"), args)
    by_target = {}
    for folder, files in lake.files(found).items():
        if files:
            by_target.setdefault(target(found[folder]), []).extend(files)
    return by_target, ignored


def parsed(spark, paths, layout, rejected):
    """One row for each line: line, sourceid, dt, and e, which is the event or the reason why there is none."""

    def parse(line, dt):
        day = (date.fromisoformat(dt) - date(1970, 1, 1)).days if layout == "weir" else None
        made = event(bytes(line), day)
        if made[0] is not None:
            rejected.add(1)
        return made

    folder, pattern = F.regexp_replace(F.col("_metadata.file_path"), "/[^/]*$", ""), LAYOUTS[layout][1]
    source, dt = F.regexp_extract(folder, pattern, 1), F.regexp_extract(folder, pattern, 2)
    if layout == "segment":
        dt = F.date_format(F.timestamp_millis(dt.cast("bigint")), "yyyy-MM-dd")
    lines = spark.read.option("lineSep", "\n").text(paths).select("value", source.alias("sourceid"), dt.alias("dt"))
    # A function that says it is not deterministic is called once for each line, whatever is asked of its result.
    call = F.udf(parse, PARSED).asNondeterministic()
    return lines.select("value", "sourceid", "dt", call(F.col("value").cast("binary"), "dt").alias("e"))


def write_rows(spark, lake, lines, sizes, codec):
    """The rows into staging: a day is one file for each FILE_BYTES of its raw files, at least one."""
    files = {day: max(1, math.ceil(size / FILE_BYTES)) for day, size in sizes.items()}
    keys = [tuple(part.split("=", 1)[1] for part in day.split("/")[1:]) + (n,) for day, n in files.items()]
    spread = spark.createDataFrame(keys, "sourceid string, dt string, files int")
    rows = lines.where("e.reason is null").select("sourceid", "dt", "e.*").join(F.broadcast(spread), ["sourceid", "dt"])
    rows = rows.withColumn("file", F.expr("pmod(xxhash64(messageid), files)"))
    rows = rows.repartition(min(sum(files.values()), 4096), "sourceid", "dt", "file").selectExpr(*COLUMNS, "sourceid", "dt")
    rows.write.partitionBy("sourceid", "dt").option("compression", codec).parquet(f"{lake.staging}/rows/eventlogs")


def write_rejected(lake, lines):
    """The lines that are no event into staging, byte for byte."""
    bad = lines.where("e.reason is not null").select("value", "sourceid", "dt", F.col("e.reason").alias("reason"))
    bad.write.partitionBy("sourceid", "dt", "reason").option("compression", "gzip").option("lineSep", "\n").text(f"{lake.staging}/rejected")


def keep_rejected(lake, days):
    """Puts the rejected lines of these days in the place of those of before."""
    fs, staged = lake.fs(lake.url), f"{lake.staging}/rejected"
    for day in days:
        relative = day.split("/", 1)[1]
        old, new = lake.path(f"{lake.url}/_rejected/{day}"), lake.path(f"{staged}/{relative}")
        fs.delete(old, True)
        if fs.exists(new):
            fs.mkdirs(old.getParent())
            if not fs.rename(new, old):
                raise LakeError(f"move {new} to {old}: refused; run the job again")


def convert(spark, lake, args, raw, prints, held):
    """Makes the days of raw anew; returns how many rows they have, and how many lines were rejected."""
    paths = [path for files in raw.values() for path, _, _ in files]
    rejected = spark.sparkContext.accumulator(0)
    lines = parsed(spark, paths, args.layout, rejected)
    write_rows(spark, lake, lines, {day: sum(size for _, size, _ in files) for day, files in raw.items()}, args.codec)
    bad = 0
    if rejected.value:  # a task that ran twice counts twice: what was written is what counts
        write_rejected(lake, lines)
        bad = spark.read.option("lineSep", "\n").text(f"{lake.staging}/rejected").count()
    rows = spark.read.schema("type string").parquet(f"{lake.staging}/rows/eventlogs").count()
    keep_rejected(lake, raw)
    lake.publish("rows", prints, held)
    return rows, bad


def run(spark, args):
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    spark.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED")
    lake = Lake(spark, args.lake, "json_to_parquet", "history")
    raw, ignored = raw_files(lake, args)
    held = lake.held(sorted(raw))
    prints = {day: history_print(args, args.codec, files) for day, files in raw.items()}
    refused = sorted(day for day in raw if lake.foreign(held[day]))
    stale = sorted(day for day in raw if day not in refused and not lake.complete(held[day], prints[day]))
    rows, rejected = 0, 0
    if stale:
        lake.clear()
        rows, rejected = convert(spark, lake, args, {t: raw[t] for t in stale}, {t: prints[t] for t in stale}, held)
        lake.clear()
    return {
        "job": "json_to_parquet", "partitions": len(raw), "written": len(stale), "unchanged": len(raw) - len(stale) - len(refused),
        "rows": rows, "rejected": rejected, "ignored_folders": ignored, "refused": refused,
    }


def main():
    args = arguments()
    finish(run(SparkSession.builder.appName("weir json_to_parquet").getOrCreate(), args))


if __name__ == "__main__":
    main()
