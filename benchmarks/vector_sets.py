"""What vector sets of Redis 8 cost and find, beside the product of all vectors in one process.

`python -m benchmarks.vector_sets URL [count ...]` (by default 1,000, 10,000 and 100,000 vectors of
384 dimensions, crowded as in `benchmarks.neighbours`). The server is one with VADD and VSIM, and
its database is empty: nothing else may use it meanwhile, since it is the server's own processor
time that is told. The second table is of `semantic_search` with `EmbeddingField(search=...)`: by a
process that knows the vectors, and the first search of one that does not. See
docs/decisions/vector-sets.md.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import redis

from benchmarks import semantic
from benchmarks.neighbours import BEST, QUESTIONS, SPREADS, WINDOW, crowds
from popoto import EmbeddingField, KeyField, Model, StringField, redis_db
from popoto.fields.embedding_field import invalidate_cache

LIKENESS = "0.31"
KEY = "vectors"
#: So many vectors go in one pipeline.
BATCH = 200


def unit_rows(rows: Any) -> Any:
    found = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found.astype("<f4")


def seconds_of(server: redis.Redis) -> float:
    """The processor time that the server has taken."""
    told: dict[str, Any] = server.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def bytes_of(server: redis.Redis) -> int:
    return int(server.info("memory")["used_memory"])


def fill(server: redis.Redis, rows: Any) -> None:
    for first in range(0, len(rows), BATCH):
        pipeline: Any = server.pipeline(transaction=False)
        for number in range(first, min(first + BATCH, len(rows))):
            pipeline.execute_command("VADD", KEY, "FP32", rows[number].tobytes(), str(number))
        pipeline.execute()


def found_by(server: Any, question: Any, similar: Any) -> set[int]:
    """The best of the candidates that the server names, compared exactly."""
    reply = server.execute_command("VSIM", KEY, "FP32", question.tobytes(), "COUNT", WINDOW)
    return set(sorted(map(int, reply), key=lambda place: similar[place], reverse=True)[:BEST])


def best_of_all(rows: Any, question: Any) -> set[int]:
    return set(np.argpartition(rows @ question, -BEST)[-BEST:].tolist())


def row(server: redis.Redis, count: int) -> str:
    rows, questions = map(unit_rows, crowds(count, SPREADS[LIKENESS]))
    empty, started = bytes_of(server), seconds_of(server)
    fill(server, rows)
    added = (seconds_of(server) - started) / count
    kept = (bytes_of(server) - empty) // count
    started = time.process_time()
    true = [best_of_all(rows, question) for question in questions]
    exact = (time.process_time() - started) / QUESTIONS
    similar = questions @ rows.T
    started = seconds_of(server)
    near = [found_by(server, *each) for each in zip(questions, similar, strict=True)]
    asked = (seconds_of(server) - started) / QUESTIONS
    right = sum(len(some & all_) for some, all_ in zip(near, true, strict=True))
    server.delete(KEY)
    return (
        f"| {count:,} | {added * 1e3:.2f} | {kept:,} | {asked * 1e3:.2f} "
        f"| {right / QUESTIONS / BEST:.3f} | {exact * 1e3:.2f} |"
    )


def by_vector_set() -> Any:
    """The model of the other benchmarks of `semantic_search`, which a vector set searches."""

    class Memory(Model):
        name = KeyField()
        text = StringField()
        vector = EmbeddingField(
            source="text", provider=semantic.FIXED, store="server", search="server", cache=False
        )

    return Memory


def search(server: redis.Redis, model: Any, times: int) -> str:
    """The milliseconds of this process and of the server that a search takes."""
    here, there = time.process_time(), seconds_of(server)
    for number in range(times):
        model.query.semantic_search(f"{semantic.TEXT}{number}", limit=BEST)
    here, there = time.process_time() - here, seconds_of(server) - there
    return f"{here / times * 1e3:.2f} | {there / times * 1e3:.2f}"


def rows_of_searches(server: redis.Redis, count: int) -> list[str]:
    semantic.fill(server, count)
    told: list[str] = []
    for way, model in (("exact", semantic.Memory), ("server", by_vector_set())):
        if way == "server":
            EmbeddingField.prepare_search(model)
        invalidate_cache()
        first = search(server, model, 1)
        told.append(f"| {count:,} | `{way}` | {search(server, model, QUESTIONS)} | {first} |")
    server.flushdb()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.vector_sets", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("counts", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    asked = parser.parse_args()
    # To let a large set go takes the server seconds.
    server = redis.Redis.from_url(asked.url, socket_timeout=300)
    if server.dbsize():
        raise SystemExit("that database is not empty")
    print("| vectors | VADD, ms | bytes each | VSIM, ms | recall@10 | product in a process, ms |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in asked.counts:
        print(row(server, count), flush=True)
    redis_db.set_REDIS_DB_settings(url=asked.url)
    print("\n| vectors | search | process, ms | server, ms | first: process, ms | server, ms |")
    print("|---:|---|---:|---:|---:|---:|")
    for count in asked.counts:
        print("\n".join(rows_of_searches(server, count)), flush=True)


if __name__ == "__main__":
    main()
