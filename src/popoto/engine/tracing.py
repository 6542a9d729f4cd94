"""A span of OpenTelemetry for every operation, where its API is installed (`popoto[otel]`).

A span has the name of the operation and its model ("save Restaurant") and says how many
requests (round trips) and commands the operation took. Without the API the runners stay as
they are; without a configured SDK an operation costs 0.2 us more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from popoto._version import __version__
from popoto.engine.keys import model_of_shard
from popoto.engine.request import Plan, Request

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

try:
    from opentelemetry import trace
except ImportError:
    trace = None  # type: ignore[assignment]  # mypy has modules stay modules

T = TypeVar("T")
Runner = TypeVar("Runner", bound=Callable[..., Any])

#: What users call the operations whose plans have other names.
_NAMES = {"all": "query", "results": "query"}

#: Asked for at import, which also sets up the provider that the environment names, if any.
_tracer: Tracer | None = None if trace is None else trace.get_tracer("popoto", __version__)

#: The API's own note of the provider that was set up. To ask for it by `get_tracer_provider`
#: costs some 5 us while there is none: the environment is read again each time.
_PROVIDER = "_TRACER_PROVIDER"
_KNOWS_PROVIDER = hasattr(trace, _PROVIDER)


def traced(run: Runner) -> Runner:
    """The sync runner, with a span around each operation if OpenTelemetry is installed."""
    if _tracer is None:
        return run

    @functools.wraps(run)
    def run_in_span(plan: Plan[Any]) -> Any:
        if not _is_configured():
            return run(plan)
        with _span(plan) as span:
            return run(plan if span is None else _watched(plan, span))

    return cast("Runner", run_in_span)


def async_traced(arun: Runner) -> Runner:
    """As `traced`, for the asyncio runner."""
    if _tracer is None:
        return arun

    @functools.wraps(arun)
    async def arun_in_span(plan: Plan[Any]) -> Any:
        if not _is_configured():
            return await arun(plan)
        with _span(plan) as span:
            return await arun(plan if span is None else _watched(plan, span))

    return cast("Runner", arun_in_span)


def _is_configured() -> bool:
    """Whether the application has set up a provider, without which nobody records spans."""
    if _KNOWS_PROVIDER:
        return getattr(trace, _PROVIDER) is not None
    return trace is not None and not isinstance(
        trace.get_tracer_provider(), trace.ProxyTracerProvider
    )


def _name_of(plan: Plan[Any]) -> str:
    name = str(getattr(plan, "__name__", "request")).strip("_")
    return _NAMES.get(name, name)


@contextmanager
def _span(plan: Plan[Any]) -> Generator[Span | None]:
    """The current span while the plan runs; None where nobody records it."""
    if _tracer is None or trace is None:
        yield None
        return
    span = _tracer.start_span(_name_of(plan), kind=trace.SpanKind.CLIENT)
    if not span.is_recording():
        yield None
        return
    with trace.use_span(span, end_on_exit=True):
        yield span


def _watched(plan: Plan[T], span: Span) -> Plan[T]:
    """The same plan, telling the span what it asks for."""
    name = _name_of(plan)
    span.set_attributes({"db.system.name": "redis", "db.operation.name": name})
    requests = commands = 0
    try:
        step = next(plan)
        while True:
            if isinstance(step, Request):
                if not requests:
                    model_name = model_of_shard(step.shard)
                    span.update_name(f"{name} {model_name}")
                    span.set_attribute("db.collection.name", model_name)
                requests += 1
                commands += len(step.commands)
            try:
                answer = yield step
            except BaseException as error:  # noqa: BLE001 - raised again inside the plan
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        span.set_attributes({"popoto.requests": requests, "popoto.commands": commands})
