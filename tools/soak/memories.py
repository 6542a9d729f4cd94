"""Work on memories: what an agent remembers is found by every way of asking, until it goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from popoto import ConfidenceField, ContextAssembler
from tools.soak.lane import Lane
from tools.soak.models import Memory

#: A longer history may have lost its oldest entries.
_MOST_ENTRIES = 40
_ASSEMBLER = ContextAssembler(
    Memory, {"relevance": 0.6, "certainty": 0.4}, max_items=3, suppression_signal=None
)


async def _any(lane: Lane) -> Any:
    names = lane.known(Memory)
    if not names:
        return None
    owned = {"agent": lane.name, "name": lane.chances.choice(names)}
    return await lane.read("get", lambda: lane.call(Memory.query.get, **owned))


def _text(lane: Lane) -> str:
    """With one word that no other text has."""
    word = lane.fresh("word").replace("-", "q")
    return f"{lane.chances.choice(('tea', 'rain', 'python'))} and {word}"


def word_of(text: str) -> str:
    """That word, as it is asked for."""
    return text.rsplit(" ", 1)[1]


async def remember(lane: Lane) -> None:
    """Something new."""
    name, text = lane.fresh("memory"), _text(lane)
    await lane.write(
        "create (memory)",
        lambda: lane.call(Memory.create, agent=lane.name, name=name, text=text),
        {(Memory, name): {"text": text}},
    )


async def rewrite(lane: Lane) -> None:
    """Other words under the same key."""
    memory = await _any(lane)
    if memory is None:
        return
    memory.text = text = _text(lane)
    await lane.write(
        "save (memory)", lambda: lane.call(memory.save), {(Memory, memory.name): {"text": text}}
    )


async def forget(lane: Lane) -> None:
    """One of them."""
    memory = await _any(lane)
    if memory is not None:
        await lane.write(
            "delete (memory)", lambda: lane.call(memory.delete), {(Memory, memory.name): None}
        )


async def learn(lane: Lane) -> None:
    """Confidence, decay and reads, which nobody else changes."""
    memory = await _any(lane)
    if memory is None:
        return
    doubts = lane.doubts
    done = await lane.write(
        "update_confidence",
        lambda: lane.call(ConfidenceField.update_confidence, memory, "certainty", 0.9),
        {},
    )
    certain, possible = lane.signals.get(memory.name, (0, 0))
    lane.signals[memory.name] = (certain + done, possible + done + (lane.doubts - doubts))
    await lane.write("touch", lambda: lane.call(memory.touch, "relevance"), {})
    await lane.write("confirm_access", lambda: lane.call(memory.confirm_access), {})


async def link(lane: Lane) -> None:
    """Two of them."""
    one, other = await _any(lane), await _any(lane)
    if one is not None and other is not None and one.pk != other.pk:
        await lane.write("link", lambda: lane.call(Memory.near.link, Memory, one.pk, other.pk), {})


async def ask(lane: Lane) -> None:
    """By its own word each is found, alone; by everything, only what is there and the lane's."""
    names = lane.known(Memory)
    if not names:
        return
    name = lane.chances.choice(names)
    text = (lane.truth[Memory, name] or {})["text"]
    own = Memory.query.filter(agent=lane.name)
    found = await lane.read(
        "keyword_search", lambda: lane.call(own.keyword_search, word_of(text), limit=3)
    )
    if name not in {each.name for each in found}:
        lane.books.violation("lost acknowledged write", f"{name} is not found by {text!r}")
    await _ask_all(lane, names, text)


async def _ask_all(lane: Lane, names: list[str], text: str) -> None:
    own = Memory.query.filter(agent=lane.name)
    for kind, method in (("recall", own.recall), ("semantic_search", own.semantic_search)):
        found = await lane.read(kind, lambda m=method: lane.call(m, text, limit=5))
        _compare(lane, kind, names, found)


def _compare(lane: Lane, kind: str, names: list[str], found: Any) -> None:
    strangers = [(each.agent, each.name) for each in found if each.name not in names]
    if strangers:
        lane.books.violation("gone or foreign record found", f"{kind}: {strangers}")


async def assemble(lane: Lane) -> None:
    """A context shows what is there, and of this agent alone."""
    names = lane.known(Memory)
    shown: list[Any] = []

    async def work() -> None:
        result = await lane.call(
            _ASSEMBLER.assemble, {"topic": "tea"}, partition_filters={"agent": lane.name}
        )
        shown.extend(result.records)

    await lane.write("assemble", work, {})
    _compare(lane, "assemble", names, shown)


async def look(lane: Lane) -> None:
    """At memories one by one, gone ones among them."""
    for there in (True, False):
        names = lane.known(Memory, there=there)
        if names:
            await lane.look((Memory, lane.chances.choice(names)))


async def tell(lane: Lane) -> None:
    """The history has every signal that was acknowledged, in order."""
    memory = await _any(lane)
    if memory is None:
        return
    entries = await lane.read("history", lambda: lane.call(memory.history))
    moments = [entry.at for entry in entries]
    if moments != sorted(moments):
        lane.books.violation("history", f"{memory.name}: {moments} are not in order")
    signals = sum(entry.kind == "confidence" for entry in entries)
    certain, possible = lane.signals.get(memory.name, (0, 0))
    if len(entries) < _MOST_ENTRIES and not certain <= signals <= possible:
        story = f"{memory.name}: {signals} signals, of {certain} to {possible}"
        lane.books.violation("lost acknowledged write", story)


#: What to do, and how often.
WORK: dict[Callable[[Lane], Awaitable[None]], int] = {
    remember: 5,
    rewrite: 3,
    forget: 2,
    learn: 3,
    link: 2,
    ask: 4,
    assemble: 2,
    look: 3,
    tell: 1,
}
