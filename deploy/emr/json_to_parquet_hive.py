"""Raw JSON history into Parquet with the columns of eventlogs, partitioned by sourceid and dt, by Hive.

    python3 json_to_parquet_hive.py --raw s3://bucket/segment-logs --layout segment --lake s3://bucket/lake

Does what json_to_parquet.py does in Spark, under the same names and with the same rows: finds the days whose raw files
changed, has json_to_parquet.hql beside it make them in <lake>/_staging/, and moves them to their places. A day into which the
sink has written is refused by name, and the others go on: exit 3. Needs the commands hadoop and hive, as a primary node of
EMR has them, the files beside it, and nothing of Spark. Prints one line of JSON.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from weirlake import FILE_BYTES, LAYOUTS, LakeError, Names, finish, history_arguments, history_print, target, wanted

HERE = os.path.dirname(os.path.abspath(__file__))
CODEC = "snappy"  # as json_to_parquet.hql says
STAGING = "_staging/json_to_parquet_hive"  # as json_to_parquet.hql says
NAMES = Names("history")
MANY = 400  # folders of one command
COMMANDS = 3  # at once, each a JVM
PARTITIONS = 100  # of one statement
DAYS = 300  # of one run of Hive: what it keeps in its metastore, and what a run that dies has done in vain


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    history_arguments(p)
    args = p.parse_args()
    args.raw, args.lake = args.raw.rstrip("/"), args.lake.rstrip("/")
    for url in (args.raw, args.lake):
        if not re.fullmatch(r"[A-Za-z0-9._:/=+@-]+", url):
            p.error(f"{url} has characters that Hive's command dfs cannot be given")
    return args


def hadoop(*args):
    """The lines that a command of Hadoop's file systems prints; what it was asked for and is not there, it leaves out."""
    done = subprocess.run(["hadoop", "fs", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.startswith(args[0][1:] + ": ")]
        if not said or any(not line.endswith("No such file or directory") for line in said):
            raise LakeError(f"hadoop fs {' '.join(args[:4])} …: exit {done.returncode}\n{done.stderr[-4000:].decode(errors='replace')}")
    return done.stdout.decode().splitlines()


def hive(*args):
    """What Hive printed for a script."""
    done = subprocess.run(["hive", "-S", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-8000:].decode(errors="replace")
        zone = "; the cluster's time zone must be UTC" if "ASSERT_TRUE" in said else ""
        raise LakeError(f"hive {args[-1]}: exit {done.returncode}{zone}. Once this is mended, run the job again\n{said}")
    return done.stdout.decode().splitlines()


def parted(things, size):
    return [things[i : i + size] for i in range(0, len(things), size)]


def in_parts(call, things):
    """The lines of a call for each few of many things."""
    with ThreadPoolExecutor(COMMANDS) as pool:
        return [line for lines in pool.map(call, parted(things, MANY)) for line in lines]


def by_folder(folders, paths):
    """Names by the folder in which they stand."""
    found = {folder: [] for folder in folders}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in found:
            raise LakeError(f"{path} was listed and is in none of the folders that were asked for")
        found[folder].append(name)
    return found


def names(folders):
    """The names in each of the folders; none where there is no folder."""
    return by_folder(folders, in_parts(lambda some: hadoop("-ls", "-C", *some), folders))


def hidden(name):
    return name[0] in "_."


def files(folders):
    """The files of each of the folders, as (URL, bytes, last change in ms); those that engines pass over are left out."""
    listed = names(folders)
    full = [folder for folder in folders if listed[folder]]
    stats = in_parts(lambda some: hadoop("-stat", "%F/%b/%Y/%n", *[folder + "/*" for folder in some]), full)
    found, i = {}, 0
    for folder in full:
        here = sorted((line.split("/", 3) for line in stats[i : i + len(listed[folder])]), key=lambda stat: stat[-1])
        i += len(here)
        if [stat[-1] for stat in here] != sorted(listed[folder]):
            raise LakeError(f"{folder} changed while it was listed: run the job again")
        here = [stat for stat in here if not hidden(stat[3])]
        for kind, _, _, name in here:
            if kind == "directory":
                raise LakeError(f"{folder}/{name} is a folder inside of a day's: move its files up, or use json_to_parquet.py")
        found[folder] = [(f"{folder}/{name}", int(size), int(changed)) for _, size, changed, name in here]
    return found


def raw_files(args):
    """The raw files of each of the lake's days by their folder, and how many folders were passed over."""
    listed = hadoop("-ls", "-d", f"{args.raw}/{LAYOUTS[args.layout][0]}")
    found, ignored = wanted(sorted(line.split(None, 7)[7] for line in listed if line.startswith("d")), args)
    days = {}
    for folder, here in files(list(found)).items():
        if here:
            days.setdefault(target(found[folder]), {})[folder] = here
    return days, ignored


def partitions(days):
    """The statements that tell Hive of the raw folders, and into how many Parquet files each day goes."""
    parts = []
    for day, folders in days.items():
        source, dt = (part.split("=", 1)[1] for part in day.split("/")[1:])
        count = max(1, math.ceil(sum(size for here in folders.values() for _, size, _ in here) / FILE_BYTES))
        for i, folder in enumerate(folders):
            parts.append(f"PARTITION (sourceid='{source}', dt='{dt}', files={count}, folder={i}) LOCATION '{folder}'")
    return "".join("ALTER TABLE weir_history_raw ADD\n" + "\n".join(few) + ";\n" for few in parted(parts, PARTITIONS))


def make(args, days):
    """Has Hive make the days in staging; returns how many rows they have, and how many lines were rejected."""
    with tempfile.NamedTemporaryFile("w", suffix=".hql") as f:
        f.write(partitions(days))
        f.flush()
        variables = {"jobs": HERE, "days": f.name, "layout": args.layout, "lake": args.lake}
        said = hive(*[word for item in variables.items() for word in ("--hivevar", "=".join(item))],
                    "--hiveconf", "textinputformat.record.delimiter=\n", "-f", f"{HERE}/json_to_parquet.hql")
    counts = [line for line in said if re.fullmatch(r"\d+\t\d+", line)]
    if len(counts) != 1:
        raise LakeError(f"hive said no numbers of rows: {said[-20:]}")
    rows, rejected = counts[0].split("\t")
    return int(rows), int(rejected)


def moves(lake, days, prints, held, staged):
    """The commands that put the days into place: the rejected lines first, then each day's objects after those of before are
    gone. Between the two a reader finds fewer rows, never a row twice."""
    made, bad = {day: [] for day in days}, set()
    for path in sorted(staged):
        relative = path[len(f"{lake}/{STAGING}/") :]
        m = re.fullmatch(r"(?:rows|rejected)/(eventlogs/sourceid=[^/]+/dt=[^/]+)/(?:file=\d+/[^/]+|reason=[^/]+/[^/]+)", relative)
        if not m or m[1] not in made:
            continue  # folders
        if relative.startswith("rows/"):
            made[m[1]].append(path)
        else:
            bad.add(m[1])
    for day, paths in made.items():
        yield f"-rm -r -f -skipTrash {lake}/_rejected/{day}"
        if day in bad:
            yield f"-mkdir -p {lake}/_rejected/{os.path.dirname(day)}"
            yield f"-mv {lake}/{STAGING}/rejected/{day} {lake}/_rejected/{day}"
        old = [name for name in held[day] if NAMES.own.fullmatch(name)]
        if old:
            yield "-rm -skipTrash " + " ".join(f"{lake}/{day}/{name}" for name in old)
        if paths:
            yield f"-mkdir -p {lake}/{day}"
        for i, path in enumerate(paths, 1):
            yield f"-mv {path} {lake}/{day}/{NAMES.name(prints[day], i, len(paths))}"


def publish(args, days, prints, held):
    staged = hadoop("-ls", "-C", "-R", f"{args.lake}/{STAGING}")
    with tempfile.NamedTemporaryFile("w", suffix=".hql") as f:
        for command in moves(args.lake, days, prints, held, staged):
            f.write(f"dfs {command};\n")
        f.write(f"dfs -rm -r -f -skipTrash {args.lake}/{STAGING};\n")
        f.flush()
        hive("-f", f.name)


def run(args):
    raw, ignored = raw_files(args)
    here = names([f"{args.lake}/{day}" for day in sorted(raw)])
    held = {day: [name for name in here[f"{args.lake}/{day}"] if not hidden(name)] for day in sorted(raw)}
    prints = {day: history_print(args, CODEC, [file for folder in folders.values() for file in folder]) for day, folders in raw.items()}
    refused = sorted(day for day in raw if NAMES.foreign(held[day]))
    stale = sorted(day for day in raw if day not in refused and not NAMES.complete(held[day], prints[day]))
    rows, rejected = 0, 0
    for days in parted(stale, DAYS):
        good, bad = make(args, {day: raw[day] for day in days})
        publish(args, days, prints, held)
        rows, rejected = rows + good, rejected + bad
    return {
        "job": "json_to_parquet_hive", "partitions": len(raw), "written": len(stale), "unchanged": len(raw) - len(stale) - len(refused),
        "rows": rows, "rejected": rejected, "ignored_folders": ignored, "refused": refused,
    }


def main():
    try:
        done = run(arguments())
    except LakeError as e:
        sys.exit(f"json_to_parquet_hive: {e}")
    finish(done)


if __name__ == "__main__":
    main()
