"""Point-in-time joins as DuckDB has them, from the definition alone.

One JSON object a line on standard input:

    {"clock": "known"|"event", "spine": PARQUET, "at": COLUMN,
     "views": [{"facts": PARQUET or a pattern, "ttl": MICROSECONDS, "keys": {SPINE'S: FACTS'}, "features": [...],
                "event": COLUMN, "known": COLUMN, "ties": [COLUMN...], "dead": COLUMN or null, "number": COLUMN or null}]}

Facts are raw rows with their two times; spine rows have a row_id. Of the rows of
a key that count at the spine row's time (known clock: known by then; event clock:
happened by then), the last by (effective time, known time, ties...) is the answer
(event clock: by event time first), unless it is dead or older than the ttl.

Answers {"ok": [[text...]...]}: for each spine row in the order of row_id the
features of all views. Where the facts are numbered from 0, in one file, DuckDB says only
which one is the answer: on their way through a window it takes 0 for -0. Every view is asked in two ways, which must agree: by a
window over all pairs, and by ASOF joins.

ASOF joins of DuckDB 1.5.5 take rows of other keys where a key of bytes has a zero in it and 64 or more rows ask: the sort
key writes that zero as 01 00, and what compares two keys takes the 00 for the end of the bytes, so that nothing behind it counts:

    WITH f AS (SELECT '\\x00'::BLOB a, 5 b, 10 t), s AS (SELECT '\\x00'::BLOB a, b, 100 t FROM range(100) r(b))
    SELECT s.b, f.b FROM s ASOF JOIN f ON s.a = f.a AND s.b = f.b AND s.t >= f.t    -- nine rows, where b is 5, 9, 14...

Hash joins, windows and ORDER BY are right, and text is (no value of it is escaped). So ASOF joins get bytes in hexadecimal digits.
"""

import json
import sys
import traceback

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from values import text


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def read(path):
    return "read_parquet('" + path.replace("'", "''") + "')"


class Join:
    def __init__(self, db, case, view):
        self.db, self.clock = db, case["clock"]
        self.at = "s." + quoted(case["at"])
        self.spine = read(case["spine"])
        known, event = quoted(view["known"]), quoted(view["event"])
        self.seen = event if self.clock == "event" else known
        counts = event if self.clock == "event" else f"least({event}, {known})"
        self.order = ["c_counts", known] + [quoted(t) for t in view.get("ties") or []]
        self.facts = f"(SELECT *, {counts} AS c_counts, row_number() OVER () AS c_id FROM {read(view['facts'])})"
        self.keys = [(quoted(a), quoted(b)) for a, b in view["keys"].items()]
        self.same = " AND ".join(f"s.{a} = f.{b}" for a, b in self.keys)
        types = {quoted(n): t for n, t, *_ in db.execute(f"DESCRIBE SELECT * FROM {read(view['facts'])}").fetchall()}
        as_text = [("hex(s.{})", "hex(f.{})") if types[b] == "BLOB" else ("s.{}", "f.{}") for _, b in self.keys]
        self.same_text = " AND ".join(f"{s.format(a)} = {f.format(b)}" for (a, b), (s, f) in zip(self.keys, as_text))
        dead = f"NOT f.{quoted(view['dead'])}" if view.get("dead") else "true"
        young = f"epoch_us(f.c_counts) >= epoch_us({self.at}) - {int(view['ttl'])}" if view["ttl"] else "true"
        # ASOF joins of DuckDB 1.5.5 give a row without a time the last fact of its key.
        self.alive = f"{self.at} IS NOT NULL AND f.c_id IS NOT NULL AND {dead} AND {young}"
        self.features = view["features"]
        self.number, self.path = view.get("number"), view["facts"]

    def select(self):
        if self.number:
            return f"CASE WHEN {self.alive} THEN f.{quoted(self.number)} END"
        out = []
        for f in self.features:
            value = "f." + quoted(f["name"])
            if f["type"] == "timestamp":
                value = f"epoch_us({value})"
            if f["type"] == "array<timestamp>":
                value = f"list_transform({value}, lambda x: epoch_us(x))"
            out.append(f"CASE WHEN {self.alive} THEN {value} END AS {quoted(f['name'])}")
        return ", ".join(out)

    def window(self):
        down = ", ".join(f"f.{c} DESC" for c in self.order)
        return f"""
            WITH pairs AS (
                SELECT s.row_id AS c_row, f.* FROM {self.spine} s JOIN {self.facts} f
                ON {self.same} AND f.{self.seen} <= {self.at}
                QUALIFY row_number() OVER (PARTITION BY s.row_id ORDER BY {down}) = 1)
            SELECT {self.select()} FROM {self.spine} s LEFT JOIN pairs f ON s.row_id = f.c_row ORDER BY s.row_id"""

    def asof(self):
        keys = ", ".join(b for _, b in self.keys)
        if self.clock == "event":  # the last of those that happened at one time, then the last time
            down = ", ".join(f"{c} DESC" for c in self.order)
            return f"""
                WITH facts AS (
                    SELECT * FROM {self.facts}
                    QUALIFY row_number() OVER (PARTITION BY {keys}, {self.seen} ORDER BY {down}) = 1)
                SELECT {self.select()} FROM {self.spine} s ASOF LEFT JOIN facts f
                ON {self.same_text} AND {self.at} >= f.{self.seen} ORDER BY s.row_id"""
        # What has been the last so far, at each time at which something became known.
        place = ", ".join(f"p{i}: {c}" for i, c in enumerate(self.order))
        return f"""
            WITH facts AS MATERIALIZED ({self.facts[1:-1]}),
            states AS (
                SELECT DISTINCT {keys}, {self.seen} AS since, max({{{place}, id: c_id}}) OVER (
                    PARTITION BY {keys} ORDER BY {self.seen} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS best
                FROM facts),
            found AS (
                SELECT s.*, f.best.id AS c_best FROM {self.spine} s ASOF LEFT JOIN states f
                ON {self.same_text} AND {self.at} >= f.since)
            SELECT {self.select()} FROM found s LEFT JOIN facts f ON s.c_best = f.c_id ORDER BY s.row_id"""

    def rows(self, query):
        a = self.db.execute(query).to_arrow_table()
        if self.number:
            facts = pq.read_table(self.path)
            columns = [facts[f["name"]] for f in self.features]
            plain = {"timestamp": pa.int64(), "array<timestamp>": pa.list_(pa.int64())}
            values = [(c.cast(plain[f["type"]]) if f["type"] in plain else c).to_pylist() for f, c in zip(self.features, columns)]
            return [[text(None if n is None else v[n]) for v in values] for n in a.column(0).to_pylist()]
        return [[text(v) for v in row] for row in zip(*[c.to_pylist() for c in a.columns])]

    def answer(self):
        one, other = self.rows(self.window()), self.rows(self.asof())
        if one != other:
            i = next(i for i, (a, b) in enumerate(zip(one, other)) if a != b)
            raise ValueError(f"two ways of asking disagree at row {i}: {one[i]} and {other[i]}\n{self.window()}\n{self.asof()}")
        return one


def main():
    db = duckdb.connect(config={"threads": 2})
    db.execute("SET TimeZone = 'UTC'")
    print(json.dumps({"ok": duckdb.__version__}), flush=True)
    for line in sys.stdin:
        try:
            case = json.loads(line)
            parts = [Join(db, case, v).answer() for v in case["views"]]
            print(json.dumps({"ok": [sum(rows, []) for rows in zip(*parts)]}), flush=True)
        except Exception as x:
            traceback.print_exc()
            print(json.dumps({"error": f"{type(x).__name__}: {x}"}), flush=True)


main()
