"""What hostile texts and bytes are made of."""

from __future__ import annotations

from hypothesis import strategies as st

#: What has a meaning somewhere: in keys, patterns, paths, markup, terminals, JSON, references.
PIECES = [
    *(":", "::", "{&#58;}", "{", "}", "{x}", "*", "?", "[", "]", "[a]", "^", "-", "/", "//", "\\"),
    *("\0", "\n", "\r\n", "\t", " ", "\x1b[2J", "\x7f", "\x85", "\u2028", "'", '"', "`", "<", ">"),
    *("&", "&amp;", "%", "%s", "$", "$CF:", "$KeyF:", "$Class:", "$Values:", "@", "#", "=", ","),
    *("None", "True", "0", "-1", "1e999", "nan", "a", "A", "b", "é", "e\u0301", "日", "😀", "ß"),
    *("İ", "\u0301", "\u0316", "\uff9e", "\u05b0", "\u200b", "\u200d", "\u202e", "\u2066"),
    *(".", "..", "../", "~", "|", ";", "\U000e0041", "\ufeff", "\ufffe", "Ω"),
]  # fmt: skip

#: Texts that can be stored.
texts = st.one_of(
    st.sampled_from(PIECES),
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
#: And those that no field takes, with lone surrogates.
any_texts = st.one_of(
    texts,
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.lists(st.sampled_from([*PIECES, "\ud800", "\udfff"]), max_size=6).map("".join),
)
