"""`Meta`: the options of a model's class body, inherited, checked and taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from popoto.exceptions import ConfigurationError, ModelException
from popoto.fields.coercion import is_list
from popoto.memory.history.noting import History
from popoto.memory.recall.declared import Recall
from popoto.models.record.field_names import known_field
from popoto.models.record.options import ModelOptions
from popoto.redis_db import DEFAULT_REPLICA_TIMEOUT, Wait, checked_wait

#: What a later save does to a running time to live; see docs/ttl.md.
TTL_POLICIES = ("reset", "sliding", "fixed")


def meta_settings(cls: Any, meta: type | None) -> dict[str, Any]:
    """The options of `Meta`, inherited from the bases, except ``abstract``."""
    settings: dict[str, Any] = {}
    bases: Sequence[type] = cls.__mro__[1:]
    for base in reversed(bases):
        settings.update(vars(base).get("_settings", {}))
    settings.pop("abstract", None)
    if meta is not None:
        settings.update(
            {name: getattr(meta, name) for name in dir(meta) if not name.startswith("_")}
        )
    return settings


def check_meta(model_name: str, options: ModelOptions, meta: Mapping[str, Any]) -> None:
    """Take over the options of a `Meta` class. Raises ModelException for wrong ones."""
    if "abstract" in meta:
        options.abstract = bool(meta["abstract"])
    if "ttl" in meta:
        ttl: object = meta["ttl"]
        if ttl is not None and (type(ttl) is not int or ttl <= 0):
            raise ModelException(
                f"{model_name}.Meta.ttl must be a positive integer (seconds), got {ttl!r}"
            )
        options.ttl = ttl
    if "ttl_policy" in meta:
        options.ttl_policy = meta["ttl_policy"]
        if options.ttl_policy not in TTL_POLICIES:
            raise ModelException(
                f"{model_name}.Meta.ttl_policy must be one of {', '.join(TTL_POLICIES)}, "
                f"got {options.ttl_policy!r}"
            )
    options.wait = _checked_wait(model_name, meta)
    options.history = _checked_history(options, meta.get("history"))
    options.recall = _checked_recall(options, meta.get("recall"))
    if "version_field" in meta:
        options.version_field = _checked_version_field(options, meta["version_field"])
    if "self_repair" in meta:
        if not isinstance(meta["self_repair"], bool):
            raise ModelException(
                f"{model_name}.Meta.self_repair must be True or False, got {meta['self_repair']!r}"
            )
        options.self_repair = meta["self_repair"]
    if "order_by" in meta:
        options.order_by = meta["order_by"]
    if "indexes" in meta:
        options.indexes = _checked_indexes(model_name, meta["indexes"])
    _check_order_by(model_name, options)
    for names, _ in options.indexes:
        for name in names:
            known_field(options.by_name, name, f"{model_name}.Meta.indexes")
    options.compile_indexes()


def _checked_wait(model_name: str, meta: Mapping[str, Any]) -> Wait | None:
    replicas = meta.get("wait_for_replicas")
    if replicas is None:
        return None
    try:
        return checked_wait(replicas, meta.get("replica_timeout", DEFAULT_REPLICA_TIMEOUT))
    except ConfigurationError as error:
        raise ModelException(f"{model_name}.Meta: {error}") from error


def _checked_history(options: ModelOptions, history: object) -> History | None:
    if history is None or history is False:
        return None
    if history is not True and not isinstance(history, History):
        raise ModelException(
            f"{options.model_name}.Meta.history must be True, False or "
            f"History(max_length=…, max_age=…), got {history!r}"
        )
    for name in ("history", "async_history"):
        if name in options.by_name:
            raise ModelException(
                f"{options.model_name}.{name}: a model with Meta.history has a method of that "
                "name, which a field would hide; choose another name"
            )
    return History() if history is True else history


def _checked_recall(options: ModelOptions, recall: object) -> Recall | None:
    label = f"{options.model_name}.Meta.recall"
    if recall is None:
        return None
    if not isinstance(recall, Recall):
        raise ModelException(
            f"{label} must be Recall(session=…, order=…, speaker=…), got {recall!r}"
        )
    if options.abstract:
        return recall
    for name in (recall.session, recall.order, recall.speaker):
        if name is not None:
            known_field(options.by_name, name, label)
    if recall.order is not None:
        order = options.by_name[recall.order]
        is_sorted = order in options.listed("sorted") and order not in options.listed("decay")
        if not is_sorted or recall.session not in order.partition_names:
            raise ModelException(
                f"{label}: {recall.order!r} has to tell the order in each {recall.session!r}: "
                f"make it SortedField(type=…, partition_by={recall.session!r})"
            )
    return recall


def _checked_version_field(options: ModelOptions, name: object) -> str | None:
    if name is None:
        return None
    field = options.by_name.get(name) if isinstance(name, str) else None
    if field is None or field.type is not int or field.key:
        raise ModelException(
            f"{options.model_name}.Meta.version_field must name an IntField that is no key, "
            f"got {name!r}"
        )
    return field.name


def _check_order_by(model_name: str, options: ModelOptions) -> None:
    order_by: object = options.order_by
    if order_by is None:
        return
    if not isinstance(order_by, str):
        raise ModelException(
            f"{model_name}.Meta.order_by must be a field name, '-' in front for descending, "
            f"got {order_by!r}"
        )
    name = order_by.removeprefix("-")
    if name not in options.by_name:
        raise ModelException(
            f"{model_name}.Meta.order_by: the field {name!r} does not exist; "
            f"fields are {', '.join(options.by_name)}"
        )


def _checked_indexes(model_name: str, indexes: object) -> tuple[tuple[tuple[str, ...], bool], ...]:
    label = f"{model_name}.Meta.indexes"
    if indexes is None:
        return ()
    if not is_list(indexes):
        raise ModelException(f"{label} must be a tuple or list of ((field, ...), unique) pairs")
    found: list[tuple[tuple[str, ...], bool]] = []
    for item in indexes:
        if not is_list(item) or len(item) != 2:
            raise ModelException(f"{label}: {item!r} must be a 2-tuple ((field, ...), unique)")
        names, unique = item
        if not is_list(names):
            raise ModelException(f"{label}: {names!r} must be a tuple/list of field names")
        if not isinstance(unique, bool):
            raise ModelException(f"{label}: {unique!r} must be boolean: whether it is unique")
        found.append((tuple(str(name) for name in names), unique))
    return tuple(found)
