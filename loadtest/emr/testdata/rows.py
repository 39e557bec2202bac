"""Reads lines as base64 from its input, and writes what weirevent makes of each as one line of JSON."""

import base64
import json
import sys

from weirevent import event

day = int(sys.argv[1])
for line in sys.stdin:
    print(json.dumps(event(base64.b64decode(line), day)))
