"""What the jobs share: folders of a lake, and how a job replaces its own objects in them and nobody else's.

A job names its objects <mark>-<fingerprint>-<i>of<n>.parquet. The fingerprint is that of what the objects are made from, so
that a folder tells whether it is up to date, and n tells whether it is complete. A Lake runs on Spark's driver only, over
Hadoop's file systems: s3:// on EMR, s3a:// elsewhere, file:/ on one machine; the rest needs no Spark. One run of a job at a
time: a second one takes away the staging folder of the first, which fails then.
"""

import hashlib
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

AT_ONCE = 16  # moves and deletions, each a few requests of S3
HISTORY = 1  # the version of what a row of the history is: another one makes all days anew
FILE_BYTES = 256 << 20  # of raw files to one Parquet file of the history, about

# Where a raw file stands: its source, and its day.
LAYOUTS = {
    "weir": ("sourceid=*/dt=*", r"/sourceid=([A-Za-z0-9._-]{1,128})/dt=(\d{4}-\d\d-\d\d)$"),
    "segment": ("*/*", r"/([A-Za-z0-9._-]{1,128})/(\d{9,14})$"),
}


class LakeError(Exception):
    """The lake is not as the job needs it; the text says what to do."""


class Names:
    """What the objects of a job are called."""

    def __init__(self, mark):
        self.mark = mark
        self.own = re.compile(re.escape(mark) + r"-([0-9a-f]{16})-(\d+)of(\d+)\.parquet")

    def name(self, fingerprint, i, n):
        return f"{self.mark}-{fingerprint}-{i}of{n}.parquet"

    def foreign(self, names):
        """Those of a folder's objects that this job did not put there."""
        return [name for name in names if not self.own.fullmatch(name)]

    def complete(self, names, fingerprint):
        """Whether a folder's objects are all those of one finished run over what has this fingerprint."""
        marks = [self.own.fullmatch(name) for name in names]
        own = [match for match in marks if match]
        numbers = {int(match[2]) for match in own}
        return bool(own) and all(match[1] == fingerprint for match in own) and all(
            int(match[3]) == len(own) for match in own) and numbers == set(range(1, len(own) + 1))


