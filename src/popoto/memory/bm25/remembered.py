"""`Remembered`: what this process knows of an index of words, to name the best in advance.

A search hands the server the documents that it takes for the best, and what no other one adds up to
(``foretold.lua``). The server scores them by what stands there now, and by the log of changes
(``indexing.lua``) finds out whether any other may be better; then it searches by itself. So what is
remembered decides how long a search takes, and never what is found.

It is learned on the way: commands that read postings go with searches, in the same round trip.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from popoto.engine.request import Argument, Command, ScriptCall
from popoto.memory.bm25.documents import changes_key, postings_key
from popoto.memory.bm25.formula import inverse_frequency
from popoto.memory.bm25.postings import Documents, Loading, Postings
from popoto.memory.bm25.scripts import FOLLOW_WORDS
from popoto.memory.vectors.arrays import HAS_NUMPY, Array, numpy

__all__ = [
    "MOST_NAMED",
    "NOTHING_ALONG",
    "Along",
    "Remembered",
    "forget_words",
    "make_room",
    "remembered",
]

#: A question is worth remembering whose walks have met so many documents.
_MANY_MET: Final = 100
#: Shorter sets of postings are looked at as a whole by the server.
_SHORT: Final = 128
#: So many postings of a word are read along with a search, and of so many words.
_PAGE: Final = 10_000
_PAGES: Final = 3
#: So many postings are remembered in all, and of so many indexes.
_ROOM: Final = 4_000_000
_MOST_INDEXES: Final = 64
#: More documents than these are not named in advance.
MOST_NAMED: Final = 4_000
#: So many more documents than there are may be known.
_MOST_GONE: Final = 1_000
#: Scores that differ by less may be equal on the server.
_EQUAL: Final = 1e-9


@dataclass(slots=True)
class Along:
    """What goes with a search: commands, and for what they are."""

    commands: list[Command]
    #: the words whose changes are asked for, with the version that is known of each
    followed: list[tuple[str, Postings, bytes]]
    loading: list[tuple[str, Loading, bytes]]


NOTHING_ALONG: Final = Along([], [], [])


class Remembered:
    """One index, as far as it is known. Every method may be called by any thread."""

    def __init__(self, stem: str) -> None:
        self.stem = stem
        self._lock = threading.RLock()
        self._clear(b"")

    def _clear(self, born: bytes) -> None:
        self._born = born
        self._version = b"0"
        self._number, self._average = 0, 1.0
        self._documents = Documents()
        self._postings: OrderedDict[str, Postings] = OrderedDict()
        self._loading: dict[str, Loading] = {}

    @property
    def size(self) -> int:
        """How many postings are remembered."""
        return sum(map(len, self._postings.values()))

    # Before a search --------------------------------------------------------------------------

    def foretold(self, terms: Sequence[str], wanted: int, k1: float, b: float) -> list[Argument]:
        """What ``search.lua`` is to be told of the question; see there."""
        with self._lock:
            known = {term: self._postings[term] for term in terms if term in self._postings}
            if not known:
                return [""]
            scores, idf, average = self._scores(known, k1, b)
            best, rest = _best_of(scores, wanted)
            if len(best) > MOST_NAMED:
                return [""]
            for term in known:
                self._postings.move_to_end(term)
            oldest = min(known.values(), key=lambda each: int(each.version))
            keys = self._documents.keys
            named = [keys[place] for place in best]
            idfs = [idf.get(term, "") for term in terms]
            head: list[Argument] = [self._born, oldest.version, oldest.latest, repr(rest)]
            return [*head, repr(average), len(idfs), *idfs, len(named), *named]

    def _scores(
        self, known: dict[str, Postings], k1: float, b: float
    ) -> tuple[Array, dict[str, str], float]:
        scores, average = numpy().zeros(len(self._documents)), self._average
        idf: dict[str, str] = {}
        for term, postings in known.items():
            told = inverse_frequency(max(self._number, len(postings)), len(postings))
            adds, made_for = postings.adds(self._average, k1, b)
            scores[postings.places] += told * adds
            average = min(average, made_for)
            idf[term] = repr(told)
        return scores, idf, average

    def along(self, terms: Sequence[str]) -> Along:
        """What to ask along with a search for these words."""
        with self._lock:
            commands: list[Command] = []
            behind = [
                (term, postings, postings.version)
                for term in terms
                if (postings := self._postings.get(term)) and postings.version != self._version
            ]
            if behind:
                keys = [postings_key(self.stem, term) for term, _, _ in behind]
                known = [part for _, each, _ in behind for part in (each.version, each.latest)]
                commands.append(ScriptCall(FOLLOW_WORDS, [changes_key(self.stem), *keys], known))
            loading = [
                (term, self._loading[term], self._loading[term].cursor)
                for term in terms
                if term in self._loading
            ][:_PAGES]
            commands += [
                ("ZSCAN", postings_key(self.stem, term), cursor, "COUNT", _PAGE)
                for term, _, cursor in loading
            ]
            return Along(commands, behind, loading)

    # After a search ---------------------------------------------------------------------------

    def take(
        self, terms: Sequence[str], told: Sequence[Any], along: Along, replies: Sequence[Any]
    ) -> bool:
        """Take over what the server has told; `told` as ``search.lua`` has it.

        Whether more is remembered now.
        """
        with self._lock:
            if not told or told[0] != self._born:
                self._clear(told[0] if told else b"")
            if not told:
                return False
            _, version, latest, number, average, met, holders = told
            self._version, self._number, self._average = version, int(number), float(average)
            if along.followed:
                self._follow(along, replies[0])
            has_more = self._load(along, replies[len(replies) - len(along.loading) :])
            if int(met) > _MANY_MET:
                self._want(terms, holders, Loading(version, latest))
            if len(self._documents) > 2 * self._number + _MOST_GONE:
                self._clear(self._born)
            return has_more

    def _follow(self, along: Along, reply: Sequence[Any]) -> None:
        if not reply or reply[0] != self._born:
            return
        _, version, latest, members, scores = reply
        places = self._documents.places(members)
        for (term, postings, known), told in zip(along.followed, scores, strict=True):
            if self._postings.get(term) is not postings or postings.version != known:
                continue  # Another thread was faster.
            if told is None or f":inv:{term}".encode() in members:
                del self._postings[term]
                continue
            if members:
                postings.change(places, told, len(self._documents))
            postings.version, postings.latest = version, latest

    def _load(self, along: Along, replies: Sequence[Any]) -> bool:
        has_more = False
        for (term, loading, cursor), (following, page) in zip(along.loading, replies, strict=True):
            if self._loading.get(term) is not loading or loading.cursor != cursor:
                continue  # Another thread was faster.
            if loading.take(following, page):
                self._postings[term] = Postings(loading, self._documents)
                del self._loading[term]
                has_more = True
        return has_more

    def _want(self, terms: Sequence[str], holders: Sequence[int], begun: Loading) -> None:
        for term, number in zip(terms, holders, strict=True):
            if _SHORT < number <= _ROOM and term not in self._postings:
                self._loading.setdefault(term, replace(begun, found={}))

    def shrink(self, room: int) -> None:
        """Forget the words that were not asked for the longest, until so many postings are left."""
        with self._lock:
            while self._postings and self.size > room:
                self._postings.popitem(last=False)


def _best_of(scores: Array, wanted: int) -> tuple[list[int], float]:
    """The documents with the highest scores, best first, and the highest score of another one.

    Those as good as the last of them are among them, as others could stand before it.
    """
    np = numpy()
    # Most documents hold none of the words.
    held = np.flatnonzero(scores)
    found = scores[held]
    border = 0.0
    if wanted < len(found):
        border = float(np.partition(found, len(found) - wanted)[len(found) - wanted])
    is_best = found >= border * (1 - _EQUAL)
    rest = float(np.max(found, where=~is_best, initial=0.0))
    best = np.flatnonzero(is_best)
    best = best[np.argsort(-found[best], kind="stable")]
    return held[best].tolist(), rest


# By index -------------------------------------------------------------------------------------

#: By shard of a model that has several on different nodes, and by index.
_KNOWN: OrderedDict[tuple[str, str], Remembered] = OrderedDict()
_KNOWN_LOCK = threading.Lock()


def remembered(stem: str, shard: str = "") -> Remembered | None:
    """What is known of an index; None without NumPy."""
    if not HAS_NUMPY:
        return None
    with _KNOWN_LOCK:
        found = _KNOWN.get((shard, stem))
        if found is None:
            found = _KNOWN[shard, stem] = Remembered(stem)
        _KNOWN.move_to_end((shard, stem))
        return found


def make_room(room: int = _ROOM, most: int = _MOST_INDEXES) -> None:
    """Forget the indexes and words that were not asked for the longest."""
    with _KNOWN_LOCK:
        while len(_KNOWN) > 1 and (
            len(_KNOWN) > most or sum(each.size for each in _KNOWN.values()) > room
        ):
            _KNOWN.popitem(last=False)
        for each in _KNOWN.values():
            each.shrink(room)


def forget_words() -> None:
    """Forget all indexes."""
    with _KNOWN_LOCK:
        _KNOWN.clear()
