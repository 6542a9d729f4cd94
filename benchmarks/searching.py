"""Searching many texts by words: NumPy with all of them in memory, as bm25s does it, and popoto."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import numpy as np
import redis

from popoto import BM25Field, KeyField, Model, StringField

BEST = 10
STEM = "$BM25:Searched:words"
K1, B = 1.2, 0.75
#: From so many postings on, these tell how long documents are, and an index of more documents has a
#: log of changes; see docs/architecture.md.
LONG = 128
VOCABULARY = [f"word{number:05}" for number in range(20_000)]
WEIGHTS = list(itertools.accumulate(1 / (number + 10) for number in range(20_000)))
#: By place in the vocabulary: rare words, common ones, and both.
QUESTIONS = [(5_000,), (0,), (3, 700, 9_000), (40, 2_500), (10, 20), (100, 200, 300), (0, 1, 2)]


class Searched(Model):
    name = KeyField()
    text = StringField(default="")
    words = BM25Field(source="text")


def questions() -> list[str]:
    return [" ".join(VOCABULARY[place] for place in places) for places in QUESTIONS]


def documents(count: int) -> list[Counter[str]]:
    """The words of texts of 15 to 85, by how usual words are in English."""
    chosen = random.Random(1)
    return [
        Counter(chosen.choices(VOCABULARY, cum_weights=WEIGHTS, k=chosen.randint(15, 85)))
        for _ in range(count)
    ]


def key_of(number: int) -> str:
    return f"Searched:m{number:06}"


def fill(client: redis.Redis, texts: Sequence[Counter[str]]) -> None:
    """What saving these documents leaves, without the texts."""
    postings: dict[str, dict[str, float]] = {}
    lengths = {key_of(number): words.total() for number, words in enumerate(texts)}
    for number, words in enumerate(texts):
        key = key_of(number)
        for word, times in words.items():
            postings.setdefault(word, {})[key] = times
    with client.pipeline(transaction=False) as pipeline:
        for number in range(len(texts)):
            pipeline.hset(key_of(number), mapping={"name": msgpack.packb(f"m{number:06}")})
            if number % 5_000 == 0:
                pipeline.execute()
        for place, (word, found) in enumerate(postings.items()):
            step = 2**-32 if len(found) > LONG else 0
            scores = {key: times - lengths[key] * step for key, times in found.items()}
            pipeline.zadd(f"{STEM}:inv:{word}", scores)
            if place % 500 == 0:
                pipeline.execute()
        pipeline.zadd(f"{STEM}:dl", lengths)
        pipeline.mset(
            {f"{STEM}:n": len(texts), f"{STEM}:avgdl": sum(lengths.values()) / len(texts)}
        )
        # Nothing has changed since then.
        log = {":born": 1, ":floor": 1, key_of(0): 2}
        if len(texts) > LONG:
            pipeline.zadd(f"{STEM}:changes", log)
        pipeline.execute()


class InMemory:
    """What every word adds to each document's score, as arrays."""

    def __init__(self, texts: Sequence[Counter[str]]) -> None:
        self.count = len(texts)
        lengths = np.array([words.total() for words in texts], dtype=np.float64)
        norm = K1 * (1 - B + B * lengths / lengths.mean())
        holders: dict[str, tuple[list[int], list[int]]] = {}
        for number, words in enumerate(texts):
            for word, times in words.items():
                numbers, frequencies = holders.setdefault(word, ([], []))
                numbers.append(number)
                frequencies.append(times)
        self.postings: dict[str, tuple[Any, Any]] = {}
        for word, (numbers, frequencies) in holders.items():
            places, tf = np.array(numbers), np.array(frequencies, dtype=np.float64)
            idf = math.log((self.count - len(numbers) + 0.5) / (len(numbers) + 0.5) + 1)
            self.postings[word] = (places, idf * tf * (K1 + 1) / (tf + norm[places]))

    def search(self, question: str) -> tuple[str, ...]:
        scores = np.zeros(self.count)
        for word in question.split():
            if word in self.postings:
                places, adds = self.postings[word]
                scores[places] += adds
        most = min(BEST, self.count)
        least = np.partition(scores, self.count - most)[self.count - most]
        found = np.flatnonzero((scores >= least) & (scores > 0))
        order = np.lexsort((found, -scores[found]))[:most]
        return tuple(key_of(int(number)) for number in found[order])


def searched_by_hand(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    texts = documents(count)
    fill(client, texts)
    memory = InMemory(texts)
    yield
    while True:
        found = ()
        for question in itertools.islice(itertools.cycle(questions()), times):
            found = (*found[-50:], *memory.search(question))
        yield found


def searched_by_popoto(client: redis.Redis, count: int, times: int) -> Iterator[object]:
    fill(client, documents(count))
    yield
    while True:
        found = ()
        for question in itertools.islice(itertools.cycle(questions()), times):
            best = BM25Field.search(Searched, "words", question, limit=BEST)
            found = (*found[-50:], *(key for key, _ in best))
        yield found
