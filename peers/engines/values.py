"""One text for each value, the same whichever engine it came from."""

import datetime as dt
import struct

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
MICRO = dt.timedelta(microseconds=1)


def text(v):
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if isinstance(v, float):
        return "nan" if v != v else struct.pack(">d", v).hex()
    if isinstance(v, str):
        return '"' + v + '"'
    if isinstance(v, (bytes, bytearray, memoryview)):
        return "x" + bytes(v).hex()
    if isinstance(v, dt.datetime):
        if v.tzinfo is None:
            v = v.replace(tzinfo=dt.timezone.utc)
        return "t" + str((v - EPOCH) // MICRO)
    if isinstance(v, list):
        return "[" + ",".join(map(text, v)) + "]"
    raise TypeError(f"no text for {type(v)}")


def lines(names, rows):
    """Rows as texts "name=value name=value ...", columns by name."""
    order = sorted(range(len(names)), key=lambda i: names[i])
    return [" ".join(f"{names[i]}={text(row[i])}" for i in order) for row in rows]
