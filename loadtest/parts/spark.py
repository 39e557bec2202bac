"""Answers SQL on 127.0.0.1: POST / with a statement gives {"rows": [[value, ...], ...], "scanned": rows}.

One session in one JVM for all statements, one after the other. scanned is how many rows the scans of Parquet files
handed on, after row groups and pages were left out and before any filter. A refused statement gives {"error": text}.
What the session is like stands in SPARK_CONF_DIR.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from pyspark.sql import SparkSession


def scanned(plan):
    leaves, rows = plan.collectLeaves(), 0
    for leaf in (leaves.apply(i) for i in range(leaves.size())):
        if leaf.nodeName().startswith("Scan parquet"):
            rows += leaf.metrics().apply("numOutputRows").value()
    return rows


def answer(spark, statement):
    try:
        frame = spark.sql(statement)
        rows = [list(row) for row in frame.collect()]
        return {"rows": rows, "scanned": scanned(frame._jdf.queryExecution().executedPlan())}
    except Exception as refusal:  # of the parser, the planner, a task: each is the answer
        return {"error": str(refusal)}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({})

    def do_POST(self):
        statement = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.reply(answer(self.server.spark, statement))

    def reply(self, what):
        body = json.dumps(what, default=str).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


session = SparkSession.builder.getOrCreate()
server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.spark = session
server.serve_forever()
