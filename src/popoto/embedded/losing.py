"""What a server that starts on a directory finds no more, or does not read: told in the log."""

from __future__ import annotations

import logging
import os

from popoto.embedded.place import Place

__all__ = ["has_no_data", "tell_of_replaced", "tell_of_torn_log", "tell_of_unread"]

_logger = logging.getLogger("POPOTO-EMBEDDED")

#: What a server writes into its log when it starts, and when its last write was torn.
_STARTS = "oO0OoO0OoO0Oo"
_TORN = "Truncating the AOF"
_TAIL = 65_536


def has_no_data(place: Place) -> bool:
    """Whether no server of ours has kept anything there yet."""
    return not os.path.isdir(os.path.join(place.directory, "appendonlydir"))


def tell_of_unread(place: Place) -> None:
    """Warn of the data of another server in a directory that was new to ours."""
    if os.path.exists(os.path.join(place.directory, "dump.rdb")):
        _logger.warning(
            "%s holds a dump.rdb, which the embedded server does not read, so it starts empty. "
            "Start a server of your own on that file, and move its records with popoto export and "
            "import.",
            place.directory,
        )


def tell_of_torn_log(place: Place) -> None:
    """Warn where the server has left out the end of what it had kept."""
    try:
        with open(place.log_path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            text = log.read().decode(errors="replace")
    except OSError:
        return
    if _TORN in text.rpartition(_STARTS)[2]:
        _logger.warning(
            "The last writes to %s were torn, as by a power failure or a full disk, and are left "
            "out. %s says how much that is.",
            place.directory,
            place.log_path,
        )


def tell_of_replaced(place: Place) -> None:
    """Warn where the directory is not the one that the server had used until then."""
    _logger.warning(
        "The directory %s was removed or replaced while its embedded server ran. A server is "
        "started on what is there now; what the former one held is gone with its directory.",
        place.directory,
    )
