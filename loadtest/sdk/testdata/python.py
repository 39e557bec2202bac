"""Sends what it is told with Segment's library, as its documentation shows: python.py [--gzip] HOST WRITE_KEY

It reads a command a line, {"n": …, "call": …, "pad": …, "id": …}; an empty line asks the library to flush. It writes what
the library says became of each: {"n": …, "state": "delivered" or "failed"}. The library tells of failures; what was
flushed and did not fail is delivered.
"""
import json
import sys

from segment.analytics import Client

host, write_key = sys.argv[-2:]
waiting = set()


def tell(n, state):
    waiting.discard(n)
    print(json.dumps({"n": n, "state": state}), flush=True)


def number(event):
    fields = event.get("properties") or event.get("traits") or {}
    return fields["n"] if "n" in fields else int(event["previousId"])


def on_error(error, batch):
    print(error, file=sys.stderr)
    for event in batch:
        tell(number(event), "failed")


def flush():
    client.flush()
    for n in list(waiting):
        tell(n, "delivered")


client = Client(write_key, host=host, gzip="--gzip" in sys.argv, on_error=on_error)
calls = {
    "track": lambda n, more, id: client.track("u1", "Order Completed", {"n": n, "price": 9.9, "größe": "äöü", **more}, message_id=id),
    "identify": lambda n, more, id: client.identify("u1", {"n": n, "plan": {"name": "pro"}}),
    "page": lambda n, more, id: client.page(anonymous_id="a1", category="Docs", name="Home", properties={"n": n}),
    "screen": lambda n, more, id: client.screen(anonymous_id="a1", name="Start", properties={"n": n}),
    "group": lambda n, more, id: client.group("u1", "g1", {"n": n}),
    "alias": lambda n, more, id: client.alias(str(n), "u1"),
}
for line in sys.stdin:
    if line == "\n":
        flush()
        continue
    c = json.loads(line)
    waiting.add(c["n"])
    calls[c["call"]](c["n"], {"pad": "x" * c["pad"]} if c["pad"] else {}, c["id"] or None)
flush()
client.shutdown()
