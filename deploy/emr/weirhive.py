"""Between Hive's TRANSFORM and weirevent.py: a raw line with its source, day and number of files in, a row out.

In: sourceid, dt, files, line, with tabs between; the line is the rest, whatever bytes are in it. Out: the columns that
json_to_parquet.hql names, with tabs between, \\x02 between the entries of a map and \\x03 after a key, escaped by backslashes
as Hive's LazySimpleSerDe reads them; a rejected line is base64. Needs nothing but Python 3.8.
"""

import base64
import os
import re
import sys
import zlib
from datetime import date

sys.path.insert(0, os.getcwd())  # where Hive puts the job's files; each may be a link to a folder of its own

from weirevent import NOTHING, TEXTS, TIMES, event  # noqa: E402

NULL = b"\\N"
SPECIAL = re.compile(rb"[\\\t\x02\x03\r\n]")
LETTERS = {b"\r": b"\\r", b"\n": b"\\n"}  # a reader of lines must not see these
FIRST_TIME, FIRST_MAP = len(TEXTS), len(TEXTS) + len(TIMES)


def text(value):
    if value is None:
        return NULL
    return SPECIAL.sub(lambda m: LETTERS.get(m[0], b"\\" + m[0]), value.encode())


def number(value):
    return NULL if value is None else b"%d" % value


def entries(value):
    return NULL if value is None else b"\x02".join(text(k) + b"\x03" + text(v) for k, v in value.items())


def columns(row):
    return (
        [text(v) for v in row[:FIRST_TIME]] + [number(v) for v in row[FIRST_TIME:FIRST_MAP]] + [entries(v) for v in row[FIRST_MAP:]]
    )


def output(record, layout):
    source, dt, files, line = record.split(b"\t", 3)
    day = (date.fromisoformat(dt.decode()) - date(1970, 1, 1)).days if layout == "weir" else None
    reason, *row = event(line, day)
    if reason is not None:
        return b"\t".join([source, dt, NULL, reason.encode(), base64.b64encode(line)] + [NULL] * len(NOTHING))
    file = zlib.crc32(row[TEXTS.index("messageId")].encode()) % int(files)
    return b"\t".join([source, dt, number(file), NULL, NULL] + columns(row))


def main():
    for record in sys.stdin.buffer:
        sys.stdout.buffer.write(output(record[:-1], sys.argv[1]) + b"\n")


if __name__ == "__main__":
    main()
