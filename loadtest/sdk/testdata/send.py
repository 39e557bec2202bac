"""Sends events with Segment's library, as its documentation shows: send.py HOST WRITE_KEY COUNT GZIP"""
import sys

from segment.analytics import Client

host, write_key, count, gzip = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "gzip"
failed = []
client = Client(write_key, host=host, gzip=gzip, on_error=lambda error, batch: failed.append(error))
calls = [
    lambda n: client.track(user_id="u1", event="Order Completed", properties={"n": n, "price": 9.9, "größe": "äöü"}),
    lambda n: client.identify(user_id="u1", traits={"n": n, "plan": {"name": "pro"}}),
    lambda n: client.page(anonymous_id="a1", category="Docs", name="Home", properties={"n": n}),
    lambda n: client.screen(anonymous_id="a1", name="Start", properties={"n": n}),
    lambda n: client.group(user_id="u1", group_id="g1", traits={"n": n}),
    lambda n: client.alias(previous_id=str(n), user_id="u1"),
]
for n in range(count):
    calls[n % len(calls)](n)
client.shutdown()
sys.exit("not sent: %s" % failed if failed else 0)
