"""Popoto Kitchen: a food delivery service in a few small files.

`python -m popoto_kitchen` (from examples/) or `python -m examples.popoto_kitchen` shows one evening
of it; `--ops` shows how broken indexes are found and repaired. Without REDIS_URL both run on a
temporary server of their own; on a server of yours they remove what they stored.
"""
