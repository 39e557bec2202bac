"""One raw line -> one row of eventlogs. What becomes of what is decided in weir's pkg/event; this says the same in Python,
and loadtest/emr holds the two against each other. Source text is cut out, never written anew: a number keeps its digits, a
nested value its spaces and the order of its keys. Runs on the executors; needs nothing but Python 3.8.
"""

import hashlib
import json
import re

TEXTS = ("anonymousId", "messageId", "type", "userId", "event", "name", "category", "groupId", "previousId", "version")
TIMES = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
MAPS = ("context", "traits", "properties", "integrations")
KNOWN = frozenset(TEXTS + TIMES + MAPS)
MAX_DEPTH = 128
NOTHING = (None,) * (len(TEXTS) + len(TIMES) + len(MAPS) + 1)

SPACE = re.compile(r"[ \t\n\r]*")
COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
COMMA = re.compile(r"[ \t\n\r]*([,}])[ \t\n\r]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
NO_TEXT = re.compile("[\x00\ud800-\udfff]")
# In JSON text: a surrogate pair stays, half of one and NUL do not, any other escape is passed over as a whole.
NO_TEXT_IN_JSON = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000|[" + "\ud800-\udfff" + r"])|\\.", re.S
)
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.A)


def no_constant(name):
    raise ValueError(name)  # NaN and Infinity are no JSON


# Numbers stay text: nobody looks at what the decoder makes of a value, only at where it ends.
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=no_constant, strict=True)
scan, scan_string = DECODER.scan_once, DECODER.parse_string


def members(s, i, maps=()):
    """The members of the object whose brace is before i, as (key, start, end, members), and where what follows the object
    begins. The last is None but for objects under the keys of maps."""
    found, i = [], SPACE.match(s, i).end()
    if s.startswith("}", i):
        return found, i + 1
    while True:
        if not s.startswith('"', i):
            raise ValueError("no key")
        key, i = scan_string(s, i + 1, True)
        colon = COLON.match(s, i)
        if not colon:
            raise ValueError("no colon")
        key, start, inside = clean(key), colon.end(), None
        if key in maps and s.startswith("{", start):
            inside, end = members(s, start + 1)
        else:
            end = scan(s, start)[1]
        found.append((key, start, end, inside))
        comma = COMMA.match(s, end)
        if not comma:
            raise ValueError("no comma")
        i = comma.end()
        if comma[1] == "}":
            return found, i


def clean(text):
    return NO_TEXT.sub("\ufffd", text) if NO_TEXT.search(text) else text


def clean_json(text):
    return NO_TEXT_IN_JSON.sub(lambda m: m[1] or (m[2] and "\ufffd") or m[0], text)


def value(s, start, end):
    """A scalar as its text, null as None, anything else as its JSON text."""
    first = s[start]
    if first == '"':
        return clean(scan_string(s, start + 1, True)[0])
    if first == "n":
        return None
    return clean_json(s[start:end]) if first in "{[" else s[start:end]


def too_deep(s):
    if s.count("{") + s.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for c in STRING.sub("", s):
        if c in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif c in "}]":
            depth -= 1
    return False


def days_from(year, month, day):
    """Days since 1970 of a date that may be in the year 0."""
    if month <= 2:
        year -= 1
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def days_in(year, month):
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def in_calendar(millis):
    return millis if -62135596800000 <= millis <= 253402300799999 else None


