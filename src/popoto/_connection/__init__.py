"""How a server is reached. Private: `popoto.redis_db` is the interface.

resp              the wire protocol, without I/O: hiredis
urls              the parts of a connection URL, and what may be told of them
settings          what a connection URL or a call to `redis.Redis(...)` asks for
hiding            errors of connecting without the passwords that were sent
refusals          answers of a server that takes no writes now, or wants a password first
policy            which commands may be repeated, how long to wait, which error a failure becomes
routing           which node of a cluster serves a command
decisions         what is done after an error, a lost connection or a pause
redirections      what is done on a cluster after a redirection, or for a slot on its way
sentinels         what the sentinels of a service say about its primary, and how long that is good
waiting           how many replicas a write waits for
steps             what a decision may ask for, and the loops that do it, for threads and tasks
embedded_source   where the embedded server listens
asking            the connections to the sentinels
connections       one connection: sending packed commands, reading raw replies
pools             connections in use and waiting, one pool per server
sync              a command or several, on one server or on a cluster
clients           redis-py's client and pipeline under the same policy, for direct use
targets           a place to connect to: its sync client, and an async client per event loop

`asynchronous_asking`, `asynchronous_connections`, `asynchronous_pools`, `asynchronous` and
`asynchronous_clients` are the twins for asyncio. They and their counterparts hold the I/O; what
is decided stands once.
"""
