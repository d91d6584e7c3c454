"""Numbers in a sentence: digits that mean something, and nothing above 0 that reads as 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from denoscope.estimate import Estimate

_POWERS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def count(n: float) -> str:
    """A number of things, thousands apart: 60 000."""
    return f"{round(n):,}".replace(",", "\u00a0")


def rounded(value: float, digits: int, *, ends: Sequence[float] = (0.0,)) -> str:
    """So many decimals, or more where it would read as one of the ``ends``; a true minus sign."""
    text = f"{value:.{digits}f}"
    while digits < 12 and any(value != end and float(text) == end for end in ends):
        digits += 1
        text = f"{value:.{digits}f}"
    return ("0" if float(text) == 0 else text).replace("-", "−")


def decimals(width: float) -> int:
    """Decimals for an interval of this width: the last one's unit is 1/30 to 1/3 of it."""
    return max(0, -math.floor(math.log10(width / 3))) if 0 < width < math.inf else 2


def span(low: float, high: float, digits: int, *, ends: Sequence[float] = (0.0,)) -> str:
    """An interval: ``0.3–1.0``, or ``−0.2 to 0.4`` where a sign could be taken for the dash."""
    first, last = (
        rounded(end, digits, ends=ends) if math.isfinite(end) else ("∞" if end > 0 else "−∞")
        for end in (low, high)
    )
    return f"{first} to {last}" if low < 0 else f"{first}–{last}"


def percents(part: Estimate, *, bracket: bool = False) -> str:
    """A proportion with its interval: ``0.6 %, 95 % 0.3–1.0``, or ``0.6 % (95 % 0.3–1.0)``; an
    upper limit within a tenth of the last digit of 100 is rounded up to it.
    """
    low, value, high = (100 * x for x in (part.low, part.value, part.high))
    digits, ends = decimals(high - low), (0.0, 100.0)
    high = 100.0 if 100 - high < 0.1**digits / 10 else high
    interval = f"{100 * part.level:g}\u00a0% {span(low, high, digits, ends=ends)}"
    said = f" ({interval})" if bracket else f", {interval}"
    return f"{rounded(value, digits, ends=ends)}\u00a0%{said}"


def percent(part: float) -> str:
    """A share in per cent to two digits; what is not 0 or 1 does not read so."""
    rest = 100 * min(abs(part), abs(1 - part), 0.5)
    digits = max(0, 1 - math.floor(math.log10(rest))) if rest else 0
    text = rounded(100 * part, digits, ends=(0.0, 100.0))
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}\u00a0%"


def upper(part: float) -> str:
    """An upper bound of a share in per cent, rounded up to two digits."""
    step = 10 ** (math.floor(math.log10(part)) - 1)
    return percent(min(1.0, math.ceil(part / step - 1e-9) * step))


def hundredfold(part: Estimate) -> Estimate:
    """A proportion with its interval in per cent."""
    return replace(part, value=100 * part.value, low=100 * part.low, high=100 * part.high)


def numbers(value: Estimate) -> str:
    """A value in [0, 1] with its interval, three digits or more: ``0.998, 95 % 0.996–0.999``."""
    digits = max(3, decimals(value.high - value.low))
    ends = f"{value.low:.{digits}f}–{value.high:.{digits}f}"
    return f"{value.value:.{digits}f}, {100 * value.level:g}\u00a0% {ends}"


def probability(p: float) -> str:
    """A p-value: ``p = 0.0031``, ``p = 2·10⁻⁷``."""
    if p >= 1e-4:
        return f"p\u00a0=\u00a0{float(f'{p:.2g}'):g}"
    if p < 1e-300:
        return "p\u00a0<\u00a010⁻³⁰⁰"
    mantissa, exponent = f"{p:.0e}".split("e")
    return f"p\u00a0=\u00a0{mantissa}·10{str(int(exponent)).translate(_POWERS)}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def things(n: int, one: str, many: str = "") -> str:
    """A counted noun: ``1 image``, ``12 images``."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
