"""Programs whose answers may not depend on `Meta.shard_by`.

Each model exists twice, the same but for `Meta.shard_by`: in shards on a cluster of three nodes,
and whole on one server. A program is a list of steps, each a deed and a number that all its
choices follow from. It is done on both sides, with one clock and one source of names, and each step
has to come to the same: results, errors, warnings, side effects.

Read `allowed` first: what may differ, and why. Then `deeds` (what a deed is) and `programs` (how
they run, and what a failure prints); the files `of_…` are the table of deeds.
"""
