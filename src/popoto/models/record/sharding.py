"""`Meta.shard_by`: a model each value of whose shard field is a shard of its own on a cluster.

A shard of a model is a view of its options: the same, but for `shard`. Plans take options and
send what they ask to `options.shard`. So whatever works on one shard needs no branch; who begins
a plan decides which view it is given. On a single server, the shard of a view means nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import repeat
from typing import Any, Final, Self, cast

from popoto.engine import keys
from popoto.engine.codec import DecodeError
from popoto.exceptions import ModelException
from popoto.fields.describing import describe
from popoto.models.record.field_names import known_field
from popoto.models.record.options import AnyField, ModelOptions

__all__ = ["ShardedOptions", "check_sharding", "options_of", "shards_of"]

#: So many views of a model are remembered at most.
_MOST_VIEWS: Final = 1_000


class ShardedOptions(ModelOptions):
    """The options of a model with `Meta.shard_by`, or a view of one of its shards.

    As an attribute of the class they are those of the model as a whole, whose shard holds no
    records. As an attribute of an instance they are the view of the shard that its record is in,
    or will be: that of the stored key, else of the value of the shard field.
    """

    def __init__(self, model_name: str, shard_by: str) -> None:
        self.shard_by = self._shard_by = shard_by
        self._views: dict[str, Any] = {}
        super().__init__(model_name)

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        return self if instance is None else self.in_shard(self._text_of(instance))

    @property
    def shard_field(self) -> AnyField:
        """The field each value of which has a shard of its own."""
        return self.by_name[self._shard_by]

    def at(self, key: str) -> Self:
        text = self._told_by(key)
        return self if text is None else self.in_shard(text)

    def in_shard(self, text: str) -> Self:
        view: Self | None = self._views.get(text)
        if view is None:
            view = copy.copy(self)
            view.shard = keys.shard_name(self.model_name, text)
            view.shard_text = text
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            self._views[text] = view
        return view

    def of_values(self, values: Mapping[str, Any]) -> Self:
        if self._shard_by not in values:
            return self
        return self.in_shard(self.text_of(values[self._shard_by]))

    def text_of(self, value: Any) -> str:
        """The text that a value of the shard field has in keys."""
        # By way of a key: texts that make one key must not make two shards.
        return keys.unescape(keys.escape(self.shard_field.text_of(value)))

    def _told_by(self, key: str) -> str | None:
        parts = key.split(keys.SEPARATOR)
        if parts[0] != self.model_name or len(parts) != self.db_key_length:
            return None
        return keys.unescape(parts[self.get_db_key_index_position(self._shard_by)])

    def _text_of(self, instance: Any) -> str:
        # Not by the attribute: reading what was not loaded needs to know the shard.
        state = cast("dict[str, Any]", vars(instance))
        stored: Mapping[str, Any] = state.get("_stored", {})
        key, name = instance._redis_key, self._shard_by
        if key is not None and (stored or instance._is_persisted):
            told = self._told_by(key)
            if told is not None:
                return told
        if name in state:
            return self.text_of(state[name])
        raw: Any = stored.get(name)
        try:
            return self.text_of(None if raw is None else self.shard_field.decode(raw))
        except DecodeError:
            return self.text_of(None)

    def _find_commit_hooks(self) -> None:
        super()._find_commit_hooks()
        self._views.clear()

    def compile_indexes(self) -> None:
        super().compile_indexes()
        self._views.clear()


def shards_of(options: ModelOptions, record_keys: Iterable[str], each: int = 1) -> list[str] | None:
    """The shards of commands on these records, `each` for every one; None: all are in one."""
    if options.shard_by is None:
        return None
    return [shard for key in record_keys for shard in repeat(options.at(key).shard, each)]


def options_of(model_name: str, settings: Mapping[str, Any]) -> ModelOptions:
    """The options of a model with these settings of `Meta`, still without fields.

    Raises ModelException for a shard field that is not named by a text.
    """
    shard_by: object = settings.get("shard_by")
    if shard_by is None:
        return ModelOptions(model_name)
    if not isinstance(shard_by, str):
        raise ModelException(
            f"{model_name}.Meta.shard_by must be the name of a KeyField, got {describe(shard_by)}"
        )
    return ShardedOptions(model_name, shard_by)


def check_sharding(options: ModelOptions) -> None:
    """Raises ModelException for a model that cannot be in shards by the field that it names."""
    name = options.shard_by
    if name is None or options.abstract:
        return
    label = f"{options.model_name}.Meta.shard_by"
    field = known_field(options.by_name, name, label)
    if not field.key:
        raise ModelException(
            f"{label}: {name!r} is no part of the record key, so a key does not tell the shard of "
            f"its record; make it a KeyField (the key is made of {', '.join(options.key_names)})"
        )
    if field.auto or field.type is Decimal or field.has_own_answers:
        reason = (
            "its values are generated, so every record would be a shard of its own"
            if field.auto
            else "equal Decimals have several texts, and so would be in several shards"
            if field.type is Decimal
            else "it answers lookups by itself, so no condition tells the shard"
        )
        raise ModelException(f"{label}: {name!r} cannot tell shards apart: {reason}")
    for unique in options.unique_fields:
        if unique.name != name:
            raise ModelException(
                f"{unique.label} is unique, and {label} is {name!r}: shards are on different "
                f"nodes, which know nothing of each other's values. Make it unique in each "
                f"{name}, by Meta.indexes = ((({name!r}, {unique.name!r}), True),), or leave "
                "shard_by out"
            )
    for names, is_unique in options.indexes:
        if is_unique and name not in names:
            raise ModelException(
                f"{options.model_name}.Meta.indexes: {names!r} is unique, and {label} is {name!r}: "
                "shards are on different nodes, which know nothing of each other's values. Put "
                f"{name!r} into the index, or leave shard_by out"
            )
