"""How a server is reached. Private: `popoto.redis_db` is the interface.

resp      the wire protocol, without I/O
settings  what a connection URL or a call to `redis.Redis(...)` asks for
policy    which commands may be repeated, and which error a failure becomes
pools     connections in use and waiting, one pool per server
routing   which node of a cluster serves a command
sync, asynchronous   sending commands and reading raw replies
clients   redis-py clients under the same policy, for direct use
"""
