"""What an embedding field does with all vectors of a model: have them in memory, collect files."""

from __future__ import annotations

from typing import Any

from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.fields.vectors.housekeeping import (
    collecting,
    directory_of,
    loading,
    nothing,
    prepared,
)
from popoto.memory.vectors.arrays import HAS_NUMPY, Array

__all__ = ["VectorsOfModels"]


class VectorsOfModels:
    """Class methods of `EmbeddingField` that are about a whole model."""

    # Searching ------------------------------------------------------------------

    @classmethod
    def load_embeddings(cls, model_class: Any) -> tuple[Array | None, list[str]]:
        """All vectors of a model as unit vectors, one a row, and their record keys.

        Those of its first embedding field; ``(None, [])`` where there are none. Reads what has
        changed since they were last asked for. Nobody looks whether the records are still there:
        one that has expired, or was deleted by another program, is among them until its vector is
        collected.
        """
        return run(_loaded(model_class))

    @classmethod
    async def async_load_embeddings(cls, model_class: Any) -> tuple[Array | None, list[str]]:
        """`load_embeddings` for asyncio."""
        return await arun(_loaded(model_class))

    @classmethod
    def prepare_search(cls, model_class: Any) -> int:
        """Have all vectors of a model in memory, and its index of neighbours, before one searches.

        Those of its first embedding field; how many there are. Reads what has changed since they
        were last asked for, 1,000 in a round trip, and takes all of that into the index, if the
        field has one (`search`): some tenths of a millisecond for each. With ``search="server"`` a
        vector set takes them over, and nothing is read: 16 in a round trip.
        """
        return run(prepared(model_class))

    @classmethod
    async def async_prepare_search(cls, model_class: Any) -> int:
        """`prepare_search` for asyncio: the index grows in a worker thread, turn by turn."""
        return await arun(prepared(model_class))

    # Housekeeping ---------------------------------------------------------------

    @classmethod
    def garbage_collect(cls, model_class: Any, min_age_seconds: float = 300) -> int:
        """Remove files of vectors that belong to no record; the number of files removed.

        Only for a class with ``__embedding_garbage_collect__ = True``: the directory must belong to
        one database, the one that popoto is connected to. Younger files stay, as a save writes
        the vector before the record. Vectors on the server need no collecting.
        """
        return run(collecting(model_class, min_age_seconds))

    @classmethod
    async def async_garbage_collect(cls, model_class: Any, min_age_seconds: float = 300) -> int:
        """`garbage_collect` for asyncio."""
        return await arun(collecting(model_class, min_age_seconds))

    @classmethod
    def sweep_stale_tempfiles(cls, model_class: Any, max_age_seconds: float = 3600) -> int:
        """Remove what killed writers have left half-written; the number of files removed."""
        return directory_of(model_class._meta.model_name).sweep(max_age_seconds)


def _loaded(model_class: Any) -> Plan[tuple[Array | None, list[str]]]:
    model_class._meta.isolation.check_at_large(
        "load_embeddings()", "query.filter(…).semantic_search(…)"
    )
    return loading(model_class) if HAS_NUMPY else nothing()
