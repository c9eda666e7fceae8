"""Random events as fastavro, protobuf and Confluent's serializers write them.

Prints lines of JSON: first the schemas, then for each event its payload in hex and what it is
in the words of Weir's documentation (docs/definitions.md, Formats): client.py SEED EVENTS
"""

import base64
import datetime
import decimal
import importlib.util
import json
import pathlib
import random
import struct
import sys
import tempfile
import uuid
import warnings

warnings.simplefilter("ignore")

from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroSerializer  # noqa: E402
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402
from grpc_tools import protoc  # noqa: E402
import grpc_tools  # noqa: E402

rnd = random.Random(int(sys.argv[1]))
events = int(sys.argv[2])
registry = SchemaRegistryClient.new_client({"url": "mock://events"})
utc = datetime.timezone.utc


def say(**line):
    print(json.dumps(line), flush=True)


class Number(float):
    """A float32 with its fewest digits."""

    def __repr__(self):
        for digits in range(1, 10):
            text = f"{float(self):.{digits}g}"
            if struct.unpack("f", struct.pack("f", float(text)))[0] == float(self):
                return repr(float(text))
        raise ValueError(float(self))


def single():
    return struct.unpack("f", struct.pack("f", rnd.choice([0.0, -1.5, rnd.gauss(0, 1), rnd.gauss(0, 1e30)])))[0]


def double():
    return rnd.choice([0.0, -0.25, 1e300, 5e-324, rnd.random(), rnd.gauss(0, 1e6)])


def whole(bits, signed=True):
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return rnd.choice([0, 1, least, most, rnd.randint(least, most), rnd.randint(0, 300)])


def text():
    return "".join(rnd.choice('abcXYZ019 "\\/\n\t\x00\x7fäß€漢🙂\u2028') for _ in range(rnd.choice([0, 1, 5, 30])))


def raw():
    return rnd.randbytes(rnd.choice([0, 1, 7, 40]))


def moment(digits):
    us = rnd.randint(-(10**15), 4 * 10**15)
    us -= us % 10 ** (6 - digits)
    return datetime.datetime(1970, 1, 1, tzinfo=utc) + datetime.timedelta(microseconds=us)


def b64(b):
    return base64.b64encode(b).decode()


# Avro: a schema, and what makes a value and the JSON of it.

named = 0


def name(what):
    global named
    named += 1
    return f"{what}{named}"


