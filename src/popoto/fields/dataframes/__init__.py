"""pandas DataFrames to stored bytes and back, without pickle, files or URLs.

A frame is a tagged map, as popoto 1.6 writes it: ``__dataframe__``, and the JSON text of
``DataFrame.to_json()`` under ``as_encodable``. JSON loses most types, so this codec adds an
entry ``exact`` that 1.6 does not look at and that decides when it is there:

    exact    {"index": labels, "columns": labels, "data": [array, ...]}, one array per column
    labels   {"names": [...]} and one of "range" [start, stop, step], "values" array (with
             "freq" text), "levels" [labels, ...] with "codes" [array, ...]
    array    {"dtype": text} and "bytes" (little-endian), "missing" (one byte per element),
             "items", "na" and "nat" (positions), or the parts of a category or interval

Decoding checks what it reads and builds frames from arrays alone.
"""
