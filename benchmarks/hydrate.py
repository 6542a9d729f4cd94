"""hydrate: all 10,000 records that one indexed condition finds, every field read.

The work is that of `filter`, on ten times as many records.
"""

from benchmarks.filter import by_hand, by_popoto

__all__ = ["COUNT", "by_hand", "by_popoto"]

COUNT = 10_000
