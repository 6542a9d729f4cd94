"""Messages to whoever is listening now: Redis pub/sub."""

from popoto.pubsub.publisher import Publisher
from popoto.pubsub.subscriber import Subscriber

__all__ = ["Publisher", "Subscriber"]
