"""All descriptors that can decide, together: conformal p-values, corrected for their number.

The p-value of a sample by one descriptor is (1 + #{held-out scores >= its score})/(m + 1): for a
fresh real image it is at most a with probability at most a. The smallest over D descriptors, times
D, keeps that whatever they have in common (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from denoscope.audit.findings import NEAR, Combined, Evidence
from denoscope.estimate import Estimate
from denoscope.metrics.calibrate import CopyRates, Fold, halves, share_of_images

_EQUAL = 1e-12  # p-values are fractions; this is for their rounding


def combine(evidence: Sequence[Evidence], *, false_alarm: float, seed: int) -> Combined | None:
    """What the deciding descriptors say together; None if none can decide.

    A copy has a p-value of at most ``false_alarm``: for the rates by one part of the held-out
    images, counted on the other and the other way round; for ``p_values`` by all of them. Where a
    part is too small for any p-value to be that low, the rate is raised, and said.
    """
    deciding = [one for one in evidence if one.decides]
    if not deciding:
        return None
    first = deciding[0]
    counted = torch.arange(len(first.null)) if first.counted is None else first.counted
    null = torch.stack([one.null.score[counted] for one in deciding])
    gen = torch.stack([one.gen.score for one in deciding])
    parts = halves(null.shape[1], seed, first.groups)
    used = max(false_alarm, min(1.0, len(deciding) / (1 + min(len(part) for part in parts))))
    rates = CopyRates(
        (_fold(gen, null, parts, used), _fold(gen, null, parts[::-1], used)), used, false_alarm
    )
    p_values = conformal(gen, null)
    found = _planted(deciding, null[:, parts[0]], used)
    near = [found[word] for word in NEAR if word in found]
    power = {word: _power(passed[None]) for word, passed in found.items()}
    near_power = _power(torch.stack(near))
    names = tuple(one.name for one in deciding)
    return Combined(
        names,
        p_values,
        _passing(p_values, used),
        rates,
        power,
        near_power,
        rates.detectable(near_power.value),
    )


def conformal(scores: Tensor, held_out: Tensor) -> Tensor:
    """Bonferroni-corrected p-values (n,) of scores (D, n) by D descriptors among held-out scores
    (D, m), at most 1.
    """
    descriptors, m = held_out.shape
    below = torch.searchsorted(held_out.sort(1).values, scores.contiguous())
    return (descriptors * (1 + m - below).double() / (m + 1)).amin(0).clamp_max(1)


def _passing(p_values: Tensor, rate: float) -> Tensor:
    return p_values <= rate + _EQUAL


def _fold(gen: Tensor, null: Tensor, parts: Sequence[Tensor], rate: float) -> Fold:
    """Counts where the first part gives p-values and the second is counted."""
    chosen, counting = null[:, parts[0]], null[:, parts[1]]
    copies, alarms = (
        int(_passing(conformal(scores, chosen), rate).sum()) for scores in (gen, counting)
    )
    return Fold(rate, copies, gen.shape[1], alarms, counting.shape[1])


def _planted(deciding: Sequence[Evidence], null: Tensor, rate: float) -> dict[str, Tensor]:
    """Which planted copies are found, bool (images,) by perturbation."""
    words = [word for word in deciding[0].planted if all(word in one.planted for one in deciding)]
    scores = {word: torch.stack([one.planted[word].score for one in deciding]) for word in words}
    return {word: _passing(conformal(x, null), rate) for word, x in scores.items()}


def _power(passed: Tensor) -> Estimate:
    """The share found of copies (perturbations, images)."""
    return share_of_images(int(passed.sum()), passed.numel(), passed.shape[1])
