"""What a record costs on a node: bytes of memory, and time of the one core that serves it.

Stores records of models that have a part more each, and prints the tables of
docs/scaling.md. Bytes are what the server's memory grows by; time is the server's own processor
time (INFO), so that a busy machine and the client's work do not count, as a multiple of that of a
SET of 100 bytes.

    python benchmarks/capacity.py [records, 100 or more]
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import redis
from redis.cluster import key_slot

from popoto import (
    AutoKeyField,
    BM25Field,
    ConfidenceField,
    CoOccurrenceField,
    DecayingSortedField,
    EmbeddingField,
    IndexedField,
    KeyField,
    Model,
    SortedField,
    StringField,
    UniqueField,
    embedded,
    redis_db,
)
from popoto.embeddings import AbstractEmbeddingProvider

WORDS = [f"{a}{b}{c}" for a in "bdfgkl" for b in ("an", "er", "in", "os") for c in "mnrstpk"]
#: How many records an agent has.
SHARE = 100
RAW = "x" * 100
NOW = time.time()
#: Of a node's memory, what data may take: the rest is for buffers, copies while it is saved, and
#: pages that are not full.
NODE_BYTES = 64 * 2**30
FULL = 0.6
LINKS = 3
LETTERS = "abcdefghijklmnopqrst"


class Drawn(AbstractEmbeddingProvider):
    """A vector of the usual length for each text, drawn by lot."""

    model_name = "drawn"
    dimensions = 384
    max_batch_size = 1000

    def embed(self, texts: Sequence[str], input_type: str | None = None) -> list[list[float]]:
        return [self._drawn(random.Random(text)) for text in texts]

    def _drawn(self, chances: random.Random) -> list[float]:
        return [chances.random() - 0.5 for _ in range(self.dimensions)]


class Bare(Model):
    id = AutoKeyField()
    text = StringField()


class Plain(Model):
    agent = KeyField()
    name = KeyField()
    text = StringField()


class Indexed(Model):
    agent = KeyField()
    name = KeyField()
    text = StringField()
    topic = IndexedField()
    rank = SortedField(type=int)
    code = UniqueField()


class Scored(Model):
    agent = KeyField()
    name = KeyField()
    text = StringField()
    certainty = ConfidenceField(partition_by="agent")
    relevance = DecayingSortedField(base_score_field="certainty", partition_by="agent")


class Linked(Scored):
    near = CoOccurrenceField()


class Searched(Linked):
    words = BM25Field(source="text", partition_by="agent")


class Condensed(Searched):
    meaning = EmbeddingField(source="text", provider=Drawn(), store="server", precision="int8")


class Remembered(Searched):
    meaning = EmbeddingField(source="text", provider=Drawn(), store="server")


MODELS: dict[type[Any], str] = {
    Bare: "an automatic key and a text of 100 letters",
    Plain: "the same text, two key fields",
    Indexed: "the same, an indexed, a sorted and a unique field",
    Scored: "plain, with decay and confidence",
    Linked: f"the same, and links to {LINKS} others",
    Searched: "the same, and its 15 words (BM25)",
    Condensed: "the same, and a vector of 384 numbers in int8",
    Remembered: "a vector of 384 numbers in float32 instead: a memory",
}


def text_of(number: int) -> str:
    """Some 15 words, usual ones more often."""
    chances = random.Random(number)
    drawn = (WORDS[int(len(WORDS) * chances.random() ** 2)] for _ in range(15))
    return (" ".join(drawn) + "." * 100)[:100]


def made(model: type[Any], number: int, agents: int) -> Any:
    if model is Bare:
        return Bare(text=text_of(number))
    own = {name: number for name in ("rank",) if name in model._meta.by_name}
    if model is Indexed:
        own |= {"topic": f"topic {number % 50}", "code": f"code {number}"}
    if "relevance" in model._meta.by_name:
        # Of the last weeks, as memories are.
        own["relevance"] = NOW - number * 600.0
    agent = f"agent-{number % agents:06}"
    return model(agent=agent, name=f"{number:09}", text=text_of(number), **own)


def fill(model: type[Any], first: int, last: int, agents: int) -> None:
    for start in range(first, last, 500):
        numbers = range(start, min(start + 500, last))
        records = model.bulk_create([made(model, number, agents) for number in numbers])
        if "near" in model._meta.by_name:
            keys = [str(each.pk) for each in records]
            shifted = (keys[step:] + keys[:step] for step in range(1, LINKS + 1))
            pairs = itertools.chain.from_iterable(zip(keys, each, strict=True) for each in shifted)
            model.near.bulk_link(model, list(pairs), 0.5)


def grown(client: redis.Redis, work: Callable[[], object]) -> int:
    """By how many bytes the server's memory grows.

    The buffers of other clients are none of the data, and the server counts them late: both times
    there are none.
    """

    def used() -> int:
        client.client_kill_filter(_type="normal", skipme=True)
        told: int = client.info("memory")["used_memory_dataset"]
        return told

    before = used()
    work()
    return used() - before


def busy(client: redis.Redis, work: Callable[[int], object], times: int) -> float:
    """The server's processor time for one call, in microseconds."""

    def used() -> float:
        told = client.info("cpu")
        return float(told["used_cpu_user"] + told["used_cpu_sys"])

    work(0)
    before = used()
    for number in range(1, times + 1):
        work(number)
    return (used() - before) / times * 1e6