def avro(depth):
    kinds = ["null", "boolean", "int", "long", "float", "double", "string", "bytes", "enum", "fixed", "decimal", "date", "time", "timestamp", "local", "uuid"]
    if depth < 3:
        kinds += ["array", "map", "union", "record"] * 3
    kind = rnd.choice(kinds)
    if kind == "null":
        return "null", lambda: (None, None)
    if kind == "boolean":
        return kind, lambda: (lambda v: (v, v))(rnd.random() < 0.5)
    if kind in ("int", "long"):
        return kind, lambda: (lambda v: (v, v))(whole(32 if kind == "int" else 64))
    if kind == "float":
        return kind, lambda: (lambda v: (v, Number(v)))(single())
    if kind == "double":
        return kind, lambda: (lambda v: (v, v))(double())
    if kind == "string":
        return kind, lambda: (lambda v: (v, v))(text())
    if kind == "bytes":
        return kind, lambda: (lambda v: (v, b64(v)))(raw())
    if kind == "enum":
        symbols = [name("S") for _ in range(rnd.randint(1, 5))]
        return {"type": "enum", "name": name("Enum"), "symbols": symbols}, lambda: (lambda v: (v, v))(rnd.choice(symbols))
    if kind == "fixed":
        size = rnd.randint(1, 20)
        return {"type": "fixed", "name": name("Fixed"), "size": size}, lambda: (lambda v: (v, b64(v)))(rnd.randbytes(size))
    if kind == "decimal":
        precision = rnd.randint(1, 25)
        scale = rnd.randint(0, precision)

        def value():
            v = decimal.Decimal(rnd.randint(-(10**precision) + 1, 10**precision - 1)).scaleb(-scale, decimal.Context(prec=60))
            return v, v

        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}, value
    if kind == "date":
        return {"type": "int", "logicalType": "date"}, lambda: (lambda v: (v, v.isoformat()))(datetime.date(1970, 1, 1) + datetime.timedelta(days=rnd.randint(-100000, 100000)))
    if kind == "time":
        digits = rnd.choice([3, 6])

        def value():
            us = rnd.randrange(86400 * 10**6)
            v = (datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=us - us % 10 ** (6 - digits))).time()
            return v, v.isoformat()

        return {"type": "int" if digits == 3 else "long", "logicalType": "time-millis" if digits == 3 else "time-micros"}, value
    if kind in ("timestamp", "local"):
        digits = rnd.choice([3, 6])
        logical = ("timestamp" if kind == "timestamp" else "local-timestamp") + ("-millis" if digits == 3 else "-micros")

        def value():
            v = moment(digits)
            if kind == "local":
                v = v.replace(tzinfo=None)
                return v, v.isoformat()
            return v, v.isoformat().replace("+00:00", "Z")

        return {"type": "long", "logicalType": logical}, value
    if kind == "uuid":
        return {"type": "string", "logicalType": "uuid"}, lambda: (lambda v: (v, str(v)))(uuid.UUID(bytes=rnd.randbytes(16)))
    if kind == "array":
        items, value = avro(depth + 1)
        return {"type": "array", "items": items}, lambda: tuple(map(list, zip(*(value() for _ in range(rnd.randint(0, 4)))))) or ([], [])
    if kind == "map":
        values, value = avro(depth + 1)

        def mapped():
            both = {text(): value() for _ in range(rnd.randint(0, 4))}
            return {k: v[0] for k, v in both.items()}, {k: v[1] for k, v in both.items()}

        return {"type": "map", "values": values}, mapped
    if kind == "union":
        of, value = avro(3)
        while of == "null":
            of, value = avro(3)
        return ["null", of] if rnd.random() < 0.5 else [of, "null"], lambda: (None, None) if rnd.random() < 0.3 else value()
    return record(depth + 1)


def record(depth):
    fields = [(name("f"), *avro(depth)) for _ in range(rnd.randint(1, 6))]

    def value():
        both = [(n, v()) for n, _, v in fields]
        return {n: v[0] for n, v in both}, {n: v[1] for n, v in both}

    return {"type": "record", "name": name("Record"), "fields": [{"name": n, "type": t} for n, t, _ in fields]}, value


# Protobuf: any message, by its descriptor.

WRAPPED = {"google.protobuf.Int64Value", "google.protobuf.StringValue"}


def free(depth=0):
    kind = rnd.choice([None, True, 1.5, -3.0, "list", "map", "text"] if depth < 3 else [None, False, 0.25])
    if kind == "list":
        return [free(depth + 1) for _ in range(rnd.randint(0, 3))]
    if kind == "map":
        return {text(): free(depth + 1) for _ in range(rnd.randint(0, 3))}
    return text() if kind == "text" else kind


def scalar(f):
    """A value of a field, and the JSON of it."""
    makers = {
        f.TYPE_INT32: lambda: whole(32), f.TYPE_SINT32: lambda: whole(32), f.TYPE_SFIXED32: lambda: whole(32),
        f.TYPE_INT64: lambda: whole(64), f.TYPE_SINT64: lambda: whole(64), f.TYPE_SFIXED64: lambda: whole(64),
        f.TYPE_UINT32: lambda: whole(32, False), f.TYPE_FIXED32: lambda: whole(32, False),
        f.TYPE_UINT64: lambda: whole(64, False), f.TYPE_FIXED64: lambda: whole(64, False),
        f.TYPE_DOUBLE: double, f.TYPE_BOOL: lambda: rnd.random() < 0.5, f.TYPE_STRING: text,
    }  # fmt: skip
    if f.type == f.TYPE_FLOAT:
        v = single()
        return v, Number(v)
    if f.type == f.TYPE_BYTES:
        v = raw()
        return v, b64(v)
    if f.type == f.TYPE_ENUM:
        v = rnd.choice(f.enum_type.values)
        if rnd.random() < 0.1:
            return 77, 77  # a number that the file does not know
        return v.number, v.name
    v = makers[f.type]()
    return v, v


def zero(f):
    if f.type == f.TYPE_ENUM:
        return f.enum_type.values_by_number[0].name
    return "" if f.type == f.TYPE_BYTES else f.default_value


