"""Databases as the published versions have left them, byte for byte; `load` puts one on a server.

Each has had the same done: visits created of `ann`, `bob` (whose moments are in UTC), `cy` (without
a state) and `gone` (whose record has expired since), the state of `cy` set by `raw_update`, and a
slot whose key is a moment without a zone.
"""

from __future__ import annotations

from typing import Any

import redis

#: By version: what stands under each key.
WRITTEN: dict[str, dict[bytes, Any]] = {
    "1.6.1": {
        b"$Class:Slot": [b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"],
        b"$Class:Visit": [b"Visit:ann", b"Visit:bob", b"Visit:cy", b"Visit:gone"],
        b"$IndexF:Visit:state:None": [b"Visit:cy"],
        b"$IndexF:Visit:state:open": [b"Visit:ann", b"Visit:bob", b"Visit:gone"],
        b"$KeyF:Slot:at:2024/-01/-02 03{&#58;}04{&#58;}05": [
            b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"
        ],
        b"$KeyF:Visit:name:ann": [b"Visit:ann"],
        b"$KeyF:Visit:name:bob": [b"Visit:bob"],
        b"$KeyF:Visit:name:cy": [b"Visit:cy"],
        b"$KeyF:Visit:name:gone": [b"Visit:gone"],
        b"$SortF:Visit:due": [
            (b"Visit:ann", 1704164645.0),
            (b"Visit:bob", 1704164645.0),
            (b"Visit:cy", 1704164645.0),
            (b"Visit:gone", 1704164645.0),
        ],
        b"$UniquF:Visit:chip:c1": [b"Visit:ann"],
        b"$UniquF:Visit:chip:c2": [b"Visit:bob"],
        b"$UniquF:Visit:chip:c3": [b"Visit:cy"],
        b"$UniquF:Visit:chip:c4": [b"Visit:gone"],
        b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05": {
            b"at": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000"
        },
        b"Visit:ann": {
            b"name": b"\xa3ann",
            b"state": b"\xa4open",
            b"chip": b"\xa2c1",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"hour": b"\x82\xa8__time__\xc3\xacas_encodable\xaf07:30:00.000000",
        },
        b"Visit:bob": {
            b"name": b"\xa3bob",
            b"state": b"\xa4open",
            b"chip": b"\xa2c2",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"hour": b"\xc0",
        },
        b"Visit:cy": {
            b"name": b"\xa2cy",
            b"state": b"\xa4late",
            b"chip": b"\xa2c3",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\xc0",
            b"hour": b"\xc0",
        },
    },
    "1.8.0": {
        b"$Class:Slot": [b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"],
        b"$Class:Visit": [b"Visit:ann", b"Visit:bob", b"Visit:cy", b"Visit:gone"],
        b"$IndexF:Visit:state:None": [b"Visit:cy"],
        b"$IndexF:Visit:state:open": [b"Visit:ann", b"Visit:bob", b"Visit:gone"],
        b"$KeyF:Slot:at:2024/-01/-02 03{&#58;}04{&#58;}05": [
            b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"
        ],
        b"$KeyF:Visit:name:ann": [b"Visit:ann"],
        b"$KeyF:Visit:name:bob": [b"Visit:bob"],
        b"$KeyF:Visit:name:cy": [b"Visit:cy"],
        b"$KeyF:Visit:name:gone": [b"Visit:gone"],
        b"$SortF:Visit:due": [
            (b"Visit:ann", 1704164645.0),
            (b"Visit:bob", 1704164645.0),
            (b"Visit:cy", 1704164645.0),
            (b"Visit:gone", 1704164645.0),
        ],
        b"$UniquF:Visit:chip:c1": [b"Visit:ann"],
        b"$UniquF:Visit:chip:c2": [b"Visit:bob"],
        b"$UniquF:Visit:chip:c3": [b"Visit:cy"],
        b"$UniquF:Visit:chip:c4": [b"Visit:gone"],
        b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05": {
            b"at": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000"
        },
        b"Visit:ann": {
            b"name": b"\xa3ann",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"hour": b"\x82\xa8__time__\xc3\xacas_encodable\xaf07:30:00.000000",
            b"state\x00idxset": b"$IndexF:Visit:state:open",
            b"state": b"\xa4open",
            b"chip\x00idxset": b"$UniquF:Visit:chip:c1",
            b"chip": b"\xa2c1",
        },
        b"Visit:bob": {
            b"name": b"\xa3bob",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"hour": b"\xc0",
            b"state\x00idxset": b"$IndexF:Visit:state:open",
            b"state": b"\xa4open",
            b"chip\x00idxset": b"$UniquF:Visit:chip:c2",
            b"chip": b"\xa2c2",
        },
        b"Visit:cy": {
            b"name": b"\xa2cy",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb820240102T03:04:05.000000",
            b"seen": b"\xc0",
            b"hour": b"\xc0",
            b"state\x00idxset": b"$IndexF:Visit:state:None",
            b"state": b"\xa4late",
            b"chip\x00idxset": b"$UniquF:Visit:chip:c3",
            b"chip": b"\xa2c3",
        },
    },
    "1.8.2": {
        b"$Class:Slot": [b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"],
        b"$Class:Visit": [b"Visit:ann", b"Visit:bob", b"Visit:cy", b"Visit:gone"],
        b"$IndexF:Visit:state:None": [b"Visit:cy"],
        b"$IndexF:Visit:state:open": [b"Visit:ann", b"Visit:bob", b"Visit:gone"],
        b"$KeyF:Slot:at:2024/-01/-02 03{&#58;}04{&#58;}05": [
            b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05"
        ],
        b"$KeyF:Visit:name:ann": [b"Visit:ann"],
        b"$KeyF:Visit:name:bob": [b"Visit:bob"],
        b"$KeyF:Visit:name:cy": [b"Visit:cy"],
        b"$KeyF:Visit:name:gone": [b"Visit:gone"],
        b"$SortF:Visit:due": [
            (b"Visit:ann", 1704164645.0),
            (b"Visit:bob", 1704164645.0),
            (b"Visit:cy", 1704164645.0),
            (b"Visit:gone", 1704164645.0),
        ],
        b"$UniquF:Visit:chip:c1": [b"Visit:ann"],
        b"$UniquF:Visit:chip:c2": [b"Visit:bob"],
        b"$UniquF:Visit:chip:c3": [b"Visit:cy"],
        b"$UniquF:Visit:chip:c4": [b"Visit:gone"],
        b"Slot:2024/-01/-02 03{&#58;}04{&#58;}05": {
            b"at": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05"
        },
        b"Visit:ann": {
            b"state": b"\xa4open",
            b"chip": b"\xa2c1",
            b"name": b"\xa3ann",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"hour": b"\x82\xa8__time__\xc3\xacas_encodable\xa807:30:00",
        },
        b"Visit:ann\x00idxptr\x00chip": b"$UniquF:Visit:chip:c1",
        b"Visit:ann\x00idxptr\x00state": b"$IndexF:Visit:state:open",
        b"Visit:bob": {
            b"state": b"\xa4open",
            b"chip": b"\xa2c2",
            b"name": b"\xa3bob",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb92024-01-02T03:04:05+00:00",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb92024-01-02T03:04:05+00:00",
            b"hour": b"\xc0",
        },
        b"Visit:bob\x00idxptr\x00chip": b"$UniquF:Visit:chip:c2",
        b"Visit:bob\x00idxptr\x00state": b"$IndexF:Visit:state:open",
        b"Visit:cy": {
            b"state": b"\xa4late",
            b"chip": b"\xa2c3",
            b"name": b"\xa2cy",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"seen": b"\xc0",
            b"hour": b"\xc0",
        },
        b"Visit:cy\x00idxptr\x00chip": b"$UniquF:Visit:chip:c3",
        b"Visit:cy\x00idxptr\x00state": b"$IndexF:Visit:state:None",
        b"Visit:gone\x00idxptr\x00chip": b"$UniquF:Visit:chip:c4",
        b"Visit:gone\x00idxptr\x00state": b"$IndexF:Visit:state:open",
    },
    "1.10.1": {
        b"$Class:Slot": [b"Slot:2024/-01/-02T03{&#58;}04{&#58;}05.000000Z"],
        b"$Class:Visit": [b"Visit:ann", b"Visit:bob", b"Visit:cy", b"Visit:gone"],
        b"$IdxPtr:Visit:ann:chip": b"$UniquF:Visit:chip:c1",
        b"$IdxPtr:Visit:ann:state": b"$IndexF:Visit:state:open",
        b"$IdxPtr:Visit:bob:chip": b"$UniquF:Visit:chip:c2",
        b"$IdxPtr:Visit:bob:state": b"$IndexF:Visit:state:open",
        b"$IdxPtr:Visit:cy:chip": b"$UniquF:Visit:chip:c3",
        b"$IdxPtr:Visit:cy:state": b"$IndexF:Visit:state:None",
        b"$IdxPtr:Visit:gone:chip": b"$UniquF:Visit:chip:c4",
        b"$IdxPtr:Visit:gone:state": b"$IndexF:Visit:state:open",
        b"$IndexF:Visit:state:None": [b"Visit:cy"],
        b"$IndexF:Visit:state:open": [b"Visit:ann", b"Visit:bob", b"Visit:gone"],
        b"$KeyF:Slot:at:2024/-01/-02T03{&#58;}04{&#58;}05.000000Z": [
            b"Slot:2024/-01/-02T03{&#58;}04{&#58;}05.000000Z"
        ],
        b"$KeyF:Visit:name:ann": [b"Visit:ann"],
        b"$KeyF:Visit:name:bob": [b"Visit:bob"],
        b"$KeyF:Visit:name:cy": [b"Visit:cy"],
        b"$KeyF:Visit:name:gone": [b"Visit:gone"],
        b"$SortF:Visit:due": [
            (b"Visit:ann", 1704164645.0),
            (b"Visit:bob", 1704164645.0),
            (b"Visit:cy", 1704164645.0),
            (b"Visit:gone", 1704164645.0),
        ],
        b"$UniquF:Visit:chip:c1": [b"Visit:ann"],
        b"$UniquF:Visit:chip:c2": [b"Visit:bob"],
        b"$UniquF:Visit:chip:c3": [b"Visit:cy"],
        b"$UniquF:Visit:chip:c4": [b"Visit:gone"],
        b"Slot:2024/-01/-02T03{&#58;}04{&#58;}05.000000Z": {
            b"at": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05"
        },
        b"Visit:ann": {
            b"state": b"\xa4open",
            b"chip": b"\xa2c1",
            b"name": b"\xa3ann",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"hour": b"\x82\xa8__time__\xc3\xacas_encodable\xa807:30:00",
        },
        b"Visit:bob": {
            b"state": b"\xa4open",
            b"chip": b"\xa2c2",
            b"name": b"\xa3bob",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb92024-01-02T03:04:05+00:00",
            b"seen": b"\x82\xac__datetime__\xc3\xacas_encodable\xb92024-01-02T03:04:05+00:00",
            b"hour": b"\xc0",
        },
        b"Visit:cy": {
            b"state": b"\xa4late",
            b"chip": b"\xa2c3",
            b"name": b"\xa2cy",
            b"due": b"\x82\xac__datetime__\xc3\xacas_encodable\xb32024-01-02T03:04:05",
            b"seen": b"\xc0",
            b"hour": b"\xc0",
        },
    },
}


def load(server: redis.Redis, version: str) -> None:
    """Write what a version has left."""
    for key, content in WRITTEN[version].items():
        if isinstance(content, dict):
            server.hset(key, mapping=content)
        elif isinstance(content, bytes):
            server.set(key, content)
        elif isinstance(content[0], tuple):
            server.zadd(key, dict(content))
        else:
            server.sadd(key, *content)
