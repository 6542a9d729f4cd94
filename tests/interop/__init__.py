"""Data moves both ways between this package and the published popoto 1.6.1, 1.8.0 and 1.10.1.

One set of operations (`operations.py`) runs on both packages: on ours in this
process, on the published one in its own environment (`peer.py`). So each test
names a writer and a reader and states what the reader must find.
"""
