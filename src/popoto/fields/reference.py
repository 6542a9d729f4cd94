"""`Reference`: a record's key as text, which stands for the record and reads it when asked."""

from __future__ import annotations

from typing import Any, Protocol, Self, TypeGuard

from popoto.exceptions import MissingTargetError, ModelException
from popoto.fields.keeping.naming import model_of_key

#: What it knows of the record without reading it.
_OWN = frozenset({"_meta", "_redis_key", "pk", "_is_keyless"})


class Referring(Protocol):
    """The relationship, as far as a reference needs it."""

    name: str
    owner: Any

    @property
    def model(self) -> Any: ...
    @property
    def label(self) -> str: ...
    def read(self, key: str) -> Any: ...


class Reference(str):
    """The value of a relationship in results of `filter` and `all`.

    It is the key, as in popoto 1.6: a text that equals it, prints as it and is stored as it.
    And it is the record: an instance of the related model, for `isinstance`, that equals it and
    has its attributes and methods. The first of them that is asked for reads the record, which
    stays here. Where the model has an attribute of the name of a method of texts, it wins.
    """

    __slots__ = ("_field", "_record")

    def __new__(cls, field: Referring, key: str) -> Self:
        made = super().__new__(cls, key)
        object.__setattr__(made, "_field", field)
        object.__setattr__(made, "_record", None)
        return made

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return _model_of(self) or str
        if name.startswith("__"):
            return super().__getattribute__(name)
        model = _model_of(self)
        if name in _OWN and model is not None:
            return _own(self, model, name)
        if hasattr(str, name) and not hasattr(model, name):
            return super().__getattribute__(name)
        return getattr(record_of(self), name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(record_of(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(record_of(self), name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(str), *dir(_model_of(self))})

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        return other == self if hasattr(other, "_meta") else False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        field = _field_of(self)
        return _restored, (field.owner, field.name, str(self))


def loaded(reference: Reference) -> Any:
    """The record that a reference stands for, read where it was not yet; None: it is missing."""
    record = object.__getattribute__(reference, "_record")
    if record is None:
        record = _field_of(reference).read(str(reference))
        object.__setattr__(reference, "_record", record)
    return record


def record_of(reference: Reference) -> Any:
    """As `loaded`. Raises MissingTargetError for a missing record."""
    record = loaded(reference)
    if record is None:
        raise MissingTargetError(
            f"{_field_of(reference).label} refers to {str(reference)!r}, which is not stored "
            "(deleted, expired, or never saved)"
        )
    return record


def is_read(reference: Reference) -> bool:
    """Whether the record was read already."""
    return object.__getattribute__(reference, "_record") is not None


def is_reference(value: object) -> TypeGuard[Reference]:
    """Whether a value is a key that stands for a record, and not a record."""
    return type(value) is Reference


def _field_of(reference: Reference) -> Referring:
    field: Referring = object.__getattribute__(reference, "_field")
    return field


def _model_of(reference: Reference) -> Any:
    """The model of the record; None while a related one that is named as text is not defined."""
    try:
        model = _field_of(reference).model
    except ModelException:
        return None
    return model_of_key(model, str(reference)) or model


def _own(reference: Reference, model: Any, name: str) -> Any:
    if name == "_meta":
        return model._meta
    return False if name == "_is_keyless" else str(reference)


def _restored(owner: Any, name: str, key: str) -> Reference:
    return Reference(owner._meta.by_name[name], key)
