"""Settings of an assembler that name what there is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from popoto._unknown_names import closest, is_strict, tell
from popoto.models.record.options import ModelOptions
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


def _unknown_weights(options: ModelOptions, weights: Mapping[str, float]) -> Iterator[str]:
    known = [*options.by_name, *_SIGNALS]
    for name in weights:
        if name not in known:
            yield (
                f"ContextAssembler({options.model_name}, score_weights=…): {options.model_name} "
                f"has no {name!r}; {closest(str(name), options.by_name, 'fields', _SIGNALS)}"
            )
