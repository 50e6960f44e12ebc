"""Money as integers: nano-USD for amounts, pico-USD per unit for rates. Pure.

A line's cost is quantity times rate, rounded half to even, once; nothing else in the project rounds money.
Text becomes money only here, exactly or not at all: digits and at most one point. Signs, exponents, NaN,
infinities, separators and more than 30 digits are refused, and so is an amount that a BIGINT cannot hold.
"""

import re

from service.errors import InvalidInputError

NANOS_PER_USD = 10**9
PICOS_PER_NANO = 1000
MAX_NANOS = 2**63 - 1  # a signed BIGINT; about 9.2 thousand million USD
MAX_DIGITS = 30

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_USD_DECIMALS = 9  # nano-USD
_MTOK_DECIMALS = 6  # 1 USD per million tokens = 1,000,000 pico-USD per token
_SHOWN_DECIMALS = 2


def line_cost_nanos(quantity: int, *, rate_picos: int) -> int:
    """Cost of *quantity* units in nano-USD, rounded half to even."""
    nanos, rest = divmod(quantity * rate_picos, PICOS_PER_NANO)
    if rest > PICOS_PER_NANO // 2 or (rest == PICOS_PER_NANO // 2 and nanos & 1):
        return nanos + 1
    return nanos


def parse_usd(text: str, *, field: str) -> int:
    """Nano-USD of a decimal string such as ``"10.00"``; InvalidInputError names *field*."""
    return _scaled(text, field=field, decimals=_USD_DECIMALS, finest="0.000000001 USD")


def parse_usd_per_mtok(text: str, *, field: str) -> int:
    """Pico-USD per token of a price in USD per million tokens such as ``"0.15"``."""
    return _scaled(text, field=field, decimals=_MTOK_DECIMALS, finest="0.000001 USD per million tokens")


def format_usd(nanos: int) -> str:
    """The exact decimal string of an amount, with at least two decimals; a correction may be negative."""
    whole, fraction = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{whole}.{_decimals(fraction, width=_USD_DECIMALS)}"


def format_usd_per_mtok(rate_picos: int) -> str:
    """The exact price in USD per million tokens of a rate in pico-USD per token."""
    whole, fraction = divmod(rate_picos, 10**_MTOK_DECIMALS)
    return f"{whole}.{_decimals(fraction, width=_MTOK_DECIMALS)}"


def _decimals(fraction: int, *, width: int) -> str:
    return f"{fraction:0{width}d}".rstrip("0").ljust(_SHOWN_DECIMALS, "0")


def _scaled(text: str, *, field: str, decimals: int, finest: str) -> int:
    if len(text) > MAX_DIGITS + 1:
        raise InvalidInputError(f"{field} has more than {MAX_DIGITS} digits", field=field)
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise InvalidInputError(
            f"{field} is {text!r}; write a plain decimal number that is not negative, such as 10.00",
            field=field,
        )
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    if len(match[1]) + len(match[2] or "") > MAX_DIGITS:
        raise InvalidInputError(f"{field} has more than {MAX_DIGITS} digits", field=field)
    if len(fraction) > decimals:
        raise InvalidInputError(f"{field} is {text}; the finest step is {finest}", field=field)
    scaled = int(whole + fraction.ljust(decimals, "0"))
    if scaled > MAX_NANOS:
        raise InvalidInputError(f"{field} is {text}, which is more than can be stored", field=field)
    return scaled
