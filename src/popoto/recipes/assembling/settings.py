"""Settings of an assembler that name what there is not, and what is of a wrong type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from popoto._unknown_names import closest, is_strict, tell
from popoto.exceptions import QueryException
from popoto.fields.describing import describe
from popoto.models.reading.ranking.asked import as_number, checked_number
from popoto.models.record.options import ModelOptions
from popoto.recipes.assembling.asked import checked_dict
from popoto.recipes.assembling.formats import FORMATS

#: Signals that are no fields; see `composite_score`.
_SIGNALS: Final = ("priority", "access_count", "access_score")


def tell_of_settings(model: Any, weights: Mapping[str, float], output_format: str) -> None:
    """Tell of weights that the model has nothing for, and of a format that there is not.

    Raises UnknownNameError where unknown names are refused.
    """
    options = getattr(model, "_meta", None)
    refuse = is_strict()
    if isinstance(options, ModelOptions):
        refuse = refuse if options.strict is None else options.strict
        for problem in _unknown_weights(options, weights):
            tell(problem, refuse=refuse)
    if output_format not in FORMATS:
        tell(
            f"ContextAssembler(output_format={output_format!r}): there is no such format, so the "
            f"text is structured; {closest(str(output_format), FORMATS, 'formats')}",
            refuse=refuse,
        )


def options_of(model: Any) -> ModelOptions:
    """The options of an assembler's model. Raises TypeError for what is no model class."""
    options = getattr(model, "_meta", None)
    if not isinstance(model, type) or not isinstance(options, ModelOptions):
        raise TypeError(f"ContextAssembler needs a model class, got {describe(model)}")
    return options


def checked_weights(options: ModelOptions, given: Any) -> dict[str, float]:
    """Finite numbers by name. Raises QueryException."""
    weights = checked_dict("score_weights", given, "{'relevance': 1.0}")
    for name, weight in weights.items():
        checked_number(options, f"the weight of {name!r}", weight)
    return weights


def checked_share(options: ModelOptions, what: str, given: Any) -> float:
    """A number from 0 to 1. Raises QueryException."""
    number = as_number(given)
    if not 0 <= number <= 1:
        raise QueryException(
            f"{options.model_name}: {what} must be a number from 0 to 1, got {describe(given)}"
        )
    return number


def checked_budget(options: ModelOptions, most: Any) -> None:
    """Raise QueryException for what is no number of tokens."""
    if checked_number(options, "max_tokens", most, infinite=True) < 0:
        raise QueryException(
            f"{options.model_name}: max_tokens must be 0 or more, or None for any number, got "
            f"{describe(most)}"
        )


def check_agent_field(options: ModelOptions, name: Any) -> None:
    """Raise QueryException for a field of agents that there is not.

    There may be none of the usual name: a model without agents has none.
    """
    if name not in (*options.by_name, "agent_id"):
        raise QueryException(
            f"ContextAssembler(agent_id_field={describe(name)}): {options.model_name} has no such "
            f"field; {closest(str(name), options.by_name, 'fields')}"
        )


def _unknown_weights(options: ModelOptions, weights: Mapping[str, float]) -> Iterator[str]:
    known = [*options.by_name, *_SIGNALS]
    for name in weights:
        if name not in known:
            yield (
                f"ContextAssembler({options.model_name}, score_weights=…): {options.model_name} "
                f"has no {name!r}; {closest(str(name), options.by_name, 'fields', _SIGNALS)}"
            )