def fill(m, depth=0):
    d = m.DESCRIPTOR
    if d.full_name == "google.protobuf.Timestamp":
        m.FromDatetime(moment(6))
        return m.ToJsonString()
    if d.full_name in WRAPPED:
        v, j = scalar(d.fields_by_name["value"])
        m.value = v
        return j
    if d.full_name == "google.protobuf.Struct":
        v = {text(): free() for _ in range(rnd.randint(0, 3))}
        m.update(v)
        return v
    out, oneofs = {}, set()
    for f in d.fields:
        child = f.message_type
        if child is not None and child.GetOptions().map_entry:
            key, value = child.fields_by_name["key"], child.fields_by_name["value"]
            target, out[f.name] = getattr(m, f.name), {}
            for _ in range(rnd.randint(0, 3)):
                k, kj = scalar(key)
                if value.message_type is not None:
                    target[k].Clear()
                    out[f.name][str(kj)] = fill(target[k], depth + 1)
                else:
                    target[k], out[f.name][str(kj)] = scalar(value)
            continue
        if f.is_repeated:
            target, out[f.name] = getattr(m, f.name), []
            for _ in range(rnd.randint(0, 3) if depth < 3 else 0):
                if child is not None:
                    out[f.name].append(fill(target.add(), depth + 1))
                else:
                    v, j = scalar(f)
                    target.append(v)
                    out[f.name].append(j)
            continue
        missing = rnd.random() < 0.3 or child is not None and depth >= 3
        if f.containing_oneof is not None and len(f.containing_oneof.fields) > 1:
            missing = missing or f.containing_oneof.name in oneofs
            if not missing:
                oneofs.add(f.containing_oneof.name)
        if missing:
            if not f.has_presence:
                out[f.name] = zero(f)
        elif child is not None:
            target = getattr(m, f.name)
            target.SetInParent()
            out[f.name] = fill(target, depth + 1)
        else:
            v, out[f.name] = scalar(f)
            setattr(m, f.name, v)
    return out


class Exact(json.JSONEncoder):
    """Decimals and single floats with their own digits."""

    def iterencode(self, o, _one_shot=False):
        yield self.whole(o)

    def whole(self, o):
        if isinstance(o, dict):
            return "{" + ",".join(f"{json.dumps(k)}:{self.whole(v)}" for k, v in o.items()) + "}"
        if isinstance(o, list):
            return "[" + ",".join(map(self.whole, o)) + "]"
        return format(o, "f") if isinstance(o, decimal.Decimal) else repr(o) if isinstance(o, Number) else json.dumps(o)


def event(format, payload, value):
    print(json.dumps({"format": format, "payload": payload.hex(), "event": json.dumps(value, cls=Exact)}), flush=True)


def main():
    for i in range(events // 20):
        schema, value = record(0)
        topic = f"avro{i}"
        body = json.dumps(schema)
        write = AvroSerializer(registry, body, conf={"auto.register.schemas": True})
        made = [value() for _ in range(20)]
        payloads = [write(v, SerializationContext(topic, MessageField.VALUE)) for v, _ in made]
        say(schema=body, format="avro", id=int.from_bytes(payloads[0][1:5], "big"))
        for p, (_, j) in zip(payloads, made):
            event("avro", p, j)
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as out:
        known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
        if protoc.main(["protoc", f"-I{here}", f"-I{known}", f"--python_out={out}", str(here / "events.proto")]) != 0:
            raise SystemExit("protoc failed")
        spec = importlib.util.spec_from_file_location("events_pb2", pathlib.Path(out) / "events_pb2.py")
        pb = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(pb)
    told = set()
    writers = {k: ProtobufSerializer(k, registry, {"use.deprecated.format": False, "auto.register.schemas": True}) for k in (pb.Order, pb.Other, pb.Order.Item, pb.Order.Item.Deep)}
    for i in range(events):
        kind = rnd.choice(list(writers))
        m = kind()
        want = fill(m)
        payload = writers[kind](m, SerializationContext("protobuf", MessageField.VALUE))
        at = int.from_bytes(payload[1:5], "big")
        if at not in told:
            told.add(at)
            say(schema=(here / "events.proto").read_text(), format="protobuf", id=at)
        event("protobuf", payload, want)


main()
