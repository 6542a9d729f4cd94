"""`erase`: all that this process's models hold of one subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.exceptions import ModelException
from popoto.models.base import Model
from popoto.models.record.names_of_models import known_models
from popoto.models.upkeep.erasing import erasing
from popoto.models.upkeep.erasure import Erasure

__all__ = ["async_erase", "erase"]


def erase(
    subject: Any, models: Iterable[type[Model]] | None = None, *, batch_size: int = 1000
) -> dict[str, Erasure]:
    """Remove everything that is held of a subject; by model, the report of `Model.erase`.

    Of the models that say in ``Meta.subject`` which field tells whose a record is: all of them that
    this process has defined, or those that are given. Raises ModelException for a given model that
    does not say it, and where no model does, with nothing removed.
    """
    return run(_erased(subject, models, batch_size))


async def async_erase(
    subject: Any, models: Iterable[type[Model]] | None = None, *, batch_size: int = 1000
) -> dict[str, Erasure]:
    """`erase` for asyncio."""
    return await arun(_erased(subject, models, batch_size))


def _erased(
    subject: Any, models: Iterable[type[Model]] | None, batch_size: int
) -> Plan[dict[str, Erasure]]:
    meant: list[Any] = list(models) if models is not None else declaring()
    for model in meant:
        if model._meta.subject is None:
            raise ModelException(
                f"{model.__name__} does not say whose its records are: name the field in "
                f"Meta.subject, or call {model.__name__}.erase(field=value); nothing was removed"
            )
    if not meant:
        raise ModelException(
            "no model says in Meta.subject which field tells whose its records are; nothing was "
            "removed"
        )
    # All are checked before the first is touched.
    plans = {
        model._meta.model_name: erasing(model, {model._meta.subject: subject}, batch_size)
        for model in meant
    }
    found: dict[str, Erasure] = {}
    for name, plan in plans.items():
        found[name] = yield from plan
    return found


def declaring() -> list[Any]:
    """The models of this process that say whose their records are."""
    known: list[Any] = known_models()
    return [model for model in known if model._meta.subject is not None]
