"""Messages by source, type and event, by day and by week, from eventlogs.

    spark-submit --py-files weirlake.py rollup_by_type.py --lake s3://bucket/lake

Writes <lake>/messages_by_type_daily/sourceid=…/dt=YYYY-MM-DD and <lake>/messages_by_type_weekly/sourceid=…/week_start_ds=
YYYY-MM-DD, the Monday. A day is counted anew where the objects of its partition are others than those it was counted from,
and a week where one of its days is; everything else is left as it is. Prints one line of JSON.
"""

import argparse
import json
import re
import sys
from datetime import date, timedelta

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from weirlake import Lake, fingerprint

VERSION = 1  # of what is counted: another one makes all days anew
DAY = re.compile(r"/sourceid=([A-Za-z0-9._-]{1,128})/dt=(\d{4}-\d\d-\d\d)$")
EVENTS = "sourceid string, dt string, type string, event string"
COUNTS = "sourceid string, dt string, type string, event string, messages bigint"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lake", required=True, help="the lake: its eventlogs/ is read, the rollups stand beside it")
    p.add_argument("--source", action="append", default=[], help="only this source; may be repeated")
    p.add_argument("--from", dest="first", type=date.fromisoformat, default=date.min, help="first day, YYYY-MM-DD; its whole week is counted")
    p.add_argument("--to", dest="last", type=date.fromisoformat, default=date.max, help="last day, YYYY-MM-DD; its whole week is counted")
    p.add_argument("--codec", choices=["zstd", "snappy"], default="zstd", help="of the Parquet files")
    return p.parse_args()


def monday(day):
    return day - timedelta(days=day.weekday())


def days_of(lake, args):
    """The days of eventlogs whose week is asked for, as folders by (source, day)."""
    found = {}
    for folder in lake.folders(f"{lake.url}/eventlogs/sourceid=*/dt=*"):
        m = DAY.search(folder)
        if not m or (args.source and m[1] not in args.source):
            continue
        day = date.fromisoformat(m[2])
        if monday(day) <= args.last and monday(day).toordinal() + 6 >= args.first.toordinal():
            found[m[1], day] = folder
    return found


def replace(lake, name, frame, key, prints, held, codec):
    """Makes the partitions of one table anew that prints names."""
    lake.clear()
    frame.repartition(min(len(prints), 200), "sourceid", key).sortWithinPartitions("sourceid", key, "type", "event").write.partitionBy(
        "sourceid", key).option("compression", codec).parquet(f"{lake.staging}/rows/{name}")
    lake.publish("rows", prints, held)
    lake.clear()


def stale(lake, prints):
    """Those of the partitions that are not made from what prints says, and the objects that all of them hold."""
    held = lake.held(sorted(prints))
    refused = [relative for relative in held if lake.foreign(held[relative])]
    if refused:
        print(f"{refused[0]} and {len(refused) - 1} more hold objects that this job did not write: move them away", file=sys.stderr)
        sys.exit(3)
    return {relative: mark for relative, mark in prints.items() if not lake.complete(held[relative], mark)}, held


def count_days(spark, lake, folders, codec):
    """Brings the daily table up to date; returns the fingerprint of each day, how many were counted, and their messages."""
    files = lake.files(folders.values())
    names = {at: f"messages_by_type_daily/sourceid={at[0]}/dt={at[1]}" for at in folders if files[folders[at]]}
    marks = {at: fingerprint(VERSION, codec, files[folders[at]]) for at in names}
    todo, held = stale(lake, {names[at]: marks[at] for at in names})
    if not todo:
        return marks, names, 0, 0
    paths = [path for at in names if names[at] in todo for path, _, _ in files[folders[at]]]
    events = spark.read.schema(EVENTS).option("basePath", f"{lake.url}/eventlogs").parquet(*paths)
    counted = events.groupBy("sourceid", "dt", "type", "event").agg(F.count(F.lit(1)).alias("messages"))
    replace(lake, "messages_by_type_daily", counted, "dt", todo, held, codec)
    made = daily(spark, lake, todo)
    return marks, names, len(todo), made.agg(F.coalesce(F.sum("messages"), F.lit(0))).first()[0]


def daily(spark, lake, relatives):
    """The daily counts of these partitions."""
    base = f"{lake.url}/messages_by_type_daily"
    return spark.read.schema(COUNTS).option("basePath", base).parquet(*[f"{lake.url}/{relative}" for relative in sorted(relatives)])


def count_weeks(spark, lake, marks, names, codec):
    """Brings the weekly table up to date from the daily one; returns how many weeks were counted."""
    weeks = {}
    for source, day in sorted(names):
        weeks.setdefault((source, monday(day)), []).append((source, day))
    relatives = {at: f"messages_by_type_weekly/sourceid={at[0]}/week_start_ds={at[1]}" for at in weeks}
    todo, held = stale(lake, {relatives[at]: fingerprint(VERSION, codec, [(str(day), marks[source, day]) for source, day in weeks[at]]) for at in weeks})
    if not todo:
        return 0
    days = daily(spark, lake, [names[day] for at in weeks if relatives[at] in todo for day in weeks[at]])
    week = F.date_format(F.date_trunc("week", F.to_date("dt")), "yyyy-MM-dd").alias("week_start_ds")
    counted = days.groupBy("sourceid", week, "type", "event").agg(F.sum("messages").alias("messages"))
    replace(lake, "messages_by_type_weekly", counted, "week_start_ds", todo, held, codec)
    return len(todo)


def run(spark, args):
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")
    lake = Lake(spark, args.lake, "rollup_by_type", "rollup")
    folders = days_of(lake, args)
    marks, names, days, messages = count_days(spark, lake, folders, args.codec)
    weeks = count_weeks(spark, lake, marks, names, args.codec)
    return {"job": "rollup_by_type", "days": len(names), "counted_days": days, "counted_weeks": weeks, "messages": messages}


def main():
    args = arguments()
    print(json.dumps(run(SparkSession.builder.appName("weir rollup_by_type").getOrCreate(), args)))


if __name__ == "__main__":
    main()
