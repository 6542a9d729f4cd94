"""Pairs of models that are the same but for `Meta.shard_by`, and what is compared of them.

A `Side` has one of each pair. What is done on both, with one clock and one source of chance, has to
come to the same, errors included.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias
from unittest import mock

from popoto import (
    AccessTrackerMixin,
    AutoKeyField,
    BM25Field,
    BooleanField,
    ConfidenceField,
    ContentField,
    CoOccurrenceField,
    CyclicDecayField,
    DatetimeField,
    DecayingSortedField,
    DecimalField,
    DictField,
    EmbeddingField,
    EventStreamMixin,
    ExistenceFilter,
    FloatField,
    FrequencySketch,
    GeoField,
    IndexedField,
    IntField,
    KeyField,
    ListField,
    Model,
    PredictionLedgerMixin,
    Recall,
    Relationship,
    SetField,
    SortedField,
    StringField,
    WriteFilterMixin,
    clock,
    redis_db,
)
from popoto.models.query_builder import QueryBuilder
from popoto.recipes import PolicyEntry
from popoto.stores.default import set_default_store
from popoto.cli import main
from popoto.embeddings import LateInteractionProvider, TextVectors
from popoto.engine.keys import shard_prefix
from tests.driver import Api
from tests.memory.words import text_of

NOW = 1_700_000_000.0
DAY = 86_400
AGENTS = ("ann", "b:ob", "cleo", "dan")
NUMBERS = (1, 2, 3, 4)
WORDS = ("cat", "kitten", "rain", "storm", "vet", "doctor", "river", "went", "the", "zebra")


class Generic(LateInteractionProvider):
    """Vectors that nothing is equal in, nor orthogonal: what is drawn for a word, weighed by place."""

    language = "english"
    model_name = "generic"
    dimensions = 8
    max_batch_size = 100

    def embed(self, texts: list[str], input_type: str | None = None) -> list[list[float]]:
        return [list(each.vector) for each in self.embed_words(texts, input_type)]

    def embed_words(self, texts: list[str], input_type: str | None = None) -> list[TextVectors]:
        found: list[TextVectors] = []
        for text in texts:
            words = re.findall(r"\w+", text.lower())
            vectors = [[random.Random(f"{w} {n}").random() + 0.1 for n in range(8)] for w in words]
            whole = [
                sum(vector[n] / (place + 1) for place, vector in enumerate(vectors)) + 0.01 * n
                for n in range(8)
            ]
            found.append(TextVectors(whole, words, vectors))
        return found


PROVIDER = Generic()
Models: TypeAlias = SimpleNamespace


def _weight_of(record: Any) -> float:
    return float(record.importance)


def family(letter: str, *, sharded: bool) -> Models:
    """One of each pair, with names that begin with a letter."""

    def make(name: str, by: str, /, *bases: type, meta: Mapping[str, Any] | None = None, **more: Any) -> Any:
        settings = dict(meta or {}) | ({"shard_by": by} if sharded else {})
        body = {
            "__module__": __name__,
            "__qualname__": f"{letter}{name}",
            "Meta": type("Meta", (), settings),
            **more,
        }
        return type(Model)(f"{letter}{name}", (*bases, Model) if Model not in bases else bases, body)

    person = make(
        "Person",
        "town",
        town=KeyField(),
        name=KeyField(),
        age=SortedField(type=int, default=0),
    )
    note = make(
        "Note",
        "agent",
        meta={"indexes": ((("agent", "code"), True), (("topic", "flag"), False))},
        agent=KeyField(),
        number=KeyField(type=int),
        topic=IndexedField(null=True),
        flag=IndexedField(type=bool, null=True),
        rank=SortedField(type=int, null=True),
        weight=SortedField(type=float, partition_by="topic", default=0.0),
        own=SortedField(type=int, partition_by="agent", default=0),
        place=GeoField(),
        code=StringField(null=True),
        body=StringField(null=True),
        hits=IntField(default=0),
        price=DecimalField(null=True),
        at=DatetimeField(null=True),
        done=BooleanField(default=False),
        tags=ListField(max_length=3),
        bag=SetField(null=True),
        data=DictField(null=True),
        author=Relationship(model=person, related_name="notes"),
        reply_to=Relationship(model=f"{letter}Note", on_delete="SET_NULL", related_name="replies"),
        rests_on=Relationship(model=f"{letter}Note", on_delete="PROTECT", related_name="resting"),
    )
    pin = make(
        "Pin",
        "board",
        board=KeyField(),
        number=KeyField(type=int),
        note=Relationship(model=note, on_delete="CASCADE", related_name="pins"),
    )
    memory = make(
        "Memory",
        "agent",
        AccessTrackerMixin,
        PredictionLedgerMixin,
        WriteFilterMixin,
        EventStreamMixin,
        meta={"history": True},
        agent=KeyField(),
        name=KeyField(),
        text=StringField(default=""),
        kind=IndexedField(default="fact"),
        importance=FloatField(default=0.5),
        rank=SortedField(type=float, default=0.0),
        relevance=DecayingSortedField(base_score_field="importance", partition_by="agent"),
        fresh=DecayingSortedField(base_score_field="sure"),
        rhythm=CyclicDecayField(cycles=[(DAY, 0.5), (7 * DAY, 0.25, 10.0)], pressure_rate=0.1),
        season=CyclicDecayField(cycles=[(DAY, 1.0)], partition_by="agent"),
        sure=ConfidenceField(initial_confidence=0.4),
        trust=ConfidenceField(partition_by="agent"),
        near=CoOccurrenceField(),
        ways=CoOccurrenceField(symmetric=False),
        words=BM25Field(source="text"),
        own_words=BM25Field(source="text", partition_by="agent"),
        meaning=EmbeddingField(source="text", provider=PROVIDER, store="server"),
        filed=EmbeddingField(source="text", provider=PROVIDER),
        packed=EmbeddingField(source="text", provider=PROVIDER, store="server", precision="int8"),
        known=ExistenceFilter(capacity=1000, fingerprint_fn=text_of),
        often=FrequencySketch(width=100, depth=3, fingerprint_fn=text_of),
        story=ContentField(null=True),
        compute_filter_score=_weight_of,
        _wf_min_threshold=0.1,
        _wf_priority_threshold=0.7,
    )
    said = make(
        "Said",
        "agent",
        meta={"recall": Recall(session="session", order="place", speaker="speaker")},
        agent=KeyField(),
        name=KeyField(),
        text=StringField(default=""),
        speaker=StringField(default=""),
        session=IndexedField(default="one"),
        place=SortedField(type=int, default=0, partition_by="session"),
        words=BM25Field(source="text"),
        meaning=EmbeddingField(source="text", provider=PROVIDER, store="server"),
    )
    guarded = make(
        "Guarded",
        "agent",
        meta={"require_partition": "agent"},
        agent=KeyField(),
        name=KeyField(),
        text=StringField(default=""),
        rank=SortedField(type=int, default=0, partition_by="agent"),
        words=BM25Field(source="text", partition_by="agent"),
        near=CoOccurrenceField(),
    )
    fleeting = make(
        "Fleeting",
        "agent",
        meta={"ttl": 5000},
        agent=KeyField(),
        name=KeyField(),
        kind=IndexedField(null=True),
        rank=SortedField(type=int, null=True),
        body=StringField(null=True),
    )
    made = make(
        "Made",
        "agent",
        agent=KeyField(),
        number=AutoKeyField(),
        kind=IndexedField(null=True),
        content=StringField(default=""),
        importance=FloatField(default=0.5),
        relevance=DecayingSortedField(base_score_field="importance", partition_by="agent"),
        words=BM25Field(source="content"),
    )
    policy = make("Policy", "agent_id", PolicyEntry)
    return SimpleNamespace(
        person=person,
        note=note,
        pin=pin,
        memory=memory,
        said=said,
        guarded=guarded,
        fleeting=fleeting,
        made=made,
        policy=policy,
    )


SHARDED = family("S", sharded=True)
PLAIN = family("P", sharded=False)
NAMES = tuple(vars(PLAIN))


@dataclasses.dataclass
class Side:
    """One of each pair, where its records are and how methods are called."""

    models: Models
    url: str
    api: Api
    files: Path
    names: Iterator[int] = dataclasses.field(default_factory=itertools.count)
    moment: float = NOW

    @property
    def letter(self) -> str:
        return str(self.models.note._meta.model_name[0])

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Within the block popoto talks to this side's server, at its moment."""
        before = os.environ.get("POPOTO_CONTENT_PATH")
        os.environ["POPOTO_CONTENT_PATH"] = str(self.files)
        set_default_store(None)
        try:
            with (
                redis_db.using(self.url),
                clock.using(lambda: self.moment),
                mock.patch("uuid.uuid4", lambda: uuid.UUID(int=next(self.names))),
            ):
                yield
        finally:
            set_default_store(None)
            if before is None:
                del os.environ["POPOTO_CONTENT_PATH"]
            else:
                os.environ["POPOTO_CONTENT_PATH"] = before

    def command(self, name: str, model: Any, *arguments: str) -> int:
        """What a command line ends with, of one of the models."""
        place = "SHARDED" if model._meta.shard_by else "PLAIN"
        field = next(each for each in NAMES if getattr(self.models, each) is model)
        return main([name, f"{__name__}:{place}.{field}", *arguments, "--url", self.url, "--quiet"])

    def lose(self, model: Any, key: str) -> None:
        """Delete the key of a record, and nothing else, as by other means than popoto's."""
        connection = redis_db.connection()
        prefix = shard_prefix(model._meta.at(key).shard, is_cluster=connection.is_cluster)
        connection.call(("DEL", f"{prefix}{key}"), repeatable=False)

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A function of a module, or its asyncio twin."""
        if not self.api.is_async:
            return function(*arguments, **options)
        module = __import__(function.__module__, fromlist=["_"])
        return self.api.run(getattr(module, f"async_{function.__name__}")(*arguments, **options))

    def of(self, kind: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """A static method of a class, or its asyncio twin."""
        if not self.api.is_async:
            return getattr(kind, name)(*arguments, **options)
        return self.api.run(getattr(kind, f"async_{name}")(*arguments, **options))

    def outcome(self, deed: Callable[[Side], Any]) -> Any:
        """What something comes to, in a form that can be compared."""
        with self.at_work():
            try:
                return self.plain(deed(self))
            except Exception as error:
                return "error", type(error).__name__, self.plain(str(error))

    def plain(self, found: Any) -> Any:
        """The same for both: without names of models, numbers rounded, records as dicts."""
        if isinstance(found, str):
            return re.sub(rf"\b{self.letter}(?=[A-Z][a-z])", "", found)
        if isinstance(found, bytes):
            return self.plain(found.decode("utf-8", "replace"))
        if isinstance(found, bool) or found is None:
            return found
        if isinstance(found, float):
            return float(f"{found:.6g}")
        if isinstance(found, Model):
            return self._record(found)
        if isinstance(found, type):
            return self.plain(found.__name__)
        if isinstance(found, QueryBuilder):
            return self.plain(found.all())
        if isinstance(found, Mapping):
            return {
                str(self.plain(name)): self.plain(value)
                for name, value in sorted(found.items(), key=lambda each: str(each[0]))
            }
        if isinstance(found, (set, frozenset)):
            return sorted(map(self.plain, found), key=repr)
        if dataclasses.is_dataclass(found) and not isinstance(found, type):
            return {
                each.name: self.plain(getattr(found, each.name))
                for each in dataclasses.fields(found)
            }
        if isinstance(found, Sequence) or isinstance(found, Iterator):
            return [self.plain(each) for each in found]
        if hasattr(found, "tolist"):
            return self.plain(found.tolist())
        return self.plain(repr(found)) if type(found).__module__.startswith("popoto") else found

    def _record(self, record: Any) -> dict[str, Any]:
        state: Mapping[str, Any] = vars(record)
        loaded = [name for name in record._meta.fields if name in state]
        scores = [name for name in state if name.endswith(("_score", "_distance"))]
        values: dict[str, Any] = {}
        for name in loaded:
            value = getattr(record, name)
            values[name] = value.pk if isinstance(value, Model) else value
        values.update({name: state[name] for name in scores})
        return {"": self.plain(record.pk), **self.plain(values)}
