"""Breaking things on purpose: connections, servers and processes that fail while a test looks on.

`FaultProxy`      stands between clients and a server: delays, stalls, cuts, resets, drips, loses
                  replies, holds requests back
`kill_server`, `paused_server`, `restart_server`   for a server of `popoto.embedded`
`crashes`         runs a function in child processes and kills each at a random instant
"""

from __future__ import annotations

from popoto.testing.faults.crashing import Crash, crashes
from popoto.testing.faults.planned import Fault
from popoto.testing.faults.proxy import FaultProxy
from popoto.testing.faults.servers import kill_server, paused_server, restart_server

__all__ = [
    "Crash",
    "Fault",
    "FaultProxy",
    "crashes",
    "kill_server",
    "paused_server",
    "restart_server",
]
