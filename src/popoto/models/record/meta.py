"""`Meta`: the options of a model's class body, inherited, checked and taken over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from popoto._unknown_names import closest, is_strict, tell
from popoto.exceptions import ConfigurationError, ModelException
from popoto.fields.coercion import is_list
from popoto.fields.describing import describe
from popoto.memory.history.noting import History
from popoto.memory.recall.declared import Recall
from popoto.models.record.annotations import own_annotations
from popoto.models.record.field_names import known_field
from popoto.models.record.isolation import Isolation
from popoto.models.record.options import ModelOptions
from popoto.models.record.sharding import check_sharding
from popoto.redis_db import DEFAULT_REPLICA_TIMEOUT, Wait, checked_wait

#: What a later save does to a running time to live; see docs/ttl.md.
TTL_POLICIES = ("reset", "sliding", "fixed")
#: Every option of `Meta`; docs/models.md says what they mean.
META_OPTIONS = frozenset(
    {
        "abstract",
        "history",
        "indexes",
        "name",
        "order_by",
        "ordering",
        "recall",
        "replica_timeout",
        "require_partition",
        "self_repair",
        "shard_by",
        "strict",
        "subject",
        "ttl",
        "ttl_policy",
        "unique_together",
        "version_field",
        "wait_for_replicas",
    }
)
#: Options of one class alone.
_NOT_INHERITED = ("abstract", "name")
#: What others call an option of ours that no likeness of the words tells.
_CALLED_ELSEWHERE: Final = {
    "constraints": "unique_together",
    "db_table": "name",
    "get_latest_by": "order_by",
    "index_together": "indexes",
    "key_prefix": "name",
    "model_key_prefix": "name",
}
#: Part of every key, so nothing that separates keys or means something in a pattern.
_RECORD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def inherited_settings(cls: Any) -> dict[str, Any]:
    """The options of the bases' `Meta`, of plain classes too, except those of one class alone."""
    settings: dict[str, Any] = {}
    bases: Sequence[type] = cls.__mro__[1:]
    for base in reversed(bases):
        meta: Any = vars(base).get("Meta")
        if "_settings" in vars(base):
            settings.update(vars(base)["_settings"])
        elif isinstance(meta, type):
            settings.update(own_settings(base.__name__, meta, settings))
    for name in _NOT_INHERITED:
        settings.pop(name, None)
    return settings