class Lake(Names):
    """One lake, and the staging folder that one job has in it."""

    def __init__(self, spark, url, job, mark):
        super().__init__(mark)
        self.spark, self.url = spark, url.rstrip("/")
        self.staging = f"{self.url}/_staging/{job}"
        self.path = spark._jvm.org.apache.hadoop.fs.Path
        self.conf = spark._jsc.hadoopConfiguration()

    def fs(self, url):
        return self.path(url).getFileSystem(self.conf)

    def folders(self, pattern):
        """The URLs of the folders that match a glob pattern, in order."""
        found = self.fs(pattern).globStatus(self.path(pattern)) or []
        return sorted(status.getPath().toString() for status in found if status.isDirectory())

    def files(self, folders):
        """The files of each of the folders and of those inside it, as (URL, bytes, last change); names that begin with _ or
        a dot are passed over, as engines do."""
        found = {folder: [] for folder in folders}
        if not found:
            return found
        listing = self.spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(list(found))
        for path, length, changed in listing.selectExpr("path", "length", "cast(unix_millis(modificationTime) as bigint)").collect():
            folder = path.rsplit("/", 1)[0]
            while folder not in found:
                folder, cut, _ = folder.rpartition("/")
                if not cut:
                    raise LakeError(f"{path} was listed and is in none of the folders that were asked for")
            found[folder].append((path, length, changed))
        return {folder: sorted(files) for folder, files in found.items()}

    def held(self, relatives):
        """The names of the objects in each of the lake's folders; none where there is no folder."""
        there = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for relative, exists in zip(relatives, pool.map(self._exists, relatives)):
                if exists:
                    there[self._full(relative)] = relative
        held = {relative: [] for relative in relatives}
        for folder, files in self.files(there).items():
            held[there[folder]] = [path[len(folder) + 1 :] for path, _, _ in files]
        return held

    def _exists(self, relative):
        return self.fs(self.url).exists(self.path(f"{self.url}/{relative}"))

    def _full(self, relative):
        return self.path(f"{self.url}/{relative}").toString()

    def clear(self):
        """Removes what a run left in staging."""
        self.fs(self.staging).delete(self.path(self.staging), True)

    def publish(self, staged, prints, held):
        """Puts the staged objects of each folder of the lake into place, after the job's own of before are gone: between the
        two a reader finds fewer rows, never a row twice.

        staged is a folder of staging that holds the folders as they should stand in the lake; prints gives their
        fingerprints by folder, held the names of the objects that are there now.
        """
        source = self.path(f"{self.staging}/{staged}").toString()
        made = {relative: [] for relative in prints}
        if self.fs(source).exists(self.path(source)):
            for path, _, _ in self.files([source])[source]:
                relative = path[len(source) + 1 :].rsplit("/", 1)[0]
                if relative not in made:
                    raise LakeError(f"{path} was written for a folder that this run does not replace")
                made[relative].append(path)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda relative: self._replace(relative, prints[relative], held.get(relative, []), made[relative]), made))

    def _replace(self, relative, fingerprint, held, made):
        fs, folder = self.fs(self.url), f"{self.url}/{relative}"
        for name in held:
            if self.own.fullmatch(name):
                fs.delete(self.path(f"{folder}/{name}"), False)
        if made:
            fs.mkdirs(self.path(folder))
        for i, path in enumerate(made, 1):
            self._move(fs, path, f"{folder}/{self.name(fingerprint, i, len(made))}")

    def _move(self, fs, path, target):
        from py4j.protocol import Py4JJavaError  # comes with Spark
        try:
            moved = fs.rename(self.path(path), self.path(target))
        except Py4JJavaError as e:
            raise LakeError(f"move {path} to {target}: {e.java_exception}; run the job again") from e
        if not moved:
            raise LakeError(f"move {path} to {target}: refused; run the job again")


def fingerprint(*what):
    """16 hexadecimal digits that stand for what something is made from."""
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def history_arguments(p):
    """The arguments of both jobs that convert raw files."""
    p.add_argument("--raw", required=True, help="where the raw files are: <lake>/raw, or Segment's segment-logs")
    p.add_argument("--layout", choices=sorted(LAYOUTS), default="weir", help="of the raw files' folders")
    p.add_argument("--lake", required=True, help="the lake: rows go to its eventlogs/")
    p.add_argument("--source", action="append", default=[], help="only this source; may be repeated")
    p.add_argument("--from", dest="first", type=date.fromisoformat, default=date.min, help="first day, YYYY-MM-DD")
    p.add_argument("--to", dest="last", type=date.fromisoformat, default=date.max, help="last day, YYYY-MM-DD")


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


def wanted(folders, args):
    """Those of the raw folders that are asked for, with their source and day, and how many folders are none of the layout."""
    found, ignored = {}, 0
    for folder in folders:
        at = place(args.layout, folder)
        if at is None:
            ignored += 1
        elif args.first <= at[1] <= args.last and (not args.source or at[0] in args.source):
            found[folder] = at
    return found, ignored


def target(at):
    """The folder of the lake for the rows of a source's day."""
    return f"eventlogs/sourceid={at[0]}/dt={at[1]}"


def history_print(args, codec, files):
    """The fingerprint of a day that is made from these raw files, each (URL, bytes, last change in ms)."""
    return fingerprint(HISTORY, args.layout, codec, files)


def finish(done):
    """Says what a conversion did, and ends the program with 3 where it refused a day."""
    print(json.dumps(done))
    if done["refused"]:
        print(f"{len(done['refused'])} partitions hold objects that this job did not write, such as the sink's; they are as they were. "
              "Leave them out with --from, --to and --source", file=sys.stderr)
        sys.exit(3)
