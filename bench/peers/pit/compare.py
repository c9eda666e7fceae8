"""Says whether two training sets are the same, value for value: compare.py OURS THEIRS.

Ours has to be in the spine's order, theirs is put into it. Compared are the columns of ours,
bit for bit; prints JSON with the rows, and for each column the values that differ."""
import json
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ours, theirs = (pq.read_table(p) for p in sys.argv[1:])
ours, theirs = (t.rename_columns(["ts" if n == "event_timestamp" else n for n in t.column_names]) for t in (ours, theirs))
theirs = theirs.take(pc.sort_indices(theirs["row_id"]))
ordered = pc.all(pc.equal(ours["row_id"], pa.array(range(ours.num_rows), pa.int64()))).as_py()
different = {}
if ours.num_rows == theirs.num_rows:
    for name in ours.column_names:
        a, b = ours[name], theirs[name].cast(ours[name].type)
        same = pc.or_(pc.fill_null(pc.equal(a, b), False), pc.and_(pc.is_null(a), pc.is_null(b)))
        if n := ours.num_rows - pc.sum(same).as_py():
            different[name] = n
print(json.dumps({
    "rows": ours.num_rows, "other_rows": theirs.num_rows, "columns": ours.num_columns, "ordered": ordered, "different": different,
    "values": sum(ours.num_rows - ours[n].null_count for n in ours.column_names),
}))
