"""The published package as a service: one request a line in, one answer a line out.

Runs inside the peer environment (`make peer`), where `popoto` is the published one, started by
`sides.PublishedSide`. The server to use is in REDIS_URL, which the published
package reads at import and at no other time.

Request `{"operation": name, "arguments": {...}}`; answer `{"result": value}` or
`{"error": text, "kind": class name}`, all in the notation of `tagged.py`.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import popoto

from .operations import Operations
from .tagged import dumps, loads


def main() -> None:
    """Answers until standard input ends."""
    answers = sys.stdout
    # Whatever the published package prints must not look like an answer.
    sys.stdout = sys.stderr
    operations = Operations(popoto)
    for line in sys.stdin:
        answers.write(_answer(operations, line) + "\n")
        answers.flush()


def _answer(operations: Operations, line: str) -> str:
    request = cast("dict[str, Any]", loads(line))
    try:
        result = getattr(operations, request["operation"])(**request["arguments"])
        return dumps({"result": result})
    except Exception as error:  # noqa: BLE001 - the failure is the answer, for the test to judge
        # No traceback: it would quote the published source, which stays closed to us.
        return dumps({"error": str(error), "kind": type(error).__name__})
