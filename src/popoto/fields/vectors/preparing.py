"""Preparing vectors before commits: whose text is embedded, by whom, and what is stored then."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from popoto.engine.codec import NIL
from popoto.engine.request import Call, Plan
from popoto.exceptions import StoredDataError
from popoto.fields.vectors.embedding import (
    Embedded,
    Unembedded,
    Unvectored,
    described_by,
    embedded,
    embedded_by_word,
    encode_dimensions,
    provider_failure,
)
from popoto.fields.vectors.keeper import VectorKeeper
from popoto.memory.vectors.arrays import Array
from popoto.memory.vectors.words import packed_words

__all__ = ["Preparing", "is_of", "text_at_hand"]

logger = logging.getLogger("POPOTO.embedding")


def text_at_hand(instance: Any, source: str) -> Any:
    """What an instance holds of a text: the text, a reference to it, or None. Loads nothing."""
    field = instance._meta.by_name.get(source)
    return getattr(instance, source, None) if field is None else field.settled_value(instance)


def is_of(provider: Any, dimensions: int | None) -> bool:
    """Whether a provider makes vectors of this length, as far as it knows."""
    try:
        return bool(dimensions) and provider.dimensions == dimensions
    except RuntimeError:
        return True


@dataclass(frozen=True, slots=True)
class Preparing:
    """What an embedding field does for records that are about to be saved."""

    label: str
    source: str
    provider: Any
    keeper: VectorKeeper
    #: whether records are saved without a vector where the provider fails
    saves_anyway: bool
    #: whether the provider is asked for the vectors of words, too
    by_word: bool

    def plan(self, tasks: Sequence[tuple[Any, Unembedded]]) -> Plan[list[bytes]]:
        """Do all tasks; what is to be stored of each."""
        embed = [(instance, task) for instance, task in tasks if task.task == "embed"]
        embed += yield from self._unkept([each for each in tasks if each[1].task == "keep"])
        texts = yield from self.texts([instance for instance, _ in embed])
        wanted = [text for text in texts if text]
        vectors: dict[str, Embedded | None] = {}
        try:
            found = yield from self.made(wanted)
        except Exception as error:
            if not self.saves_anyway or isinstance(error, ValueError):
                raise provider_failure(self.label, error, "nothing was written") from error
            failure = provider_failure(self.label, error, "the record is saved without a vector")
            logger.warning("%s; embed_missing() makes it", failure)
        else:
            vectors = dict(zip(wanted, found, strict=True))
            self._tell_unanswered(found)
        stored = {
            task.key: self._outcome(task, vectors, text)
            for (_, task), text in zip(embed, texts, strict=True)
        }
        outcomes = [stored.get(task.key) or self._untouched(task) for _, task in tasks]
        yield from self._keep(
            {task.key: each for (_, task), each in zip(tasks, outcomes, strict=True)}
        )
        return outcomes

    def _tell_unanswered(self, found: Sequence[Embedded | None]) -> None:
        lacking = sum(each is None for each in found)
        if lacking:
            logger.warning(
                "%s: %s returned no vector for %d of %d texts; the records are saved without one; "
                "embed_missing() makes it",
                self.label,
                type(self.provider).__name__,
                lacking,
                len(found),
            )

    def _unkept(self, kept: Sequence[tuple[Any, Unembedded]]) -> Plan[list[tuple[Any, Unembedded]]]:
        """Those whose text has not changed, but whose vector is not there any more."""
        if not kept:
            return []
        dimensions = kept[0][1].dimensions
        found = yield from self.keeper.unkept([task.old_key for _, task in kept], dimensions or 0)
        gone = set(found)
        return [each for each in kept if each[1].old_key in gone]

    def texts(self, instances: Sequence[Any]) -> Plan[list[str | None]]:
        """The texts of these instances; None where the content store does not have one."""
        held = [text_at_hand(instance, self.source) for instance in instances]
        fields = [instance._meta.by_name.get(self.source) for instance in instances]
        if not any(getattr(field, "prepares", False) for field in fields):
            return [None if value is None else str(value) for value in held]
        found: list[str | None] = yield Call(
            lambda: [
                self._resolved(instance, field, value)
                for instance, field, value in zip(instances, fields, held, strict=True)
            ]
        )
        return found

    def _resolved(self, instance: Any, field: Any, value: Any) -> str | None:
        key = instance._redis_key or instance.pk
        try:
            text = field.self_contained(value, key)
        except (FileNotFoundError, StoredDataError) as error:
            logger.warning("%s of %r is not embedded: %s", self.label, key, error)
            return None
        return None if text is None else str(text)

    def _outcome(
        self, task: Unembedded, vectors: dict[str, Embedded | None], text: str | None
    ) -> bytes:
        if not text:
            # The content store does not have it: nothing is known of another text.
            return task.held
        found = vectors.get(text)
        if found is None:
            return Unvectored.of(NIL if task.is_stored else task.held, is_missing=True)
        return found

    def made(self, texts: Sequence[str]) -> Plan[list[Embedded | None]]:
        """What is stored of the vectors that the provider makes of these texts."""
        if not self.by_word:
            vectors = yield from embedded(self.provider, texts, "document")
            return [None if vector is None else self._of(vector, None) for vector in vectors]
        found = yield from embedded_by_word(self.provider, texts, "document")
        return [
            None if each is None else self._of(each.vector, packed_words(each.rows))
            for each in found
        ]

    def _of(self, vector: Array, words: bytes | None) -> Embedded:
        found = Embedded(encode_dimensions(len(vector)))
        found.vector, found.words = vector, words
        found.described = described_by(self.provider, len(vector), self.keeper.form)
        return found

    @staticmethod
    def _untouched(task: Unembedded) -> bytes:
        if task.task == "keep":
            return task.held
        return Unvectored.of(NIL if task.is_stored else task.held, is_missing=False)

    def _keep(self, outcomes: dict[str, bytes]) -> Plan[None]:
        """Keep the vectors, and drop those of records that have none any more."""
        made = {key: each for key, each in outcomes.items() if isinstance(each, Embedded)}
        cleared = [key for key, each in outcomes.items() if isinstance(each, Unvectored)]
        vectors = {key: each.vector for key, each in made.items()}
        described = next((each.described for each in made.values()), None)
        replaced = yield from self.keeper.store(vectors, cleared, described)
        for each in outcomes.values():
            if isinstance(each, (Embedded, Unvectored)):
                # Several records may have the vector of one text.
                each.replaced = replaced
