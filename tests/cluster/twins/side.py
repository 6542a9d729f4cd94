"""One side of the twins: its models, where their records are, and how methods are called there."""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from popoto import Model, clock, redis_db, transaction
from popoto.cli import main
from popoto.engine.keys import shard_prefix
from popoto.models.query import Query
from popoto.models.query_builder import QueryBuilder
from popoto.stores.default import set_default_store
from tests.driver import Api

from . import families
from .families import MODELS, Family

#: The moment at which each program begins.
NOW = 1_700_000_000.0


class Side:
    """Calls what both sides call, each with its own models, and notes down what it has called."""

    def __init__(self, models: Family, url: str, calls: Api, files: Path) -> None:
        self.models = models
        self.url = url
        self.files = files
        self.moment = NOW
        #: what was called in this step, to be read by people
        self.called: list[str] = []
        self._calls = calls
        self._names = itertools.count()

    @property
    def is_async(self) -> bool:
        return self._calls.is_async

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Within the block popoto talks to this side's server, at this side's moment."""
        set_default_store(None)
        try:
            with (
                mock.patch.dict(os.environ, POPOTO_CONTENT_PATH=str(self.files)),
                redis_db.using(self.url),
                clock.using(lambda: self.moment),
                mock.patch("uuid.uuid4", self._next_name),
            ):
                yield
        finally:
            set_default_store(None)

    def _next_name(self) -> uuid.UUID:
        return uuid.UUID(int=next(self._names))

    # Calling ------------------------------------------------------------------------------

    def api(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A method of a model, a record or a query, or its asyncio twin."""
        owner = getattr(method, "__self__", None)
        self._note(f"{named(owner)}.{method.__name__}", arguments, options)
        return self._calls(method, *arguments, **options)

    def of(self, kind: Any, name: str, *arguments: Any, **options: Any) -> Any:
        """A static method of a class, or its asyncio twin."""
        self._note(f"{named(kind)}.{name}", arguments, options)
        if not self.is_async:
            return getattr(kind, name)(*arguments, **options)
        return self._calls.run(getattr(kind, f"async_{name}")(*arguments, **options))

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A function of a module, or its asyncio twin."""
        self._note(function.__name__, arguments, options)
        if not self.is_async:
            return function(*arguments, **options)
        module = __import__(function.__module__, fromlist=["_"])
        twin = getattr(module, f"async_{function.__name__}")
        return self._calls.run(twin(*arguments, **options))

    def transaction(self, fill: Callable[[Any], None]) -> Any:
        """Commit what `fill` puts into a transaction."""
        changes = transaction()
        try:
            fill(changes)
        except Exception:
            changes.discard()
            raise
        return self.api(changes.commit)

    def run(self, coroutine: Any) -> Any:
        return self._calls.run(coroutine)

    # By other means than the library's -----------------------------------------------------

    def command(self, name: str, model: Any, *arguments: str) -> int:
        """What a command line about one of the models ends with."""
        family = "APART" if self.models is families.APART else "WHOLE"
        which = next(each for each in MODELS if self.models.of(each) is model)
        self._note(f"popoto {name}", (which, *arguments), {})
        place = f"{families.__name__}:{family}.{which}"
        return main([name, place, *arguments, "--url", self.url, "--quiet"])

    def lose(self, model: Any, key: str) -> None:
        """Delete the key of a record, and nothing else."""
        self._note("DEL", (key,), {})
        connection = redis_db.connection()
        prefix = shard_prefix(model._meta.at(key).shard, is_cluster=connection.is_cluster)
        connection.call(("DEL", f"{prefix}{key}"), repeatable=False)

    def _note(self, what: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        given = [shown(each) for each in arguments]
        given += [f"{name}={shown(value)}" for name, value in options.items()]
        self.called.append(f"{what}({', '.join(given)})")


def named(owner: Any) -> str:
    """What something that is called belongs to."""
    if isinstance(owner, type):
        return owner.__name__
    if isinstance(owner, Query):
        return f"{owner.model_class.__name__}.query"
    return shown(owner) if isinstance(owner, (Model, QueryBuilder)) else type(owner).__name__


def shown(value: Any) -> str:
    """A value in a call. A record in the midst of one may have no key yet."""
    if isinstance(value, Model):
        values = {name: vars(value)[name] for name in value._meta.fields if name in vars(value)}
        return f"{type(value).__name__}({', '.join(f'{n}={v!r}' for n, v in values.items() if v)})"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)