def millis_of(text):
    """RFC 3339 as milliseconds since 1970, the rest cut off; None for anything else."""
    m = TIME.fullmatch(text)
    if not m:
        return None
    year, month, day, hour, minute, second = (int(m[i]) for i in range(1, 7))
    if not 1 <= month <= 12 or not 1 <= day <= days_in(year, month) or hour > 23 or minute > 59 or second > 59:
        return None
    seconds = days_from(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    if m[8]:
        if int(m[9]) > 23 or int(m[10]) > 59:
            return None
        offset = int(m[9]) * 3600 + int(m[10]) * 60
        seconds -= offset if m[8] == "+" else -offset
    return in_calendar(seconds * 1000 + int((m[7] or "0")[:3].ljust(3, "0")))


def corrected(original, sent, received):
    """When an event happened by the server's clock."""
    if original is None:
        return received
    if sent is None or received is None:
        return original
    at = in_calendar(received - (sent - original))
    return original if at is None else at


class Times:
    """The four times of one event; what does not fit its column goes to rescued."""

    def __init__(self, s, last, rescued):
        self.s, self.last, self.rescued = s, last, rescued

    def absent(self, key):
        at = self.last.get(key)
        return at is None or self.s[at[0]] == "n" or self.s[at[0] : at[1]] == '""'

    def parse(self, key):
        start, end = self.last[key]
        return millis_of(value(self.s, start, end)) if self.s[start] == '"' else None

    def rescue(self, key):
        start, end = self.last[key]
        self.rescued[key] = clean_json(self.s[start:end])

    def time(self, key):
        if self.absent(key):
            return None
        at = self.parse(key)
        if at is None:
            self.rescue(key)
        return at

    def claim(self, key, is_so):
        if not self.absent(key):
            at = self.parse(key)
            if at is None or at != is_so:
                self.rescue(key)

    def columns(self, day):
        """timestamp, originaltimestamp, sentat, receivedat. An event whose receivedAt is not of the day that it is filed
        under claimed it itself; day None believes all."""
        received = None if self.absent("receivedAt") else self.parse("receivedAt")
        if received is not None and day is not None and received // 86400000 != day:
            received = None
        sent = self.time("sentAt")
        own = not self.absent("originalTimestamp")
        if own:
            original = self.time("originalTimestamp")
        else:
            original = self.time("timestamp")
            if received is not None and original == received:
                original = None  # the gateway's own: the client claimed nothing
        timestamp = corrected(original, sent, received)
        if own:
            self.claim("timestamp", timestamp)
        self.claim("receivedAt", received)
        return timestamp, original, sent, received


def event(line, day):
    """The row of a line, or why it is none. day is its folder's as days since 1970, None to believe what it says itself."""
    try:
        s = line.decode("utf-8")
    except UnicodeDecodeError:
        s = line.decode("utf-8", "surrogateescape")  # each byte that is no text is one lone surrogate, and U+FFFD later
    start = SPACE.match(s).end()
    if start == len(s):
        return ("empty",) + NOTHING
    try:
        if not s.startswith("{", start):
            _, end = scan(s, start)
            found = None
        else:
            found, end = members(s, start + 1, MAPS)
        if end != len(s) and SPACE.match(s, end).end() != len(s):
            raise ValueError("more than one value")
    except RecursionError:
        return ("too_deep",) + NOTHING
    except (ValueError, StopIteration):
        return ("malformed",) + NOTHING
    if too_deep(s):
        return ("too_deep",) + NOTHING
    if found is None:
        return ("not_object",) + NOTHING
    return row(line, s, found, day)


def row(line, s, found, day):
    last, maps, rescued = {}, {}, {}
    for key, start, end, inside in found:  # of duplicate keys the last counts
        if key in KNOWN:
            last[key] = (start, end)
            maps[key] = inside
        else:
            rescued[key] = clean_json(s[start:end])
    texts = {}
    for key in TEXTS:
        start, end = last.get(key, (0, 0))
        if end and s[start] in "{[":
            rescued[key] = clean_json(s[start:end])
        elif end:
            texts[key] = value(s, start, end)
    if not texts.get("type"):
        if not texts.get("event"):
            return ("no_type",) + NOTHING
        texts["type"] = "track"
    if not texts.get("messageId"):
        texts["messageId"] = "raw-" + hashlib.sha256(line).hexdigest()[:32]
    for key in MAPS:
        start, end = last.get(key, (0, 0))
        if end and s[start] == "{":
            maps[key] = {k: value(s, a, b) for k, a, b, _ in maps[key]}
        elif end and s[start] != "n":
            rescued[key] = clean_json(s[start:end])
    times = Times(s, last, rescued).columns(day)
    return (None,) + tuple(texts.get(key) for key in TEXTS) + times + tuple(maps.get(key) for key in MAPS) + (rescued or None,)
