"""`ContextAssembler`: which memories an agent is shown, within a budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from popoto._unknown_names import warn_caller
from popoto.engine.request import Plan
from popoto.engine.run import arun, run
from popoto.fields.constants import Defaults
from popoto.fields.describing import describe
from popoto.fields.given import flag_in
from popoto.models.reading.ranking.asked import checked_count, checked_number
from popoto.recipes.assembling.asked import Asked, checked_dict
from popoto.recipes.assembling.choosing import Budget, length_as_tokens, within
from popoto.recipes.assembling.effects import take_effect
from popoto.recipes.assembling.formats import (
    checked_content_field,
    format_content,
    format_natural,
    format_structured,
    format_xml,
    rendering,
)
from popoto.recipes.assembling.gathering import Gathered, gathered, probed
from popoto.recipes.assembling.gating import checked_gate
from popoto.recipes.assembling.quality import (
    FOK_WEIGHT_CUE_FAMILIARITY,
    FOK_WEIGHT_PARTIAL_RETRIEVAL,
    FOK_WEIGHT_SUBTHRESHOLD_ACTIVATION,
    Cue,
    Measuring,
    RetrievalQuality,
    Yardstick,
    measured,
)
from popoto.recipes.assembling.retrieving import mode_of, searched_by
from popoto.recipes.assembling.settings import (
    check_agent_field,
    checked_budget,
    checked_share,
    checked_weights,
    options_of,
    tell_of_settings,
)
from popoto.recipes.assembling.traversing import check_traversed

__all__ = [
    "COMPETITIVE_SUPPRESSION_SIGNAL",
    "DEFAULT_MAX_ITEMS",
    "DEFAULT_PROPAGATION_DEPTH",
    "DEFAULT_SURFACING_THRESHOLD",
    "FOK_WEIGHT_CUE_FAMILIARITY",
    "FOK_WEIGHT_PARTIAL_RETRIEVAL",
    "FOK_WEIGHT_SUBTHRESHOLD_ACTIVATION",
    "AssemblyResult",
    "ContextAssembler",
    "RetrievalQuality",
    "format_content",
    "format_natural",
    "format_structured",
    "format_xml",
]

logger = logging.getLogger("POPOTO.ContextAssembler")

COMPETITIVE_SUPPRESSION_SIGNAL: Final = Defaults.COMPETITIVE_SUPPRESSION_SIGNAL
DEFAULT_SURFACING_THRESHOLD: Final = Defaults.DEFAULT_SURFACING_THRESHOLD
DEFAULT_MAX_ITEMS: Final = 10
DEFAULT_PROPAGATION_DEPTH: Final = 2


@dataclass
class AssemblyResult:
    """What is shown: the records in order, those among them that no cue asked for, the text."""

    records: list[Any] = field(default_factory=list[Any])
    proactive: list[Any] = field(default_factory=list[Any])
    formatted: str = ""
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


class ContextAssembler:
    """Chooses records for a prompt: those that cues pull, and those that push themselves forward.

    `score_weights`        weights of `composite_score` for what cues pull; where cues are searched
                           for, they move what was found, a little
    `max_items`            how many records at most
    `max_tokens`           how many tokens at most, of the text with all that stands around the
                           records. One record is kept at least; the first that does not fit ends
                           the list
    `surfacing_threshold`  the least score in its `CyclicDecayField` of a record that surfaces
                           unasked; `Defaults.DEFAULT_SURFACING_THRESHOLD` if left out
    `propagation_depth`    how many associations away records are lifted
    `output_format`        structured (JSON), xml, natural or content (the texts alone); anything
                           else is structured
    `token_counter`        called with the text of one record (its attributes are the record's),
                           and with that of all that are chosen; without it an estimate counts that
                           is rather too high
    `retrieval_mode`       how cues pull: hybrid (by words and meaning: a `BM25Field` and an
                           `EmbeddingField`), lexical (by words), composite (by `score_weights`
                           alone), or auto: the first of them that the model's fields allow
    `confidence_gate_threshold`   how sure one has to be of the best that cues pull, by the model's
                           `ConfidenceField`; what the gate said is `metadata["gate"]`
    `confidence_gate_mode` where one is not: refuse (nothing that cues pull is shown, and nothing
                           learns from it), or flag (`metadata["gate"]["gated"]` says so)
    `graph_traversal_relationship_fields`   relationships of the model to itself: records that are
                           at most `propagation_depth` steps away are lifted as associated ones are
    `content_field`        the field that the format content shows; without it the source of the
                           model's `BM25Field` or `EmbeddingField`, else `content` or `text`. Of
                           several BM25Fields that of this text is searched, or the first
    `suppression_signal`   what those that were pulled and not kept learn, if the model has a
                           `ConfidenceField` (`Defaults.COMPETITIVE_SUPPRESSION_SIGNAL`); None:
                           nothing
    `proactive_items`      how many places are kept for records that surface unasked, where there
                           are any; a fifth of `max_items` if left out
    `strict_budget`        not even the first record is kept if it does not fit, and shorter ones
                           that follow what does not fit are
    `agent_id_field`       the field that `agent_id` of `assemble` and `assess` filters

    A weight of what the model does not have, and an unknown format, give a warning at once.
    Methods have native asyncio twins, ``async_…``. Raises QueryException for settings that the
    model does not allow, and for numbers below 0.
    """

    def __init__(
        self,
        model_class: Any,
        score_weights: Mapping[str, float],
        max_items: int = DEFAULT_MAX_ITEMS,
        max_tokens: int | None = None,
        surfacing_threshold: float | None = None,
        propagation_depth: int = DEFAULT_PROPAGATION_DEPTH,
        output_format: str = "structured",
        token_counter: Callable[[Any], Any] | None = None,
        *,
        retrieval_mode: str = "auto",
        confidence_gate_threshold: float | None = None,
        confidence_gate_mode: str = "refuse",
        graph_traversal_relationship_fields: Sequence[str] | None = None,
        content_field: str | None = None,
        suppression_signal: float | type[Defaults] | None = Defaults,
        proactive_items: int | None = None,
        strict_budget: bool = False,
        agent_id_field: str = "agent_id",
    ) -> None:
        self.model_class = model_class
        self.score_weights = score_weights
        self.max_items = max_items
        self.max_tokens = max_tokens
        self.surfacing_threshold = (
            Defaults.DEFAULT_SURFACING_THRESHOLD
            if surfacing_threshold is None
            else surfacing_threshold
        )
        self.propagation_depth = propagation_depth
        self.output_format = output_format
        if token_counter is not None and not callable(token_counter):
            raise TypeError(
                f"token_counter must be a function of a text, got {describe(token_counter)}"
            )
        self._token_counter = token_counter or length_as_tokens
        self.retrieval_mode = retrieval_mode
        self.confidence_gate_threshold = confidence_gate_threshold
        self.confidence_gate_mode = confidence_gate_mode
        self.graph_traversal_relationship_fields = graph_traversal_relationship_fields
        self.content_field = content_field
        self.suppression_signal = suppression_signal
        self.proactive_items = proactive_items
        self.strict_budget = flag_in(strict_budget, "ContextAssembler(strict_budget=…)")
        self.agent_id_field = agent_id_field
        # Said here already, though settings may change until they are used.
        self._asked(None, None, None)
        self._budget()
        self._suppression()
        check_agent_field(options_of(model_class), agent_id_field)
        tell_of_settings(model_class, score_weights, output_format)
        if self.strict_budget and max_tokens is None:
            warn_caller("ContextAssembler(strict_budget=True) has no effect without max_tokens")
        if confidence_gate_mode != "refuse" and confidence_gate_threshold is None:
            warn_caller(
                f"ContextAssembler(confidence_gate_mode={confidence_gate_mode!r}) has no effect "
                "without confidence_gate_threshold"
            )
        self._render()

    # Assembling -----------------------------------------------------------------

    def assemble(
        self,
        query_cues: Mapping[str, Any] | None = None,
        agent_id: str | None = None,
        partition_filters: Mapping[str, Any] | None = None,
        assess_quality: bool = False,
    ) -> AssemblyResult:
        """The context for some cues (their values are what is asked for, by any name).

        `agent_id` is one more filter, and files proposals under that agent. Without cues, or with
        cues of which the model's `ExistenceFilter` knows no word, only what pushes itself forward
        is shown. Every record meets all filters. Raises QueryException.

        Records shown are staged as read once; those that came unasked are proposed
        (`RecallProposal`); of those that were pulled and not kept the confidence falls. Three round
        trips: to rank, to read, and for the effects; where neither texts are searched for nor
        associations followed, two. By meaning up to three more, where over 1,000 records match
        filters on other fields than those of the key.
        """
        return run(self._assembling(query_cues, agent_id, partition_filters, assess_quality))

    async def async_assemble(
        self,
        query_cues: Mapping[str, Any] | None = None,
        agent_id: str | None = None,
        partition_filters: Mapping[str, Any] | None = None,
        assess_quality: bool = False,
    ) -> AssemblyResult:
        """`assemble` for asyncio."""
        plan = self._assembling(query_cues, agent_id, partition_filters, assess_quality)
        return await arun(plan)

    def _assembling(
        self,
        cues: Mapping[str, Any] | None,
        agent_id: str | None,
        filters: Mapping[str, Any] | None,
        assess_quality: bool,
    ) -> Plan[AssemblyResult]:
        assess_quality = flag_in(assess_quality, "assemble(assess_quality=…)")
        start = time.perf_counter()
        asked = self._asked(cues, agent_id, filters)
        found = yield from gathered(asked)
        merged = self._merged(found)
        render = self._render()
        kept, tokens = within(merged[: self.max_items], self._budget(), render)
        pulled_keys = {record.pk for record in found.pull}
        proactive = [record for record in kept if record.pk not in pulled_keys]
        metadata: dict[str, Any] = {
            "pull_count": len(kept) - len(proactive),
            "push_count": len(proactive),
            "token_count": tokens,
            "total_candidates": len(merged),
        }
        if found.gate is not None:
            metadata["gate"] = found.gate
        measuring: Measuring | None = None
        if assess_quality:
            known = Cue.all_of(asked.cues, found.familiar)
            measuring = Measuring(
                self.model_class, kept, found.considered, known, self._yardstick()
            )
        replies = yield from self._effects(found, kept, proactive, agent_id, measuring)
        if measuring:
            metadata["quality"] = measuring.quality(replies)
        metadata["timing_ms"] = round((time.perf_counter() - start) * 1000, 2)
        return AssemblyResult(kept, proactive, render(kept), metadata)

    def _asked(
        self,
        cues: Mapping[str, Any] | None,
        agent_id: str | None,
        filters: Mapping[str, Any] | None,
    ) -> Asked:
        options = options_of(self.model_class)
        wanted = checked_dict("partition_filters", filters or {}, "{'agent_id': 'ada'}")
        if agent_id is not None:
            wanted[self.agent_id_field] = agent_id
        if self.proactive_items is not None:
            checked_count(options, self.proactive_items, "proactive_items")
        threshold = self.surfacing_threshold
        return Asked(
            self.model_class,
            checked_weights(options, self.score_weights),
            checked_dict("query_cues", cues or {}, "{'topic': 'deploys'}"),
            wanted,
            mode_of(self.model_class, self.retrieval_mode),
            checked_count(options, self.max_items, "max_items"),
            checked_number(options, "surfacing_threshold", threshold, infinite=True),
            checked_count(options, self.propagation_depth, "propagation_depth"),
            check_traversed(self.model_class, self.graph_traversal_relationship_fields),
            checked_gate(
                self.model_class, self.confidence_gate_threshold, self.confidence_gate_mode
            ),
            searched_by(self.model_class, self.content_field),
        )

    def _render(self) -> Callable[[Sequence[Any]], str]:
        style = self.output_format
        return rendering(style, checked_content_field(self.model_class, self.content_field, style))

    def _merged(self, found: Gathered) -> list[Any]:
        """The candidates, each once: those that were pulled, and those that push forward.

        Of the first `max_items` some are of the latter, if there are any.
        """
        pulled = list({record.pk: record for record in found.pull}.values())
        keys = {record.pk for record in pulled}
        unasked = [record for record in found.push if record.pk not in keys]
        room = self.max_items
        places = room // 5 if self.proactive_items is None else self.proactive_items
        first = max(room - min(places, len(unasked)), 0)
        return [*pulled[:first], *unasked, *pulled[first:]]

    def _budget(self) -> Budget:
        own, most = self._token_counter, self.max_tokens
        if most is not None:
            checked_budget(options_of(self.model_class), most)
        counter = None if own is length_as_tokens else own
        return Budget(most, counter, self.strict_budget)

    def _suppression(self) -> float | None:
        given: Any = self.suppression_signal
        if given is Defaults:
            given = Defaults.COMPETITIVE_SUPPRESSION_SIGNAL
        if given is None:
            return None
        return checked_share(options_of(self.model_class), "suppression_signal", given)

    def _yardstick(self) -> Yardstick:
        return Yardstick(self.score_weights, self.max_items, self.surfacing_threshold)

    def _effects(
        self,
        found: Gathered,
        kept: Sequence[Any],
        proactive: Sequence[Any],
        agent: str | None,
        measuring: Measuring | None,
    ) -> Plan[Sequence[Any]]:
        keys = {record.pk for record in kept}
        signal = self._suppression()
        losers = [record for record in found.pull if record.pk not in keys]
        plan = take_effect(
            self.model_class,
            kept,
            proactive,
            [] if signal is None else losers,
            agent or "default",
            signal or 0.0,
            measuring.commands if measuring else (),
            measuring.shards if measuring else None,
        )
        return (yield from plan)

    # Asking for the quality alone -------------------------------------------------

    def assess(
        self,
        query_cues: Mapping[str, Any] | None = None,
        partition_filters: Mapping[str, Any] | None = None,
        probe_limit: int | None = None,
        agent_id: str | None = None,
    ) -> RetrievalQuality:
        """How good an answer to some cues would be, without an effect on any record.

        Of the best `probe_limit` records (`max_items`). Two round trips, one more for texts.
        """
        return run(self._assessing(query_cues, partition_filters, probe_limit, agent_id))

    async def async_assess(
        self,
        query_cues: Mapping[str, Any] | None = None,
        partition_filters: Mapping[str, Any] | None = None,
        probe_limit: int | None = None,
        agent_id: str | None = None,
    ) -> RetrievalQuality:
        """`assess` for asyncio."""
        return await arun(self._assessing(query_cues, partition_filters, probe_limit, agent_id))

    def _assessing(
        self,
        cues: Mapping[str, Any] | None,
        filters: Mapping[str, Any] | None,
        limit: int | None,
        agent_id: str | None,
    ) -> Plan[RetrievalQuality]:
        asked = self._asked(cues, agent_id, filters)
        if not asked.cues:
            logger.warning("assess(): no query_cues, so there is nothing to assess")
            return RetrievalQuality()
        wanted = 0 if limit is None else checked_count(asked.spec.options, limit, "probe_limit")
        found = yield from probed(asked, wanted or self.max_items)
        known = Cue.all_of(asked.cues, found.familiar)
        quality = yield from measured(
            self.model_class, found.pull, found.pull, known, self._yardstick()
        )
        confident = self.model_class._meta.listed("confidence")
        if not any(found.familiar) and confident:
            # Nothing was looked at: nobody can be sure of anything.
            quality.avg_confidence = 0.5
        return quality
