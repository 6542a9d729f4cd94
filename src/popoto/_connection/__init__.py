"""How a server is reached. Private: `popoto.redis_db` is the interface.

resp              the wire protocol, without I/O
settings          what a connection URL or a call to `redis.Redis(...)` asks for
policy            which commands may be repeated, and which error a failure becomes
routing           which node of a cluster serves a command
embedded_source   where the embedded server listens
pools             connections in use and waiting, one pool per server
sync              sending commands and reading raw replies
clients           redis-py's client and pipeline under the same policy, for direct use
targets           a place to connect to: its sync client, and an async client per event loop

`asynchronous_pools`, `asynchronous` and `asynchronous_clients` are the twins for asyncio.
"""
