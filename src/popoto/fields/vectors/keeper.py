"""`VectorKeeper`: a place where the vectors of one field are kept, and searched from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from popoto.engine.batch import Batch
from popoto.engine.request import Plan
from popoto.exceptions import StoredDataError
from popoto.fields.keeping.entries import Entry
from popoto.fields.keeping.families import KeyFamily
from popoto.fields.keeping.forgetting import Subject, Trace
from popoto.fields.vectors.naming import VectorSet
from popoto.memory.vectors.arrays import Array
from popoto.memory.vectors.matrix import Matrix, View

__all__ = ["Described", "Place", "Seen", "VectorKeeper", "told_of"]


class Described(NamedTuple):
    """What vectors are made with."""

    model: str
    dimensions: int
    form: str

    def agrees(self, other: Described) -> bool:
        """Whether vectors of both can be compared, as far as the model's name is told."""
        return self[1:] == other[1:] and (
            not self.model or not other.model or self.model == other.model
        )


def told_of(key: str, reply: Sequence[bytes | None]) -> Described | None:
    """What a note says of the vectors beside it; None where there are none."""
    model, dimensions, form = reply
    if dimensions is None:
        return None
    try:
        return Described((model or b"").decode(), int(dimensions), (form or b"float32").decode())
    except ValueError as error:
        raise StoredDataError(
            f"the key {key!r} does not tell what vectors are made with ({error}). "
            "Delete it and the vectors beside it, and call reembed()."
        ) from error


@dataclass(frozen=True, slots=True)
class Place:
    """Whose vectors: those of a field of a model. `is_first`: of its embedding fields.

    `approximate_from`: from how many vectors on the nearest are looked up in an index; None: never.
    `is_named`: whether a vector set of the server names them, where it has such.
    """

    model_name: str
    field_name: str
    shard: str
    is_first: bool
    is_cached: bool
    approximate_from: int | None = None
    is_named: bool = False

    def is_approximate(self, count: int) -> bool:
        """Whether so many vectors are searched by an index of neighbours."""
        return self.approximate_from is not None and count >= self.approximate_from


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to search, at one moment. No view: no vectors at all."""

    matrix: Matrix
    view: View | None
    described: Described | None
    moment: int = 0

    @classmethod
    def of(cls, matrix: Matrix, described: Described | None, moment: int = 0) -> Self:
        """What a matrix has now."""
        return cls(matrix, matrix.view(), described, moment)

    def exported(self) -> tuple[Array | None, list[str]]:
        """All vectors as one matrix, and their keys."""
        return self.matrix.exported() or (None, [])


@dataclass(frozen=True, slots=True)
class Replaced:
    """What was kept of a record before: a vector, or none; and by what one knows what is now."""

    before: Array | None
    now: object


class VectorKeeper(ABC):
    """Keeps vectors for one field."""

    def __init__(self, place: Place, form: str) -> None:
        self.place = place
        self.form = form

    #: Whether something has to be told which keys records have left.
    follows: bool = False

    # Before and in a commit -----------------------------------------------------------------

    @abstractmethod
    def store(
        self, vectors: Mapping[str, Array], cleared: Sequence[str], described: Described | None
    ) -> Plan[Mapping[str, Replaced]]:
        """Keep what a commit is about to refer to, and drop what it is about to clear.

        What stood there before, by record key, where that is done before the commit.
        """

    def put_back(self, replaced: Mapping[str, Replaced]) -> Plan[None]:
        """Let records of which nothing was written have again what stood there."""
        yield from ()

    def unkept(self, keys: Sequence[str], dimensions: int) -> Plan[Sequence[str]]:
        """Of records whose text has not changed, those whose vector is not there any more."""
        return ()
        yield  # a plan, though it asks for nothing

    def put(self, batch: Batch, key: str, vector: Array, described: Described) -> None:  # noqa: B027 - not all have to
        """Queue that a record has a vector."""

    def take(self, batch: Batch, key: str) -> None:  # noqa: B027 - not all have to
        """Queue that a record has none."""

    def entries(self, key: str) -> tuple[Entry, ...]:
        """What a record has on the server."""
        return ()

    def families(self) -> tuple[KeyFamily, ...]:
        """Where that stands."""
        return ()

    def look(self, batch: Batch, key: str) -> None:  # noqa: B027 - not all have to
        """Queue the question whether a record has a vector, where the server can tell."""

    # After it ------------------------------------------------------------------------------

    def follow(self, moved: Sequence[tuple[str, str | None]]) -> Plan[None]:
        """Records have left their first keys for the second ones, or for good."""
        yield from ()

    def precede(self, moving: Sequence[tuple[str, str]]) -> Plan[None]:
        """Records may leave their first keys for the second ones, and need their vectors there."""
        yield from ()

    @abstractmethod
    def forgetting(self, subject: Subject) -> Plan[Trace]:
        """Forget the vectors of erased records, also in the memory of other processes."""

    # Searching and catching up -------------------------------------------------------------

    @abstractmethod
    def seen(self) -> Plan[Seen]:
        """The vectors as they are now."""

    def at_hand(self) -> Seen | None:
        """The vectors as this process knew them last, where it has to ask for what is new."""
        return None

    @property
    def vector_set(self) -> VectorSet | None:
        """What names the nearest on the server, where that is wanted."""
        return None

    def forget(self, keys: Iterable[str], seen: Seen) -> None:  # noqa: B027 - not all have to
        """Forget records that a search has found gone."""

    def collect(self, expected: set[str], min_age: float) -> Plan[int]:
        """Remove vectors that belong to no record; how many."""
        return 0
        yield  # a plan, though it asks for nothing

    @abstractmethod
    def lacking(self, keys: Sequence[str]) -> Plan[list[str]]:
        """Those of these records that have no vector."""

    @abstractmethod
    def described(self) -> Plan[Described | None]:
        """What the vectors are made with; None where that is not known."""

    @abstractmethod
    def begin_anew(self, owner: Any, options: Any, described: Described) -> Plan[None]:
        """Drop all vectors; those to come are made with this. `owner`: the model, `options`: those
        of the shard.
        """
