"""Mathematics in plain text: a single Latin or Greek letter with an underscore and up to three
letters or digits is a symbol with its index, such as N_k, x_0 or σ_min; names such as ``n_train``
are not.
"""

from __future__ import annotations

import re

_INDEX = re.compile(r"(?<!\w)([^\W\d_]\u0304?)_([^\W_]{1,3})(?!\w)")
_LOW = dict(zip("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"))


def marked(escaped: str) -> str:
    """Escaped text with ``<sub>`` around every index."""
    return _INDEX.sub(r"\1<sub>\2</sub>", escaped)


def lowered(text: str) -> str:
    """Text with its indices as subscript letters of Unicode, where all letters of one exist."""
    return _INDEX.sub(_lowered, text)


def _lowered(found: re.Match[str]) -> str:
    letters = [_LOW.get(letter, "") for letter in found[2]]
    return found[1] + "".join(letters) if all(letters) else found[0]
