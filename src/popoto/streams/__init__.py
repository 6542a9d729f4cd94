"""Streams: what was written down, worked through by groups of consumers."""

from popoto.streams.consumer import StreamConsumer

__all__ = ["StreamConsumer"]
