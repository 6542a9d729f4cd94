"""The way back along relationships: what records have of those that refer to them.

`Player.team = Relationship(Team)` gives records of `Team` an attribute `players`. Models come and
go (in notebooks, in tests), so what a class is given knows relationships only while they live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from weakref import ref

from popoto.exceptions import ModelException
from popoto.fields.field import Field
from popoto.fields.relationship import Relationship
from popoto.models.record.known_models import is_latest, is_same, note_definition


class Reverse:
    """On a class itself; on a record the query for those that refer to it by a relationship.

    An instance may have a value of its own under the name, as under any other.
    """

    def __init__(self, name: str, fields: Iterable[Field[Any]]) -> None:
        self.name = name
        self._fields = [ref(field) for field in fields]

    @property
    def fields(self) -> list[Field[Any]]:
        """The relationships of models that are still there. Several: it is not clear which."""
        found = [field for each in self._fields if (field := each()) is not None]
        return [field for field in found if _is_current(field)]

    @property
    def label(self) -> str:
        return " and ".join(field.label for field in self.fields)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        fields = self.fields
        if len(fields) != 1:
            raise AttributeError(
                f"{type(instance).__name__} has no attribute {self.name!r}, since "
                + (
                    f"{self.label} would both be meant: give one a related_name"
                    if fields
                    else "the model that referred to it is gone"
                )
            )
        return fields[0].referrers(instance)

    def __repr__(self) -> str:
        return f"<Reverse {self.name!r} of {self.label}>"


class NamedReverse(Reverse):
    """One that was asked for by its name, which nothing else may have."""

    def __set__(self, instance: object, value: object) -> None:
        raise ModelException(
            f"{type(instance).__name__}.{self.name} are the records that refer to this one: set "
            f"{self.label} of each and save it"
        )


def _is_current(field: Field[Any]) -> bool:
    """Whether a field is one of the latest definition of a model that has records.

    A class that was refused has no options, and lives as long as somebody keeps the error.
    """
    owner = field.owner
    if owner is None or "_meta" not in vars(owner):
        return False
    return not owner._meta.abstract and is_latest(owner)


def relationships_to(model: Any) -> list[Field[Any]]:
    """The relationships by which records of any model refer to those of this one."""
    models = [base for base in model.__mro__ if "_meta" in vars(base)]
    return [
        field
        for field in Relationship.all()
        if _is_current(field)
        and (target := field.known_target) is not None
        and any(is_same(target, each) for each in models)
    ]


def attach_all(model: Any) -> None:
    """Give a new class, and those that it refers to, the way back.

    Raises ModelException for a name that was asked for and is not free.
    """
    for base in model.__mro__[1:]:
        for name, value in _attributes(base).items():
            fields = value.fields if isinstance(value, NamedReverse) else ()
            if fields and not isinstance(_attributes(model).get(name, value), Reverse):
                raise _clash(fields[0], name, model)
    given: list[_Given] = []
    try:
        for field in model._meta.by_name.values():
            _give(field, field.known_target, given)
        for field in relationships_to(model):
            if is_same(field.known_target, model):
                _give(field, model, given)
    except ModelException:
        for target, name, former in reversed(given):
            if former is None:
                delattr(target, name)
            else:
                setattr(target, name, former)
        raise


def attach(field: Field[Any]) -> None:
    """Give the model that a field refers to, if it refers to one that is there, the way back."""
    note_definition()
    _give(field, field.known_target, [])


class _Given(NamedTuple):
    """A model that was given a way back, and what it had in its place."""

    target: Any
    name: str
    former: object


def _give(field: Field[Any], target: Any, given: list[_Given]) -> None:
    name = field.reverse_name
    if name is None or target is None or not _is_current(field):
        return
    found = next(
        (_attributes(base)[name] for base in target.__mro__ if name in _attributes(base)), None
    )
    made = _made(field, name, target, found)
    if made is not None:
        given.append(_Given(target, name, _attributes(target).get(name)))
        setattr(target, name, made)


def _made(field: Field[Any], name: str, target: Any, found: object) -> Reverse | None:
    """The way back, where something was found in its place; None where that stays."""
    is_named = field.names_reverse
    if found is None:
        others: list[Field[Any]] = []
    elif isinstance(found, Reverse):
        others = [each for each in found.fields if each is not field]
    elif is_named:
        raise _clash(field, name, target)
    else:
        return None
    if any(each.owner in field.owner.__mro__ and each.name == field.name for each in others):
        # Inherited by a model whose base has the name for its own records.
        return None
    if others and isinstance(found, NamedReverse):
        namesake = others[0].owner.__name__ == field.owner.__name__
        if is_named and not (namesake and target.__module__ != field.owner.__module__):
            raise _clash(field, name, target)
        # Of two models of one name that name a third as text, each will find that of its module.
        return None
    return NamedReverse(name, [field]) if is_named else Reverse(name, [*others, field])


def check_free(model: Any, name: str) -> None:
    """Raise ModelException for a name by which a relationship was promised the way back."""
    found = getattr(model, name, None)
    if isinstance(found, NamedReverse) and found.fields:
        raise _clash(found.fields[0], name, model)


def _attributes(cls: type) -> Mapping[str, object]:
    """What a class itself has, and not its bases."""
    return vars(cls)


def _clash(field: Field[Any], name: str, target: Any) -> ModelException:
    return ModelException(
        f"{field.label}: related_name={name!r} is not free on {target.__name__}, which has a "
        "field, a method or another relationship of that name; choose another one (with %(class)s "
        "in it, each model that inherits the field has its own), or '+' for none"
    )
