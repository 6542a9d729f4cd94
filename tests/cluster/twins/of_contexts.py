"""What is built on memories: contexts, guarded models, policies."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from popoto import AdaptiveAssembler, ContextAssembler, RetrievalQuality
from popoto.recipes import SubconsciousMemory
from popoto.recipes.policy_cache import initialize_q_value, update_q_value

from .allowed import without_timings
from .deeds import deed
from .drawing import AGENTS, agent
from .drawing_memories import MEMORY_NAMES, a_text, stored_memories, stored_memory
from .side import Side


def told(result: Any) -> Any:
    return result.records, result.formatted, without_timings(result.metadata)


def assembler(side: Side, chance: random.Random, weights: dict[str, float]) -> ContextAssembler:
    return ContextAssembler(
        side.models.memory,
        weights,
        max_items=chance.choice((2, 5)),
        propagation_depth=1,
        retrieval_mode=chance.choice(("auto", "hybrid", "lexical", "composite")),
        output_format=chance.choice(("structured", "xml", "natural", "content")),
        confidence_gate_threshold=chance.choice((None, 0.5)),
        confidence_gate_mode=chance.choice(("refuse", "flag")),
        content_field="text",
    )


@deed()
def assemble(side: Side, chance: random.Random) -> Any:
    made = assembler(side, chance, {"rank": 0.5, "rhythm": 1.0, "sure": 0.2})
    cues = chance.choice((None, {"topic": a_text(chance)}))
    if chance.random() < 0.5:
        return told(side.api(made.assemble, cues, assess_quality=True))
    return side.api(made.assess, cues)


@deed()
def assemble_for_one(side: Side, chance: random.Random) -> Any:
    made = ContextAssembler(
        side.models.memory,
        {"season": 0.5, "relevance": 1.0},
        max_items=3,
        retrieval_mode="composite",
    )
    record = stored_memory(side, chance)
    if record is None:
        return None
    # Of one agent, it is asked what words that agent knows.
    cues = chance.choice((None, {"topic": record.text}))
    return told(side.api(made.assemble, cues, partition_filters={"agent": record.agent}))


@deed()
def assemble_adaptively(side: Side, chance: random.Random) -> Any:
    inner = assembler(side, chance, {"rank": 0.5, "rhythm": 1.0})
    adaptive = AdaptiveAssembler(inner, window_size=1, rng=random.Random(chance.random()))
    found = [told(side.api(adaptive.assemble, {"topic": a_text(chance)})) for _ in range(2)]
    return found, adaptive.state


@deed()
def quality(side: Side, chance: random.Random) -> Any:
    records, cues = stored_memories(side, chance), {"topic": a_text(chance)}
    return side.api(RetrievalQuality.from_records, records, cues, {"rank": 1.0})


@deed()
def subconscious(side: Side, chance: random.Random) -> Any:
    """Of one agent, whose words are weighed with those of all."""
    memory = SubconsciousMemory(
        side.models.made,
        agent(chance),
        {"relevance": 1.0},
        max_items=3,
        agent_id_field="agent",
        output_format="natural",
    )
    said = f"The {a_text(chance)} is here. The {a_text(chance)} was there."
    made = side.api(memory.extract_memories, said)
    asked = [{"role": "user", "content": a_text(chance)}]
    _, result = side.api(memory.inject_context, asked)
    side.api(memory.report_outcomes, result, chance.choice(("acted", "dismissed")))
    return made, side.api(side.models.made.query.filter(agent=memory.agent_id).all)


@deed()
def guarded(side: Side, chance: random.Random) -> Any:
    model, whose = side.models.guarded, agent(chance)
    side.api(
        model.create,
        overwrite=True,
        agent=whose,
        name=chance.choice(MEMORY_NAMES),
        text=a_text(chance),
        rank=chance.randint(0, 3),
    )
    query = chance.choice(
        (
            model.query.filter(),
            model.query.filter(agent=whose),
            model.query.filter(agent__in=AGENTS[:2]),
        )
    )
    words = a_text(chance)
    questions: tuple[Callable[[], Any], ...] = (
        lambda: side.api(query.all),
        lambda: side.api(query.count),
        lambda: side.api(query.filter(rank__gt=0).order_by("-rank").first),
        lambda: side.api(query.keyword_search, words),
        lambda: side.api(query.recall, words),
        lambda: side.api(model.near.propagate, model, ["a topic"]),
    )
    return chance.choice(questions)()


@deed()
def policy(side: Side, chance: random.Random) -> Any:
    model = side.models.policy
    names = {
        "agent_id": agent(chance),
        "state_fingerprint": chance.choice("fg"),
        "action_type": chance.choice("uv"),
    }
    entry, is_new = side.api(model.get_or_create, **names, defaults={"state_features": {"a": 1}})
    if is_new:
        side.call(initialize_q_value, entry, chance.random())
    best = model.query.filter(agent_id=names["agent_id"]).order_by("-expected_value")
    return side.call(update_q_value, entry, chance.random()), entry, side.api(best.first)
