"""What a step came to, in a form that both sides have in common, and where two of them differ."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from popoto import Model
from popoto.models.query_builder import QueryBuilder

from .allowed import same_number
from .side import Side


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What something came to on one side."""

    answer: Any
    #: the class of an exception, and what it says
    error: tuple[str, str] | None
    warnings: list[str]


def outcome(side: Side, deed: Callable[[Side], Any]) -> Outcome:
    """Do it on one side. Any exception is an outcome: the other side has to have the same."""
    plain = Plain(side.models.prefix)
    side.called.clear()
    answer, error = None, None
    with side.at_work(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            answer = plain.form(deed(side))
        except Exception as raised:  # noqa: BLE001 - whatever it is
            error = type(raised).__name__, plain.text(str(raised))
    return Outcome(answer, error, sorted(plain.text(str(each.message)) for each in warned))


class Plain:
    """Answers without what belongs to one side: names of models, classes of containers."""

    def __init__(self, prefix: str) -> None:
        self._name = re.compile(rf"\b{prefix}(?=[A-Z][a-z])")

    def text(self, found: str) -> str:
        return self._name.sub("", found)

    def form(self, found: Any) -> Any:
        if found is None or isinstance(found, (bool, int, float)):
            return found
        if isinstance(found, str):
            return self.text(found)
        if isinstance(found, bytes):
            return self.text(found.decode("utf-8", "replace"))
        if isinstance(found, Model):
            return self._record(found)
        if isinstance(found, type):
            return self.text(found.__name__)
        if isinstance(found, Mapping):
            return {str(self.form(name)): self.form(value) for name, value in found.items()}
        if isinstance(found, (set, frozenset)):
            return sorted(map(self.form, found), key=repr)
        if dataclasses.is_dataclass(found):
            return {
                each.name: self.form(getattr(found, each.name))
                for each in dataclasses.fields(found)
            }
        if hasattr(found, "tolist"):
            return self.form(found.tolist())
        if isinstance(found, QueryBuilder):
            return self.form(found.all())
        if isinstance(found, (Sequence, Iterator)):
            return [self.form(each) for each in found]
        return self.text(repr(found)) if type(found).__module__.startswith("popoto") else found

    def _record(self, record: Any) -> dict[str, Any]:
        """Its key, the fields that are loaded, and the scores that it bears."""
        state = vars(record)
        values = {
            name: value.pk if isinstance(value := getattr(record, name), Model) else value
            for name in record._meta.fields
            if name in state
        }
        scores = {
            name: value for name, value in state.items() if name.endswith(("_score", "_distance"))
        }
        return {"": self.text(record.pk), **self.form(values), **self.form(scores)}


def difference(apart: Any, whole: Any, place: str = "") -> str | None:
    """Where two plain answers differ first; None where they are the same."""
    if isinstance(apart, Mapping) and isinstance(whole, Mapping):
        for name in sorted(apart.keys() | whole.keys()):
            found = difference(
                apart.get(name, ABSENT), whole.get(name, ABSENT), f"{place}[{name!r}]"
            )
            if found is not None:
                return found
        return None
    if isinstance(apart, list) and isinstance(whole, list) and len(apart) == len(whole):
        for number, (one, other) in enumerate(zip(apart, whole, strict=True)):
            found = difference(one, other, f"{place}[{number}]")
            if found is not None:
                return found
        return None
    if isinstance(apart, float) and isinstance(whole, float) and same_number(apart, whole):
        return None
    if type(apart) is type(whole) and apart == whole:
        return None
    return f"answer{place}:\n  in shards: {apart!r}\n  as a whole: {whole!r}"


class Absent:
    def __repr__(self) -> str:
        return "(nothing)"


ABSENT = Absent()
