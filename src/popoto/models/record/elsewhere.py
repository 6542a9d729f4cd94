"""Names that queries and model classes have elsewhere, and what is written here instead."""

from __future__ import annotations

from typing import Any, Final

from popoto._unknown_names import missing_attribute
from popoto.models.record.options import ModelOptions

__all__ = ["no_attribute", "no_attribute_of_class"]

_FILTER: Final = "filter(field=value), or filter(Model.field > 3)"
_ORDER: Final = "order_by('-field')"
_LIST: Final = "all(), list(query) or [:]"
_SLICE: Final = "limit(10).offset(20), or a slice such as query[20:30]"
_COUNT: Final = "count(), or len(query)"
_ONE: Final = "get(field=value), or filter(…).first()"
_PLAIN: Final = "sum(), avg(), min(), max() and group_count() of a field"
_SET: Final = "Q objects, combined with & and |, in one filter()"

#: What queries of Django, SQLAlchemy, redis-om, peewee, mongoengine and Tortoise have.
_OF_QUERIES: Final = {
    **dict.fromkeys(("where", "filter_by", "find", "search"), _FILTER),
    **dict.fromkeys(("sort", "sort_by", "order", "reverse"), _ORDER),
    **dict.fromkeys(("fetch", "execute", "to_list", "scalars", "find_all", "as_list"), _LIST),
    **dict.fromkeys(("skip", "take", "slice", "page", "paginate", "top"), _SLICE),
    **dict.fromkeys(("latest", "earliest"), "order_by('-field').first()"),
    **dict.fromkeys(("one", "one_or_none", "find_one", "get_or_none", "get_or_404"), _ONE),
    **dict.fromkeys(("aggregate", "annotate", "group_by", "having"), _PLAIN),
    **dict.fromkeys(("union", "intersection", "difference", "or_", "and_", "not_"), _SET),
    **dict.fromkeys(("len", "size", "length", "total"), _COUNT),
    "in_bulk": "get_many(keys)",
    "is_empty": "exists(), or bool(query)",
    "distinct": "group_count('field'), which has each value once",
    "defer": "only('field', …), with the fields that are wanted",
    "join": "select_related('field')",
    "none": "filter(pk__in=[])",
    "scalar": "values_list('field', flat=True).first()",
    "select": "values('field'), or only('field')",
}
#: What is done by the class, with records.
_BY_THE_CLASS: Final = frozenset(
    {
        "bulk_create",
        "bulk_delete",
        "bulk_update",
        "create",
        "delete_all",
        "get_or_create",
        "load",
        "rebuild_indexes",
        "update_or_create",
    }
)


def no_attribute(query: Any, name: str, options: ModelOptions) -> AttributeError:
    """The error for a name that a query does not have, with what to write instead."""
    model = options.model_name
    if name.removeprefix("async_") in _BY_THE_CLASS:
        remedy = f"{model}.{name}(…) does it"
    elif name in _OF_QUERIES:
        remedy = f"here it is {_OF_QUERIES[name]}"
    elif twin := _twin(query.__class__, name):
        remedy = f"here it is {twin}()"
    elif name in options.by_name:
        remedy = (
            "it is a field of its records: take one with first() or get(…), or "
            f"values_list({name!r}, flat=True)"
        )
    elif name in ("save", "add", "insert"):
        remedy = f"a record is saved by itself, {model}.create(…) or record.save()"
    else:
        remedy = ""
    return missing_attribute(query, name, remedy)


def no_attribute_of_class(model: Any, name: str) -> AttributeError:
    """The same of a model class. What a query has is at ``Model.query``."""
    # A class that models are derived from has no query, and no fields.
    is_model = name != "query" and hasattr(model, "_meta")
    if is_model and name == "Meta":
        remedy = "options are inherited by themselves: write class Meta: without a base"
        return missing_attribute(model, name, remedy)
    # An abstract one has nobody to ask.
    is_model = is_model and not model._meta.abstract
    query: object = model.query if is_model else None
    if is_model and (twin := _twin(model, name)):
        remedy = f"here it is {model.__name__}.{twin}()"
    elif is_model and hasattr(type(query), name):
        remedy = f"{model.__name__}.query.{name} is there"
    elif is_model and name in _OF_QUERIES:
        remedy = f"here it is, of {model.__name__}.query, {_OF_QUERIES[name]}"
    else:
        remedy = ""
    return missing_attribute(model, name, remedy)


def _twin(kind: Any, name: str) -> str:
    """The asyncio twin of a method that Django calls `aget`, if the class has it; else ""."""
    twin = f"async_{name[1:]}"
    has_it = name.startswith("a") and any(twin in vars(base) for base in kind.__mro__)
    return twin if has_it else ""
