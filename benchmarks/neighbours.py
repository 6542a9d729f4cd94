"""How many of the true nearest 10 an approximate search finds, how long it takes, what it keeps.

`python -m benchmarks.neighbours [count ...]` (by default 10,000 and 100,000 vectors of 384
dimensions; usearch has to be installed). A hundred vectors crowd around each of many random
points, at a distance that is told as their mean similarity to others of their crowd; questions do
so too. Needs no server: it is the index and the matrix of one process that are measured.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from popoto.memory.vectors.matrix import Matrix, View

DIMENSIONS = 384
BEST = 10
QUESTIONS = 200
#: As many candidates as a search for 10 takes.
WINDOW = 64
CROWD = 100
SPREADS = {"0.67": 0.7, "0.31": 1.5, "0.10": 3.0}


def crowds(count: int, spread: float) -> tuple[Any, Any]:
    """Vectors, and questions."""
    dice = np.random.default_rng(7)
    centres = dice.standard_normal((count // CROWD, DIMENSIONS), dtype=np.float32)

    def around(number: int) -> Any:
        chosen = centres[dice.integers(0, len(centres), number)]
        return chosen + dice.standard_normal((number, DIMENSIONS), dtype=np.float32) * spread

    return around(count), around(QUESTIONS)


def best_of_all(view: View, question: Any) -> set[str]:
    similar = view.similarities(question)
    return {view.keys[place] or "" for place in np.argpartition(similar, -BEST)[-BEST:]}


def best_of_near(matrix: Matrix, view: View, question: Any) -> set[str]:
    scores = view.compared(question, matrix.nearest(view, question, WINDOW) or ())
    return set(sorted(scores, key=lambda key: scores[key], reverse=True)[:BEST])


def row(count: int, likeness: str) -> str:
    rows, questions = crowds(count, SPREADS[likeness])
    matrix = Matrix()
    for number, vector in enumerate(rows):
        matrix.put(str(number), vector)
    start = time.perf_counter()
    while not matrix.take_over(500):
        pass
    built = time.perf_counter() - start
    view = matrix.view()
    if view is None:
        raise RuntimeError("nothing to search")
    start = time.perf_counter()
    exact = [best_of_all(view, question) for question in questions]
    one_exact = (time.perf_counter() - start) / QUESTIONS
    start = time.perf_counter()
    near = [best_of_near(matrix, view, question) for question in questions]
    one_near = (time.perf_counter() - start) / QUESTIONS
    right = sum(len(some & true) for some, true in zip(near, exact, strict=True))
    kept = matrix.kept()
    return (
        f"| {count:,} | {likeness} | {right / QUESTIONS / BEST:.3f} | {one_near / one_exact:.2f} "
        f"| {built / count * 1e3:.2f} | {kept.rows // count:,} + {kept.neighbours // count:,} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.neighbours", description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[10_000, 100_000])
    print("| vectors | likeness | recall@10 | time / exact | ms to take one over | bytes each |")
    print("|---:|---:|---:|---:|---:|---:|")
    for count in parser.parse_args().counts:
        for likeness in SPREADS:
            print(row(count, likeness), flush=True)


if __name__ == "__main__":
    main()
