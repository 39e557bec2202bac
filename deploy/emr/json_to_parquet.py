"""Raw JSON history into Parquet with the columns of eventlogs, partitioned by sourceid and dt.

    spark-submit --py-files weirevent.py,weirlake.py json_to_parquet.py --raw s3://bucket/lake/raw --lake s3://bucket/lake

A row is what weir's sink makes of the same event, to the byte; README.md names what a raw line cannot tell. A rerun replaces
the days whose raw files changed. A day into which the sink has written is refused by name, and the others go on: exit 3.
Lines that are no event are kept, byte for byte, under <lake>/_rejected/. Prints one line of JSON.
"""

import argparse
import json
import math
import re
import sys
from datetime import date, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from weirevent import MAPS, TEXTS, TIMES, event
from weirlake import Lake, LakeError, fingerprint

VERSION = 1  # of what a row is: another one makes all days anew
FILE_BYTES = 256 << 20  # of raw files to one Parquet file, about

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

# Where a raw file stands: its source, and its day.
LAYOUTS = {
    "weir": ("sourceid=*/dt=*", r"/sourceid=([A-Za-z0-9._-]{1,128})/dt=(\d{4}-\d\d-\d\d)$"),
    "segment": ("*/*", r"/([A-Za-z0-9._-]{1,128})/(\d{9,14})$"),
}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--raw", required=True, help="where the raw files are: <lake>/raw, or Segment's segment-logs")
    p.add_argument("--layout", choices=sorted(LAYOUTS), default="weir", help="of the raw files' folders")
    p.add_argument("--lake", required=True, help="the lake: rows go to its eventlogs/")
    p.add_argument("--source", action="append", default=[], help="only this source; may be repeated")
    p.add_argument("--from", dest="first", type=date.fromisoformat, default=date.min, help="first day, YYYY-MM-DD")
    p.add_argument("--to", dest="last", type=date.fromisoformat, default=date.max, help="last day, YYYY-MM-DD")
    p.add_argument("--codec", choices=["zstd", "snappy"], default="zstd", help="of the Parquet files")
    return p.parse_args()


def place(layout, folder):
    """The source and the day of a folder; None if it is none of the layout."""
    m = re.search(LAYOUTS[layout][1], folder)
    if not m:
        return None
    try:
        day = date(1970, 1, 1) + timedelta(milliseconds=int(m[2])) if layout == "segment" else date.fromisoformat(m[2])
    except (ValueError, OverflowError):
        return None
    return m[1], day


def raw_files(lake, args):
    """The raw files by the lake's folder that their rows go to, and how many folders were passed over."""
    wanted, ignored = {}, 0
    for folder in lake.folders(f"{args.raw.rstrip('/')}/{LAYOUTS[args.layout][0]}"):
        at = place(args.layout, folder)
        if at is None:
            ignored += 1
        elif args.first <= at[1] <= args.last and (not args.source or at[0] in args.source):
            wanted[folder] = at
    by_target = {}
    for folder, files in lake.files(wanted).items():
        source, day = wanted[folder]
        if files:
            by_target.setdefault(f"eventlogs/sourceid={source}/dt={day}", []).extend(files)
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
    files = {target: max(1, math.ceil(size / FILE_BYTES)) for target, size in sizes.items()}
    keys = [tuple(part.split("=", 1)[1] for part in target.split("/")[1:]) + (n,) for target, n in files.items()]
    spread = spark.createDataFrame(keys, "sourceid string, dt string, files int")
    rows = lines.where("e.reason is null").select("sourceid", "dt", "e.*").join(F.broadcast(spread), ["sourceid", "dt"])
    rows = rows.withColumn("file", F.expr("pmod(xxhash64(messageid), files)"))
    rows = rows.repartition(min(sum(files.values()), 4096), "sourceid", "dt", "file").selectExpr(*COLUMNS, "sourceid", "dt")
    rows.write.partitionBy("sourceid", "dt").option("compression", codec).parquet(f"{lake.staging}/rows/eventlogs")


def write_rejected(lake, lines):
    """The lines that are no event into staging, byte for byte."""
    bad = lines.where("e.reason is not null").select("value", "sourceid", "dt", F.col("e.reason").alias("reason"))
    bad.write.partitionBy("sourceid", "dt", "reason").option("compression", "gzip").option("lineSep", "\n").text(f"{lake.staging}/rejected")


def keep_rejected(lake, targets):
    """Puts the rejected lines of these days in the place of those of before."""
    fs, staged = lake.fs(lake.url), f"{lake.staging}/rejected"
    for target in targets:
        relative = target.split("/", 1)[1]
        old, new = lake.path(f"{lake.url}/_rejected/{target}"), lake.path(f"{staged}/{relative}")
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
    write_rows(spark, lake, lines, {target: sum(size for _, size, _ in files) for target, files in raw.items()}, args.codec)
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
    prints = {target: fingerprint(VERSION, args.layout, args.codec, files) for target, files in raw.items()}
    refused = sorted(target for target in raw if lake.foreign(held[target]))
    stale = sorted(target for target in raw if target not in refused and not lake.complete(held[target], prints[target]))
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
    done = run(SparkSession.builder.appName("weir json_to_parquet").getOrCreate(), args)
    print(json.dumps(done))
    if done["refused"]:
        print(f"{len(done['refused'])} partitions hold objects that this job did not write, such as the sink's; they are as they were. "
              "Leave them out with --from, --to and --source", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
