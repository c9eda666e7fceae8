"""What a fast Python consumer does with the benchmark's events: confluent-kafka
(the C client), orjson, a compiled fastjsonschema. Nothing is stored and no
expectation is checked.

    consume.py BROKER TOPIC EVENTS < schema.json

Reads the topic from its beginning until it has seen EVENTS valid events, then
prints one line of JSON. The clock and the CPU time of the whole process, the
client's threads included, run from the first message to the last: starting
Python, compiling the schema and connecting do not count.
"""

import json
import platform
import resource
import sys
import time
from importlib.metadata import version

import fastjsonschema
import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

BATCH = 10_000  # messages that one call hands over


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def main():
    broker, topic, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
    # The library knows drafts up to 7; the schema reads the same in it.
    schema = dict(json.load(sys.stdin), **{"$schema": "http://json-schema.org/draft-07/schema#"})
    validate = fastjsonschema.compile(schema)
    loads = orjson.loads
    consumer = Consumer({
        "bootstrap.servers": broker,
        "group.id": "bench-peer",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "check.crcs": False,
        # As much under way as keeps the client's threads busy, in few large answers.
        "fetch.min.bytes": 1 << 20,
        "fetch.wait.max.ms": 50,
        "max.partition.fetch.bytes": 4 << 20,
        "fetch.max.bytes": 32 << 20,
        "queued.min.messages": 200_000,
        "queued.max.messages.kbytes": 128 << 10,
    })
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])

    seen = invalid = 0
    began = from_cpu = None
    deadline = time.monotonic() + 120
    while seen + invalid < events:
        messages = consumer.consume(BATCH, timeout=1.0)
        if began is None and messages:
            began, from_cpu = time.perf_counter(), cpu()
        for m in messages:
            if m.error():
                raise SystemExit(str(m.error()))
            try:
                validate(loads(m.value()))
            except (orjson.JSONDecodeError, fastjsonschema.JsonSchemaException):
                invalid += 1
                continue
            seen += 1
        if time.monotonic() > deadline:
            raise SystemExit(f"after two minutes {seen} of {events} events have been read")
    used, took = cpu() - from_cpu, time.perf_counter() - began
    consumer.close()
    print(json.dumps({
        "events": seen, "invalid": invalid, "cpu": used, "seconds": took,
        "versions": f"Python {platform.python_version()}, confluent-kafka {version('confluent-kafka')}, "
                    f"orjson {version('orjson')}, fastjsonschema {version('fastjsonschema')}",
    }))


if __name__ == "__main__":
    main()
