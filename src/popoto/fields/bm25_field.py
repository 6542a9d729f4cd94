"""`BM25Field`: records are found by the words of a text, the best answers first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from popoto._former_names import formerly
from popoto._stock import stock
from popoto.engine.batch import Batch
from popoto.engine.keys import SEPARATOR
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.documents.comparing import misindexed
from popoto.fields.documents.entries import DocumentEntry, DocumentFamily, RestFamily, stem_of
from popoto.fields.documents.forgetting import forget_words_of
from popoto.fields.documents.frequencies import inverse_frequencies, recomputed
from popoto.fields.documents.renewing import Reindexing
from popoto.fields.documents.texts import brings_words, text_of, words_believed
from popoto.fields.field import Field
from popoto.fields.given import model_in, number_in, texts_in
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.entries import Entry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.keeping.proposals import ProposalEntry, pending_family
from popoto.fields.keywords import unknown_source
from popoto.fields.partitioned_field_mixin import PartitionedFieldMixin
from popoto.fields.valueless_field_mixin import ValuelessFieldMixin
from popoto.memory.bm25.documents import lengths_key, put_document
from popoto.memory.text.analysis import ANALYZERS, WORDS, Analyzer, analyzer_named

__all__ = ["BM25Field"]


class BM25Field(PartitionedFieldMixin[str], ValuelessFieldMixin[str], Field[str]):
    """Keeps an index of the words of another field (`popoto.memory.bm25.formula`).

    `source`        the name of the field whose text is indexed
    `partition_by`  fields whose values part the index: a search looks at one part, and counts
                    its documents alone
    `analyzer`      what makes words of a text: the name of one (`popoto.memory.text.analysis`) or
                    an `Analyzer` of your own. Another one than the index was made with makes
                    saves and searches raise ModelException, until `rebuild_indexes`
    `k1`, `b`       constants of the formula; by default `BM25_K1` and `BM25_B` of the class

    `cache`         False: this process remembers no postings. By default, and with NumPy, it does
                    for common words of large indexes, so that searches take less time

    A save that writes the source indexes its text in the same step; any other one leaves the
    index alone, unless it names this field. The value is always None.

    ``Model.query.keyword_search("words")`` finds records. The class methods answer with keys and
    numbers; each has a native asyncio twin, ``async_…``. They raise QueryException for a field
    that is no BM25Field.

    Indexing costs two commands inside the save's script for each word that the text did not
    have before, or has no more.
    """

    BM25_K1: ClassVar[float] = 1.2
    BM25_B: ClassVar[float] = 0.75

    option_defaults: ClassVar[dict[str, Any]] = {
        "source": None,
        "analyzer": WORDS,
        "k1": None,
        "b": None,
        "cache": True,
    }
    shown_keywords: ClassVar[tuple[str, ...]] = ("source",)
    values_are = "index of words"
    follows_from = "its source"
    takes_words = True

    source: str
    analyzer: Analyzer
    k1: float
    b: float
    cache: bool

    def __init__(self, source: str | None = None, **options: Any) -> None:
        if source is None:
            raise ValueError("BM25Field needs source=, the name of the field whose text it indexes")
        super().__init__(source=source, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        source: object = self.source
        if not isinstance(source, str):
            raise ModelException(f"source must be the name of a field, got {describe(source)}")
        self.analyzer = _analyzer(self.analyzer)
        self.k1 = _number("k1", self.k1, type(self).BM25_K1, math.inf)
        self.b = _number("b", self.b, type(self).BM25_B, 1)

    # Its keys ---------------------------------------------------------------------

    def _key_prefix(self, model_class: Any) -> str:
        return SEPARATOR.join(("$BM25", model_class._meta.model_name, self.name))

    def bind_keys(self, model_name: str, name: str) -> None:
        super().bind_keys(model_name, name)
        self.root = SEPARATOR.join(("$BM25", model_name, name))

    def stem(self, partition: Sequence[Any]) -> str:
        """What the keys of one partition begin with."""
        return stem_of(self.root, list(partition))

    def document(self, stem: str, key: str) -> DocumentEntry:
        """The document of a record."""
        return DocumentEntry(lengths_key(stem), key, self.name, self.analyzer.mark)

    @property
    def registries(self) -> frozenset[str]:
        return super().registries | {"keywords", "compared"}

    @property
    def deciding_names(self) -> tuple[str, ...]:
        return self.partition_by

    @property
    def makes_entries(self) -> bool:
        return True

    @stock
    def entries(self, key: str, values: Mapping[str, Any]) -> Sequence[Entry]:
        stem = self.stem([values[name] for name in self.partition_by])
        return (self.document(stem, key), ProposalEntry.of(self.model_name, key))

    def key_families(self) -> Sequence[KeyFamily]:
        documents = DocumentFamily(
            "companions",
            self.name,
            self.root,
            "zset",
            is_open=bool(self.partition_by),
            of_companions=True,
            parts=len(self.partition_by),
        )
        rest = RestFamily(
            "", self.name, self.root, "whole", is_open=True, derived=False, documents=documents
        )
        return (documents, rest, pending_family(self.model_name))

    def check_model(self, fields: Mapping[str, Any], indexes: Sequence[Any]) -> None:
        PartitionedFieldMixin.check_model(self, fields, indexes)
        ValuelessFieldMixin.check_model(self, fields, indexes)

    def without_effect(self, model: Any) -> Iterator[str]:
        if self.source not in model._meta.by_name:
            yield unknown_source(self.label, self.source, model)

    # Indexing ---------------------------------------------------------------------

    def words(self, text: str) -> list[str]:
        """The words of a text, as they are indexed and looked for, repeats included."""
        return self.analyzer.words(text)

    def on_commit(self, instance: Any, batch: Batch, commit: Commit) -> None:
        """Index the source, in the same step as the record is saved."""
        source = instance._meta.by_name.get(self.source)
        if source is None or not brings_words(self.name, source, commit):
            return
        put_document(
            batch,
            self.stem([commit.values[name] for name in self.partition_by]),
            commit.key,
            self.analyzer.mark,
            self.words(text_of(source, instance, commit)),
            self.words(words_believed(source, commit)),
        )

    def take_words(self, instance: Any, batch: Batch, key: str) -> None:
        values = {name: getattr(instance, name) for name in self.partition_by}
        self.on_commit(instance, batch, Commit("create", key, key, values=values))

    def rebuilding(self, model_name: str, shard: str) -> Reindexing:
        return Reindexing(self, self.root, shard)

    def forgetting(self, subject: Subject) -> Plan[Mapping[str, Trace]]:
        options: Any = self.owner._meta
        stems = yield from self.rebuilding(options.model_name, subject.shard).stems()
        return (
            yield from forget_words_of(stems, self.root, self.partition_by, subject.shard, subject)
        )

    def misindexed(self, records: Sequence[Any]) -> Plan[list[tuple[str, bool]]]:
        return misindexed(self, records)

    # Searching ----------------------------------------------------------------------

    @classmethod
    @formerly(model_class="model")
    def search(
        cls,
        model: Any,
        field_name: str,
        query_text: str | None,
        limit: int = 10,
        allowed_keys: Iterable[Any] | None = None,
        **partition: Any,
    ) -> list[tuple[str, float]]:
        """Keys and scores of the records that answer a question best, the best first.

        Equal scores come in the order of keys. `allowed_keys` are those of the only records that
        may be found; a partitioned field needs the values of its partition. [] for a question
        without words. One command.
        """
        return run(_ranked(model, field_name, query_text, limit, allowed_keys, partition))

    @classmethod
    async def async_search(
        cls,
        model: Any,
        field_name: str,
        query_text: str | None,
        limit: int = 10,
        allowed_keys: Iterable[Any] | None = None,
        **partition: Any,
    ) -> list[tuple[str, float]]:
        """`search` for asyncio."""
        return await arun(_ranked(model, field_name, query_text, limit, allowed_keys, partition))

    @classmethod
    @formerly(model_class="model")
    def get_idf(
        cls, model: Any, field_name: str, tokens: str | Sequence[str], **partition: Any
    ) -> dict[str, float]:
        """How much each word tells: ``ln((N - df + 0.5) / (df + 0.5) + 1)``; a str is one word.

        A word is looked up in the form in which texts are indexed. 0.0 for each where there is
        no document. Two commands, one round trip.
        """
        return run(inverse_frequencies(_named(model, field_name), tokens, partition))

    @classmethod
    async def async_get_idf(
        cls, model: Any, field_name: str, tokens: str | Sequence[str], **partition: Any
    ) -> dict[str, float]:
        """`get_idf` for asyncio."""
        return await arun(inverse_frequencies(_named(model, field_name), tokens, partition))

    @classmethod
    @formerly(model_class="model")
    def filter_selective_tokens(
        cls,
        model: Any,
        field_name: str,
        tokens: Sequence[str],
        min_idf: float = 1.0,
        **partition: Any,
    ) -> list[str]:
        """The words that tell at least so much, in their order. As `get_idf`."""
        asked, least = _selection(tokens, min_idf)
        found = cls.get_idf(model, field_name, asked, **partition)
        return [token for token in asked if found[token] >= least]

    @classmethod
    async def async_filter_selective_tokens(
        cls,
        model: Any,
        field_name: str,
        tokens: Sequence[str],
        min_idf: float = 1.0,
        **partition: Any,
    ) -> list[str]:
        """`filter_selective_tokens` for asyncio."""
        asked, least = _selection(tokens, min_idf)
        found = await cls.async_get_idf(model, field_name, asked, **partition)
        return [token for token in asked if found[token] >= least]

    @classmethod
    @formerly(model_class="model")
    def recompute_stats(cls, model: Any, field_name: str, **partition: Any) -> None:
        """Count the documents and their words again; nothing for another kind of field.

        One command, O(documents).
        """
        run(recomputed(_model(model)._meta.by_name.get(field_name), partition))

    @classmethod
    async def async_recompute_stats(cls, model: Any, field_name: str, **partition: Any) -> None:
        """`recompute_stats` for asyncio."""
        await arun(recomputed(_model(model)._meta.by_name.get(field_name), partition))


def _ranked(
    model: Any,
    field_name: str,
    query_text: str | None,
    limit: int,
    allowed_keys: Iterable[Any] | None,
    partition: Mapping[str, Any],
) -> Plan[list[tuple[str, float]]]:
    # The model does it, as it has the queries.
    query = _model(model).query
    if partition:
        query = query.filter(**partition)
    plan: Plan[list[tuple[str, float]]] = query._keyword_ranking(
        query_text, field_name, limit, allowed_keys
    )
    return plan


def _named(model: Any, field_name: str) -> BM25Field:
    field: BM25Field = _model(model).query._keyword_field(field_name)
    return field


def _model(given: Any) -> Any:
    return model_in(given, "BM25Field")


def _selection(tokens: Any, min_idf: Any) -> tuple[list[str], float]:
    """Which words are to tell how much at least. Raises TypeError."""
    return texts_in(tokens, "tokens"), number_in(min_idf, "min_idf", infinite=True)


def _analyzer(given: object) -> Analyzer:
    """The analyzer that a user names or brings. Raises ModelException."""
    if isinstance(given, Analyzer):
        return given
    if not isinstance(given, str) or given not in ANALYZERS:
        raise ModelException(
            f"analyzer must be an Analyzer or one of {', '.join(ANALYZERS)}, got {describe(given)}"
        )
    try:
        return analyzer_named(given)
    except ImportError as error:
        raise ModelException(
            f"analyzer={given!r} needs snowballstemmer: pip install 'popoto[stemming]'"
        ) from error


def _number(name: str, given: object, default: float, most: float) -> float:
    value = default if given is None else given
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and 0 <= number <= most:
            return number
    wanted = "from 0 on" if most == math.inf else f"from 0 to {most:g}"
    raise ModelException(f"{name} must be a number {wanted}, got {describe(value)}")
