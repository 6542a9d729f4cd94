"""The words of a text. They are made in `popoto.memory.text`."""

from popoto.memory.text.words import MIN_TOKEN_LENGTH, STOP_WORDS, tokenize

__all__ = ["MIN_TOKEN_LENGTH", "STOP_WORDS", "tokenize"]
