"""What json_to_parquet_hive would have Hive do, as JSON: the statements for the raw folders of some days, and the commands
that put into place what stands in staging."""

import json
import sys

import json_to_parquet_hive as job

job.PARTITIONS = 2
given = json.load(sys.stdin)
days = {day: {folder: [tuple(file) for file in files] for folder, files in folders.items()} for day, folders in given["days"].items()}
moves = list(job.moves("s3://b/lake", list(days), given["prints"], given["held"], given["staged"]))
print(json.dumps({"partitions": job.partitions(days), "moves": moves}))