def operations(client: redis.Redis, count: int) -> dict[str, Callable[[int], object]]:
    """What is timed, on `count` records of each model."""
    agents = count // SHARE
    agent = Remembered.query.filter(agent=f"agent-{agents - 1:06}")
    memory = agent.first()
    indexed = Indexed.query.first()

    def change(number: int) -> None:
        indexed.rank = -number
        indexed.save()

    return {
        "`get` of a plain record": lambda n: Plain.query.get(
            agent=f"agent-{n % agents:06}", name=f"{n % count:09}"
        ),
        "`create` of a plain record": lambda n: made(Plain, count + n, agents).save(),
        "`create` of an indexed record": lambda n: made(Indexed, count + n, agents).save(),
        "`save` of a changed sorted field": change,
        "`filter`, 10 results": lambda _: Indexed.query.filter(topic="topic 7").limit(10).all(),
        "`create` of a memory": lambda n: made(Remembered, count + n, agents).save(),
        "`touch`": lambda _: memory.touch("relevance"),
        "`top_by_decay`, 10 of an agent's": lambda _: agent.top_by_decay("relevance", 10),
        "`keyword_search`, 10 of an agent's": lambda n: agent.keyword_search(text_of(n), limit=10),
        "`recall`, 10 of an agent's": lambda n: agent.recall(text_of(n), limit=10),
    }


def print_nodes(sizes: dict[type[Any], float]) -> None:
    """How many nodes hold so many records, each of them once."""
    amounts = (10**6, 10**8, 10**9)
    print("\n| records |" + "".join(f" {amount:,} |" for amount in amounts))
    print("|---|" + "---|" * len(amounts))
    for model, size in sizes.items():
        cells = (
            f" {amount * size / 1e9:,.0f} GB, {ceil(amount * size / (NODE_BYTES * FULL)):,} |"
            for amount in amounts
        )
        print(f"| `{model.__name__}` |" + "".join(cells))


def print_spread() -> None:
    """How agents, each in a slot of its own, come to lie on nodes that have as many slots each."""
    drawn = random.Random(1)
    print("\n| agents | on nodes | on the fullest node, more than the mean |\n|---|---|---|")
    for agents, nodes in ((100, 3), (1000, 10), (10_000, 10), (10_000, 100), (1_000_000, 100)):
        found = Counter(
            key_slot(f"{{Remembered:{drawn.getrandbits(64):x}}}".encode()) * nodes // 16_384
            for _ in range(agents)
        )
        more = max(found.values()) * nodes / agents - 1
        print(f"| {agents:,} | {nodes} | {more:.0%} |")


def main(count: int = 5_000) -> None:
    with embedded.start() as server, redis.Redis.from_url(server.url) as client:
        redis_db.set_REDIS_DB_settings(unix_socket_path=server.socket_path, socket_timeout=None)
        print("| a record | has | bytes |\n|---|---|---|")
        sizes: dict[type[Any], float] = {}
        agents = count // SHARE
        for model, told in MODELS.items():
            fill(model, 0, count // 5, agents)
            rest = grown(client, lambda m=model: fill(m, count // 5, count, agents))
            sizes[model] = rest / (count - count // 5)
            print(f"| `{model.__name__}` | {told} | {sizes[model]:,.0f} |", flush=True)
        own = min(count, 1000)
        few = grown(client, lambda: fill(Remembered, 2 * count, 2 * count + own, 1))
        many = grown(client, lambda: fill(Remembered, 3 * count, 3 * count + own, own))
        print(f"| an agent | its rankings and lists of words | {(many - few) / (own - 1):,.0f} |")
        print_nodes(sizes)
        print_spread()
        print(f"\n{count:,} records of each, {SHARE} of an agent\n")
        print("| operation | time of the node's core, as multiples of a `SET` |\n|---|---|")
        times = min(count // 10, 100)
        for name, work in operations(client, count).items():
            # Beside each other, since caches of a busy machine make both slower.
            bases = [busy(client, lambda n: client.set(f"raw:{n}", RAW), 4 * times)]
            taken = busy(client, work, times)
            bases.append(busy(client, lambda n: client.set(f"raw:{n}", RAW), 4 * times))
            print(f"| {name} | {taken * 2 / sum(bases):.1f} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
