"""The models that there are, for relationships that name one as text, and for the way back.

Classes come and go: a notebook's cell defines one again and again, tests define theirs in
functions. So none is kept alive here, and the latest definition takes the place of former ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from popoto.models.record.names_of_models import source_of

#: By name; by module and name; by what makes it the same definition.
_models: WeakValueDictionary[Hashable, type] = WeakValueDictionary()


_times = count(1)
_moment = 0


def note_definition() -> None:
    """Take note that a model was defined, or a field of one."""
    global _moment  # noqa: PLW0603  # when what follows from all models was last of date
    _moment = next(_times)


def how_many_were_defined() -> int:
    """A number that is another one after each definition of a model or of a field."""
    return _moment


def find_model(name: str, module: str) -> Any:
    """The latest model of that name in this module, or anywhere; None where there is none."""
    return _models.get((module, name)) or _models.get(name)


def all_models() -> list[type]:
    """All models that there are, some of them several times."""
    return list(_models.values())


def take_note(model: Any) -> Callable[[], None]:
    """Let a new model be found; returns how to take that back."""
    names: tuple[Hashable, ...] = (
        model.__name__,
        (model.__module__, model.__name__),
        _definition(model),
    )
    former = {name: _models.get(name) for name in names}
    for name in names:
        _models[name] = model
    note_definition()

    def take_back() -> None:
        for name, before in former.items():
            if before is None:
                del _models[name]
            else:
                _models[name] = before

    return take_back


def is_latest(model: Any) -> bool:
    """Whether a class was not defined once more since."""
    return _models.get(_definition(model)) is model


def is_same(one: Any, other: Any) -> bool:
    """Whether two classes are definitions of one model, at the same place in the same file."""
    return one is other or _definition(one) == _definition(other)


def _definition(model: Any) -> tuple[str, str, str]:
    return source_of(model), model.__qualname__, model._meta.model_name
