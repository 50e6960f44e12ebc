"""How numbers and instants are written. Pure.

Amounts come as integer nano-USD. `usd` is exact; `short_usd` rounds for headlines, keeps three digits of a small
amount and never turns one into zero. What is not known is a dash, never a zero. A share is not rounded up to all
or down to nothing.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from service.pricing.money import NANOS_PER_USD, format_usd
from service.reporting.figures import Measures

UNKNOWN = "—"
UNPRICED = "unpriced"
NO_CHANGE = "±"
_DECIMALS = 9
_SHOWN = 2
_COMPACT_FROM = 10_000
_SCALES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
_MS = 1_000
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_TENFOLD = 10
_NEAR = 0.1
_CODE = re.compile("`([^`]*)`")


def usd(nanos: int | None) -> str:
    """The exact amount: ``$1,234.567891``."""
    if nanos is None:
        return UNKNOWN
    whole, _, fraction = format_usd(abs(nanos)).partition(".")
    return f"{_sign(nanos)}${int(whole):,}.{fraction}"


def short_usd(nanos: int | None) -> str:
    """The amount to the cent, or to three digits below a dollar."""
    if nanos is None:
        return UNKNOWN
    size = abs(nanos)
    decimals = _SHOWN if size >= NANOS_PER_USD else min(_DECIMALS, _DECIMALS + 3 - len(str(size)))
    step = 10 ** (_DECIMALS - max(decimals, _SHOWN))
    return usd((size + step // 2) // step * step * (1 if nanos >= 0 else -1))


def is_unpriced(measures: Measures) -> bool:
    """Whether there was usage and no price for any of it: then a sum of costs says nothing, not even zero."""
    status = measures.cost_status
    with_cost = status["priced"] + status["partial"] + status["assumed"] + status["provider"]
    return bool(measures.unpriced_requests) and not with_cost


def spend(measures: Measures, *, short: bool = False) -> str:
    """What was spent, in words where no price is known."""
    if is_unpriced(measures):
        return UNPRICED
    return (short_usd if short else usd)(measures.cost_nanos)


def priced(measures: Measures) -> str:
    """How much of the usage has a price: a share, or that there is none; a dash where nothing was forwarded."""
    return UNPRICED if is_unpriced(measures) else percent(measures.coverage)


def escaped(text: str) -> str:
    """Amounts for texts that are Markdown, where two dollar signs would begin a formula."""
    return text.replace("$", "\\$")


def unmarked(text: str) -> str:
    """A text of the documentation as plain text: code stands in quotation marks."""
    return _CODE.sub("“\\1”", text)


def usd_decimals(amounts: Iterable[int | None]) -> int:
    """Decimals that write every one of *amounts* exactly."""
    fractions = (format_usd(abs(nanos)).partition(".")[2] for nanos in amounts if nanos is not None)
    return max((len(fraction) for fraction in fractions), default=_SHOWN)


def count(number: int | None) -> str:
    """The exact number: ``43,768``."""
    return UNKNOWN if number is None else f"{number:,}"


def compact(number: int | None) -> str:
    """Three digits and a scale: ``146.6M``; exact below ten thousand."""
    if number is None or abs(number) < _COMPACT_FROM:
        return count(number)
    scale, letter = next(found for found in _SCALES if abs(number) >= found[0])
    decimals = 2 if abs(number) < _TENFOLD * scale else 1
    return f"{number / scale:.{decimals}f}{letter}"


def percent(share: float | None) -> str:
    """A share of one as percent."""
    if share is None:
        return UNKNOWN
    if share in (0, 1):
        return f"{share:.0%}"
    for decimals in (2, 3) if share < _NEAR or share > 1 - _NEAR else (1,):
        shown = f"{share:.{decimals}%}"
        if 0 < float(shown[:-1]) < 100:  # noqa: PLR2004  (percent)
            return shown
    return "<0.001%" if share < 0.5 else ">99.999%"  # noqa: PLR2004  (nearer to which end)


def duration(ms: float | None) -> str:
    """A length of time given in milliseconds."""
    if ms is None:
        return UNKNOWN
    if ms < _MS:
        return f"{ms:.0f} ms" if ms >= _TENFOLD else f"{ms:.1f} ms"
    if ms < _MINUTE_MS:
        return f"{ms / _MS:.2f} s"
    minutes, rest = divmod(round(ms / _MS), 60)
    if ms < _HOUR_MS:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def change(now: float | None, before: float | None) -> str | None:
    """How much more or less than *before*, in percent or as a multiple; None where it cannot be said."""
    if now is None or not before:
        return None
    ratio = now / before
    if ratio >= _TENFOLD:
        return f"{ratio:,.0f}x"
    return _signed(f"{ratio - 1:+.1%}")


def points(now: float | None, before: float | None) -> str | None:
    """The difference of two shares, in percentage points."""
    if now is None or before is None:
        return None
    return _signed(f"{(now - before) * 100:+.2f} pp")


def instant(moment: datetime, *, timezone: str) -> str:
    """Date and time on the clock of *timezone*."""
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"


def minute(moment: datetime, *, timezone: str) -> str:
    """Date and time to the minute on the clock of *timezone*."""
    return instant(moment, timezone=timezone)[:-3]


def _sign(nanos: int) -> str:
    return "-" if nanos < 0 else ""


def _signed(text: str) -> str:
    """A zero is neither more nor less."""
    return f"{NO_CHANGE}{text[1:]}" if float(text.rstrip(" p%")) == 0 else text
