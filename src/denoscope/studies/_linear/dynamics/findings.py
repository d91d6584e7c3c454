"""What a sweep says of the published claims, in words and numbers, whether they appeared or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import Finding
from denoscope.studies._linear.dynamics.drawings import SAMPLER_NAMES
from denoscope.studies._linear.dynamics.emergence import SAMPLED, TIMES, UNSEEN_C
from denoscope.studies._linear.dynamics.measured import Cell, Data
from denoscope.studies._linear.dynamics.stopping import NOISES
from denoscope.studies._linear.training_set import GROUPS

EXACT = 1e-9
"""Relative difference up to which descent and its closed form count as equal."""

CHEAP = 0.01
"""Excess loss up to which one stopping time counts as serving all levels."""

NEAR = 1.25
"""Factor within which the rule for the best time counts as true."""


def claims(every: Sequence[Data]) -> list[Finding]:
    """Every claim that the sweep can test, with its numbers."""
    found = [
        _exact(every),
        _one_time(every),
        _rule(every),
        _ridge(every),
        _laws(every),
        _constants(every),
        _exponents(every),
    ]
    return [item for item in found if item]


def _cells(every: Iterable[Data]) -> list[tuple[Data, Cell]]:
    return [(data, cell) for data in every for cell in data.cells]


def _few(every: Iterable[Data]) -> list[tuple[Data, Cell]]:
    return [(data, cell) for data, cell in _cells(every) if cell.few]


def _each(
    pairs: Sequence[tuple[Data, Cell]], name: str, said: Callable[[float], str] = "{:.3g}".format
) -> str:
    """The estimate of that name in every cell, in one phrase."""
    found = ((data, cell, cell.estimate(name)) for data, cell in pairs)
    return ", ".join(
        f"{_interval(e, said)} ({data.name}, N = {cell.n})" for data, cell, e in found if e
    )


def _interval(e: Estimate, said: Callable[[float], str]) -> str:
    return f"{said(e.value)} [{said(e.low)}, {said(e.high)}]".replace("-", "−")


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %"


def _exact(every: Sequence[Data]) -> Finding:
    off = max(cell.number("difference") for _, cell in _cells(every))
    flow = max(cell.number("difference_flow") for _, cell in _cells(every))
    steps = every[0].cells[0].row.fields["steps"]
    return Finding(
        "Gradient descent follows its closed form: the largest relative difference is "
        f"{off:.1e}, over all losses and modes, levels and {steps} steps.",
        "good" if off < EXACT else "absent",
        "From gradient flow, the limit of small steps, the losses at the same time k = "
        f"2ητ differ by at most {_percent(flow)}.",
    )


def _one_time(every: Sequence[Data]) -> Finding | None:
    few, many = _few(every), [pair for pair in _cells(every) if not pair[1].few]
    if not few:
        return None
    paid = max(e.value for _, cell in few if (e := cell.estimate("paid")))
    rest = (
        " With N > d there is little to stop for, and the best times spread: "
        f"{_each(many, 'spread')}; one time then costs at most "
        f"{_each(many, 'paid', _percent)}."
        if many
        else ""
    )
    return Finding(
        "One training time serves all noise levels when N ≤ d: its test loss is at most " f"{_percent(paid)} above that of the best time of " "each level.",
        "good" if paid < CHEAP else "absent",
        f"1 − ᾱ from {NOISES.max():g} to {NOISES.min():g}. Largest over smallest best " "time, mean over training sets: " f"{_each(few, 'spread')}. Largest excess loss "
        f"over the levels: {_each(few, 'paid', _percent)}.{rest}",
    )  # fmt: skip


def _rule(every: Sequence[Data]) -> Finding | None:
    few = [(data, cell) for data, cell in _few(every) if cell.estimate("predicted")]
    if not few:
        return None
    values = [e.value for _, cell in few if (e := cell.estimate("predicted"))]
    off = max(max(value, 1 / value) for value in values)
    return Finding(
        f"The best time is within a factor of {off:.2f} of one over the mean variance of "
        "an unseen direction.",
        "good" if off <= NEAR else "absent",
        f"Best common time times that variance: {_each(few, 'predicted')}. The rule takes "
        "all unseen directions to be alike; where their variances differ "
        "widely, the rule stops too late.",
    )


def _ridge(every: Sequence[Data]) -> Finding | None:
    few = [(data, cell) for data, cell in _few(every) if cell.estimate("ridge_less_stop")]
    if not few:
        return None
    better = [e.low > 0 for _, cell in few if (e := cell.estimate("ridge_less_stop"))]
    words = (
        "beats"
        if all(better)
        else f"beats the best ridge in {sum(better)} of {len(better)} cases with N ≤ d, not always:"
        if any(better)
        else "does not beat"
    )
    ends = (
        "the best ridge at the cost of the same one number."
        if all(better) or not any(better)
        else "elsewhere the ridge is as good or better."
    )
    return Finding(
        f"Early stopping {words} {ends}",
        "good" if all(better) else "absent",
        "Test loss of the ridge less that of stopping, relative to the latter, each at " "its best at every level, mean over levels: " f"{_each(few, 'ridge_less_stop', _percent)}. "
        f"Trained to the end, the worst level's loss is {_each(few, 'trained')} times the " "" "early-stopped one.",
    )  # fmt: skip


def _laws(every: Sequence[Data]) -> Finding:
    off, inside, count = 0.0, 0, 0
    at = [int(np.abs(TIMES - k).argmin()) for k in SAMPLED]
    for _, cell in _cells(every):
        for name in SAMPLER_NAMES:
            law, found = cell.arrays[f"law_{name}"][at], cell.arrays[f"sampled_{name}"]
            known = np.isfinite(law)
            off = max(off, float(np.abs(found[known][:, 0] / law[known] - 1).max()))
            inside += int(((found[..., 1] <= law) & (law <= found[..., 2]))[known].sum())
            count += int(known.sum())
    return Finding(
        f"Samples of half-trained models have the predicted variances: {inside} of "
        f"{count} 95 % intervals contain them.",
        "good" if inside >= 0.85 * count else "absent",
        "Largest relative difference of a sampled variance from its law: "
        f"{_percent(off)}, with {every[0].cells[0].row.fields['samples']} samples a "
        "model; all cells, "
        f"both samplers, k = {', '.join(f'{k:g}' for k in SAMPLED)}. The intervals of one "
        "model share their noises.",
    )


def _constants(every: Sequence[Data]) -> Finding | None:
    cells = [data.shown for data in every if data.shown.few]
    if not cells:
        return None
    unseen = GROUPS.index("unseen")
    said = []
    for name, title in SAMPLER_NAMES.items():
        found = [cell.arrays[f"sampled_{name}"][2, unseen] * SAMPLED[2] for cell in cells]
        said.append(
            f"{', '.join(f'{c[0]:.3f} [{c[1]:.3f}, {c[2]:.3f}]' for c in found)} by "
            f"{title} (limit {UNSEEN_C[name]:.4f})"
        )
    return Finding(
        f"On unseen directions a model stopped at k = {SAMPLED[2]:g} samples the variance "
        f"c = const/k: c·k is {'; '.join(said)}.",
        "neutral",
        "The limit holds for 1 ≪ k, and for DDPM also k ≪ 1/β₁; the exact laws, drawn as "
        "lines, include both ends.",
    )


def _exponents(every: Sequence[Data]) -> Finding:
    cells = [(data, data.shown) for data in every]
    found = [e for _, cell in cells if (e := cell.estimate("exponent_denoising"))]
    inverse = all(abs(e.value + 1) < 0.05 for e in found)
    return Finding(
        "Modes of a denoiser emerge at times ∝ λ to the power "
        f"{_each(cells, 'exponent_denoising')}.",
        "good" if inverse else "absent",
        "Wang and Pehlevan: −1. In noise prediction, the model trained here, the "
        f"exponent over all seen modes is {_each(cells, 'exponent_noise')}: "
        "it tends to −1 for λ ≪ 1 alone, because at high noise every mode is learned at "
        "the same rate.",
    )
