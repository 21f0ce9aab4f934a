"""Times as people read and write them. What is stored, signed or printed as JSON keeps Unix seconds.

>>> moment(1795875300, 1795863300)
'2026-11-28 14:15 UTC (in 3 h 20 min)'
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from troth.core.errors import BadInput

_UNITS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,12}) ?(s|min|h|d|w)?")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
                  r"( ?(Z|UTC|[+-][0-9]{2}:[0-9]{2}))?")
_MOST = 10**12


def moment(seconds: int, now: int | None = None) -> str:
    """A time in UTC, to the minute; with ``now``, how far from it. It raises nothing: any second can be shown."""
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"Unix second {seconds}"
    if now is None:
        return text
    away = seconds - now
    return f"{text} ({'now' if away == 0 else f'in {span(away)}' if away > 0 else f'{span(-away)} ago'})"


def span(seconds: int) -> str:
    """A duration in its two largest units, rounded down: ``3 h 20 min``, ``2 d``, ``45 s``."""
    parts, left = list[tuple[int, str]](), seconds
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count) or "0 s"


def read_span(text: str | int) -> int:
    """Seconds of ``90``, ``90s``, ``15min``, ``2h``, ``3d`` or ``1w``. Raises BadInput."""
    found = _SPAN.fullmatch(str(text))
    if not found or int(found[1]) > _MOST:
        raise BadInput("not a duration", expected="seconds, or such as 45s, 15min, 2h, 3d, 1w", actual=text)
    return int(found[1]) * _UNITS[found[2] or "s"]


def read_moment(text: str, now: int) -> int:
    """Unix seconds of a time: ISO 8601 (UTC where it names no zone), a duration with its unit, counted from ``now``, or
    a number, which is Unix seconds. Raises BadInput.
    """
    if _ISO.fullmatch(text):
        try:
            read = datetime.fromisoformat(re.sub(" ?(UTC|Z)$", "+00:00", text).replace(" ", "T", 1))
            return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            pass
    elif found := _SPAN.fullmatch(text):
        return now + read_span(text) if found[2] else int(found[1])
    raise BadInput("not a time", expected="YYYY-MM-DDThh:mm:ssZ, YYYY-MM-DD, or from now on: 2h, 3d", actual=text)
