"""`FingerprintField`: what filter and sketch have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from popoto.engine.batch import Batch, KeyArgument
from popoto.engine.keys import SEPARATOR
from popoto.engine.outcome import other_form
from popoto.engine.request import Argument, Plan, Request, ScriptCall
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.fields.field import Field
from popoto.fields.fingerprints.consulting import (
    Fingerprint,
    fingerprint_of,
    new_fingerprint,
    words_of,
)
from popoto.fields.fingerprints.renewing import Renewing
from popoto.fields.keeping.commit import Commit
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.naming import class_name_of
from popoto.fields.keeping.shards import in_every_shard
from popoto.fields.valueless_field_mixin import ValuelessFieldMixin
from popoto.memory.commands import put
from popoto.memory.hashing import item_bytes, new_version

__all__ = ["FingerprintField"]

#: So many arguments of items go with one command.
_MOST_ARGUMENTS = 4_000


class FingerprintField(ValuelessFieldMixin[None], Field[None]):
    """Takes in the words of each saved record's fingerprint. Its own value is always None."""

    option_defaults: ClassVar[dict[str, Any]] = {"fingerprint_fn": None}
    follows_from = "fingerprint_fn"
    forgets_anew = True
    takes_words = True

    #: What the key of a model's words begins with.
    key_prefix: ClassVar[str]
    #: The command that takes words in, and the one that tells the size of such a key.
    command: ClassVar[str]
    measure: ClassVar[str]
    #: Whether the mark of version 1 stands under a key of its own.
    has_note: ClassVar[bool]

    fingerprint_fn: Fingerprint

    def __init__(self, fingerprint_fn: Callable[[Any], Any] | None = None, **options: Any) -> None:
        super().__init__(fingerprint_fn=fingerprint_fn, **options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        super().check_options(options)
        function: object = self.fingerprint_fn
        if function is not None and not callable(function):
            raise ModelException(
                f"{type(self).__name__}: fingerprint_fn must be a function of a record, "
                f"got {describe(function)}"
            )

    # The value --------------------------------------------------------------------

    @property
    def type_name(self) -> str:
        return "nothing"

    # Its keys ---------------------------------------------------------------------

    def key_of(self, model_name: str) -> str:
        """The key that has the words of all records of a model."""
        return SEPARATOR.join((self.key_prefix, model_name, self.name))

    def keys_beside(self, key: str) -> tuple[Argument, Argument, Argument]:
        """Beside it: the mark of version 1 (0: none), what is being made anew, and its note."""
        return (
            KeyArgument(f"{key}:form") if self.has_note else 0,
            KeyArgument(f"{key}:building"),
            KeyArgument(f"{key}:builder"),
        )

    def key_families(self) -> Sequence[KeyFamily]:
        key = self.key_of(self.model_name)
        return (KeyFamily("", self.name, key, "whole", is_open=True, derived=False),)

    # Its form ---------------------------------------------------------------------

    @abstractmethod
    def mark(self, version: int) -> bytes:
        """By what a server knows the form of what is stored, in a version of the hashes."""

    @abstractmethod
    def measures(self) -> tuple[int, ...]:
        """The measures, as scripts are given them."""

    @abstractmethod
    def arguments(self, item: bytes) -> tuple[bytes, ...]:
        """A word as scripts are given it, with its places in version 2."""

    def form(self) -> tuple[Argument, ...]:
        """Measures and marks, as scripts are given them."""
        return (*self.measures(), self.mark(1), self.mark(2))

    def with_places(self, words: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
        """Words as scripts are given them."""
        for word in words:
            yield self.arguments(item_bytes(word))

    # Taking in ----------------------------------------------------------------------

    def on_commit(self, instance: Any, batch: Batch, commit: Commit) -> None:
        """Take in the words of the fingerprint, in the same step as the record is saved."""
        fingerprint = new_fingerprint(self.fingerprint_fn, self.name, instance, commit)
        if fingerprint is not None:
            self._put_fingerprint(instance, batch, fingerprint)

    def take_words(self, instance: Any, batch: Batch, key: str) -> None:
        self._put_fingerprint(instance, batch, self.fingerprint(instance, key))

    def _put_fingerprint(self, instance: Any, batch: Batch, fingerprint: str) -> None:
        key = self.key_of(instance._meta.model_name)
        self.put_words(batch, key, self.keys_beside(key), new_version(), words_of(fingerprint))

    def put_words(
        self,
        batch: Batch,
        key: str,
        beside: tuple[Argument, ...],
        version: int,
        words: Sequence[str],
    ) -> None:
        """Queue that words are taken in; what is not there yet is made in this version."""
        head = (*(beside if self.has_note else beside[1:]), version, *self.form())
        waiting: list[Argument] = []
        for each in self.with_places(words):
            if waiting and len(waiting) + len(each) > _MOST_ARGUMENTS:
                put(batch, self.command, key, *head, *waiting)
                waiting = []
            waiting += each
        put(batch, self.command, key, *head, *waiting)

    def rebuilding(self, model_name: str, shard: str) -> Renewing:
        return Renewing(self, self.key_of(model_name), shard)

    def fingerprint(self, instance: Any, key: str) -> str:
        """The fingerprint of a record. Raises ValueError where it has none."""
        return fingerprint_of(self.fingerprint_fn, instance, key)

    # Asking -------------------------------------------------------------------------

    def _field_in(self, model_class: Any) -> Self:
        """The field as that model has it. Raises AttributeError (no model), TypeError (none)."""
        name = class_name_of(model_class)
        field = self.in_model(model_class)
        if field is self and model_class._meta.by_name.get(self.name) is not self:
            raise TypeError(
                f"{self.label} knows the words of {self.model_name}, and {name} has no "
                f"{type(self).__name__} {self.name!r}: pass the model whose words are asked for"
            )
        return field

    def asking(self, options: Any, calls: Sequence[ScriptCall]) -> Plan[list[list[Any]]]:
        """The replies of scripts that read the words of a model, of each shard. One round trip."""
        return (yield from in_every_shard(options, lambda each: self._asking(each.shard, calls)))

    def _asking(self, shard: str, calls: Sequence[ScriptCall]) -> Plan[list[Any]]:
        replies = yield Request(calls, shard, repeatable=True)
        found: list[Any] = []
        for (is_told, *rest), call in zip(replies, calls, strict=True):
            if not is_told:
                raise self._unlike(call.keys[0], rest[0].decode("utf-8", "replace"))
            found += rest
        return found

    def _unlike(self, key: str, found: str) -> ModelException:
        if found.startswith("a "):
            return ModelException(f"the key {key!r} holds {found}, which is no {self.values_are}")
        return other_form(
            key, found, self.mark(new_version()).decode().rstrip(), "so it answers nothing"
        )