def own_settings(model_name: str, meta: type, inherited: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one `Meta` class. Tells of those that there are not."""
    own = {name: getattr(meta, name) for name in dir(meta) if not name.startswith("_")}
    strict = _checked_strict(model_name, own.get("strict", inherited.get("strict")))
    for problem in _without_effect(meta, own):
        tell(f"{model_name}.Meta.{problem}", refuse=is_strict(strict))
    if "ordering" in own:
        if "order_by" in own:
            raise ModelException(
                f"{model_name}.Meta has order_by and ordering, which mean the same: leave one out"
            )
        own["order_by"] = _from_ordering(model_name, own.pop("ordering"))
    return own


def _without_effect(meta: type, own: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of lines in a `Meta` class that say nothing to us."""
    for name in own.keys() - META_OPTIONS:
        meant = _CALLED_ELSEWHERE.get(name)
        hint = (
            f"did you mean {meant!r}?" if meant else closest(name, sorted(META_OPTIONS), "options")
        )
        yield f"{name}: there is no such option, so it has no effect; {hint}"
    for name in own_annotations(meta).keys() - own.keys():
        yield f"{name} has an annotation and no value, so it has no effect; write {name} = …"
    for name in vars(meta):
        if name.startswith("_") and name.lstrip("_") in META_OPTIONS:
            yield f"{name} has no effect; did you mean {name.lstrip('_')!r}?"
    if own.get("replica_timeout") is not None and own.get("wait_for_replicas") is None:
        yield "replica_timeout has no effect without wait_for_replicas"


def _from_ordering(model_name: str, ordering: object) -> object:
    """What Django's `ordering` is as `order_by`: one name, a tuple of several, or None."""
    if ordering is None or isinstance(ordering, str):
        return ordering
    if not is_list(ordering):
        raise ModelException(
            f"{model_name}.Meta.ordering must be a list or tuple of field names, '-' in front for "
            f"descending, got {describe(ordering)}"
        )
    names = tuple(ordering)
    return names[0] if len(names) == 1 else names or None


def _checked_strict(model_name: str, strict: object) -> bool | None:
    if strict is None or isinstance(strict, bool):
        return strict
    raise ModelException(f"{model_name}.Meta.strict must be True or False, got {strict!r}")


def checked_abstract(model_name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a class has no records of its own."""
    abstract: object = settings.get("abstract", False)
    if abstract is None or (isinstance(abstract, int) and abstract in (0, 1)):
        return bool(abstract)
    raise ModelException(f"{model_name}.Meta.abstract must be True or False, got {abstract!r}")


def record_name(class_name: str, settings: Mapping[str, Any]) -> str:
    """The name under which a class keeps its records: `Meta.name`, or that of the class."""
    name: object = settings.get("name")
    if name is None:
        return class_name
    if not isinstance(name, str) or not _RECORD_NAME.fullmatch(name):
        raise ModelException(
            f"{class_name}.Meta.name must be a text of letters, digits, '_', '.' and '-' that "
            f"begins with a letter or '_' (it is part of every key), got {describe(name)}"
        )
    return name


def check_meta(model_name: str, options: ModelOptions, meta: Mapping[str, Any]) -> None:
    """Take over the options of a `Meta` class. Raises ModelException for wrong ones."""
    options.strict = _checked_strict(model_name, meta.get("strict"))
    _take_expiry(model_name, options, meta)
    options.wait = _checked_wait(model_name, meta)
    options.history = _checked_history(options, meta.get("history"))
    options.recall = _checked_recall(options, meta.get("recall"))
    options.isolation = _checked_isolation(options, meta.get("require_partition"))
    options.subject = _checked_subject(options, meta.get("subject"))
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
    _take_indexes(model_name, options, meta)
    _check_order_by(model_name, options)
    options.compile_indexes()
    check_sharding(options)


def _take_expiry(model_name: str, options: ModelOptions, meta: Mapping[str, Any]) -> None:
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


def _take_indexes(model_name: str, options: ModelOptions, meta: Mapping[str, Any]) -> None:
    if "indexes" in meta:
        options.indexes = _checked_indexes(model_name, meta["indexes"])
    if "unique_together" in meta:
        options.unique_together = _checked_unique_together(model_name, meta["unique_together"])
    for names, _ in options.indexes:
        for name in names:
            known_field(options.by_name, name, f"{model_name}.Meta.indexes")
    for names in options.unique_together:
        for name in names:
            known_field(options.by_name, name, f"{model_name}.Meta.unique_together")
        if (names, True) not in options.indexes:
            options.indexes = (*options.indexes, (names, True))


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


def _checked_isolation(options: ModelOptions, names: object) -> Isolation:
    label = f"{options.model_name}.Meta.require_partition"
    if names is None:
        return Isolation(options.model_name)
    given = [names] if isinstance(names, str) else names
    if not is_list(given) or not given:
        raise ModelException(
            f"{label} must be the name of a field, or a tuple of names, got {names!r}"
        )
    found = tuple(str(name) for name in given)
    for name in found:
        field = known_field(options.by_name, name, label)
        if name in options.list_names or name in options.geo_field_names:
            raise ModelException(
                f"{label}: {name!r} is a {type(field).__name__}, which no query can fix to a "
                "value; use a KeyField, an IndexedField or a StringField"
            )
        # Without a value a record would be of no partition, where no query could find it.
        field.null = False
    is_told_by_keys = options.key_field_names.issuperset(found)
    return Isolation(options.model_name, found, is_told_by_keys=is_told_by_keys)


def _checked_subject(options: ModelOptions, name: object) -> str | None:
    label = f"{options.model_name}.Meta.subject"
    if name is None or options.abstract:
        return None
    if not isinstance(name, str):
        raise ModelException(f"{label} must be the name of a field, got {name!r}")
    check_subject(options, [name], label)
    return name


def check_subject(options: ModelOptions, names: Iterable[str], label: str) -> None:
    """Raise ModelException for fields that cannot say whose a record is."""
    for name in names:
        field = known_field(options.by_name, name, label)
        if name not in options.hash_names or "content" in field.registries or field.prepares:
            raise ModelException(
                f"{label}: {name!r} is a {type(field).__name__}, whose values are not kept in the "
                "record as they are, so it cannot say whose a record is"
            )


def _check_order_by(model_name: str, options: ModelOptions) -> None:
    order_by: object = options.order_by
    if order_by is None:
        return
    several = cast("tuple[object, ...]", order_by) if isinstance(order_by, tuple) else (order_by,)
    for each in several:
        if not isinstance(each, str):
            raise ModelException(
                f"{model_name}.Meta.order_by must be a field name, '-' in front for descending, "
                f"or a tuple of several, got {order_by!r}"
            )
        name = each.removeprefix("-")
        if name not in options.by_name:
            raise ModelException(
                f"{model_name}.Meta.order_by: the field {name!r} does not exist; "
                f"fields are {', '.join(options.by_name)}"
            )


def _checked_unique_together(model_name: str, given: object) -> list[tuple[str, ...]]:
    """As Django takes it: several groups of field names, or one."""
    if given is None:
        return []
    label = f"{model_name}.Meta.unique_together"
    if not is_list(given):
        raise ModelException(f"{label} must be a tuple or list of groups of field names")
    groups: Sequence[Any] = given
    if groups and all(isinstance(each, str) for each in groups):
        groups = (groups,)
    found: list[tuple[str, ...]] = []
    for group in groups:
        if not is_list(group) or not group or not all(isinstance(each, str) for each in group):
            raise ModelException(f"{label}: {describe(group)} must be a tuple/list of field names")
        found.append(tuple(group))
    return list(dict.fromkeys(found))


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
