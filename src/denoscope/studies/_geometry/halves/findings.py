"""What a sweep says of the claims about models that were trained on disjoint halves: denoising and
samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from denoscope.estimate import Estimate
from denoscope.report import Finding
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.halves import psnr
from denoscope.studies._geometry.halves.measuring import HARMONIC
from denoscope.studies._geometry.halves.pairs import Pairs, averaged
from denoscope.studies._geometry.halves.reading import Growth, curve, gaps, learned, takeover
from denoscope.studies._geometry.words import each, said

NEAR = 1.0
"""Decibels by which two curves may differ and count as coinciding."""

INTERVALS = (
    "Intervals by t over noises or images after averaging over pairs of models: "
    "they say nothing of training others."
)
_AT = psnr.at(HARMONIC)


def over_sizes(pairs: Sequence[Pairs], ask: Callable[[Pairs], Estimate], form: str = ".2f") -> str:
    """What each says, with its training size."""
    return ", ".join(f"{said(ask(item), form)} (N = {item.n})" for item in pairs)


def chance(item: Pairs) -> str:
    """The mean cosine of unlike noises; never a negative zero."""
    return f"{round(float(item.unlike.mean()), 2) + 0.0:.2f}".replace("-", "−")


def verdict(appeared: bool, group: Group) -> Literal["good", "neutral", "absent"]:
    """The status of an agreement between models: a mere fact where they have learned little."""
    return "absent" if not appeared else "good" if learned(group) else "neutral"


def caution(group: Group) -> str:
    """What to say of models that have learned little."""
    return (
        ""
        if learned(group)
        else "These models denoise unseen images no better than the Gaussian of their "
        "training set: those that learn little agree too. "
    )


def denoising(item: Growth) -> list[Finding]:
    """Whether output PSNR on training and unseen images parts for few images and coincides for
    many.
    """
    if len(item.groups) < 2:
        return []
    few, many = (gaps(group) for group in (item.groups[0], item.groups[-1]))
    first, last = item.groups[0].n, item.groups[-1].n
    worst = int(np.argmax([abs(e.value) for e in many]))
    joined, near = (
        all(e.low >= -NEAR and e.high <= NEAR for e in many),
        all(abs(e.value) <= NEAR for e in many),
    )
    together = (
        f"within {NEAR:g} dB"
        if joined
        else f"within {NEAR:g} dB, not surely,"
        if near
        else f"not within {NEAR:g} dB"
    )
    zero = "" if many[worst].low <= 0 <= many[worst].high else ": small, not zero"
    return [
        Finding(
            f"Output PSNR on training and on unseen images is {few[_AT].value:.1f} dB "
            f"apart at input {HARMONIC:g} dB for N = {first}, and {together} "
            f"at every input for N = {last}.",
            "good" if joined and few[_AT].low > NEAR else "absent",
            f"Output PSNR on training less that on unseen images at input {HARMONIC:g} dB "
            f"(σ = {psnr.level(HARMONIC):.2f}): "
            f"{each(item.groups, lambda g: said(gaps(g)[_AT], '.1f'))}. For N = {last} "
            f"it is largest at input {psnr.INPUTS[worst]:g} dB, "
            f"{said(many[worst], '.2f')} dB{zero}. Errors averaged over training seeds "
            "and halves, intervals by t over images.",
        )
    ]


def best(groups: Sequence[Group]) -> Finding:
    """Output PSNR on unseen images of the model with the most of them, beside the best linear
    denoiser.
    """
    group = groups[-1]
    net, linear = (curve(group, "test", name) for name in ("", "gaussian_all"))
    gains = [a.value - b.value for a, b in zip(net, linear)]
    top = int(np.argmax(gains))
    truth = (
        f" The true denoiser: {curve(group, 'test', 'truth')[_AT].value:.1f} dB."
        if "error_test_truth" in group.first
        else ""
    )
    better = (
        f"up to {gains[top]:.1f} dB better than the best linear denoiser, at input "
        f"{psnr.INPUTS[top]:g} dB"
    )
    return Finding(
        f"On unseen images the model ({group.label}) is "
        f"{better if gains[top] >= 0.05 else 'nowhere better than the best linear denoiser'}.",
        "neutral",
        f"Output PSNR at input {HARMONIC:g} dB: "
        f"{each(groups, lambda g: said(curve(g, 'test')[_AT], '.1f'))}; Gaussian of all "
        f"images that may be trained on: {said(linear[_AT], '.1f')}.{truth} "
        f"At the least noise, input {psnr.INPUTS[-1]:g} dB, the model's "
        f"{net[-1].value:.1f} dB stands beside the Gaussian's {linear[-1].value:.1f}.",
    )


def samples(item: Growth) -> list[Finding]:
    """Whether samples of the halves become alike and unlike training images."""
    halves = item.pairs.get("halves", [])
    if not halves:
        return []
    return [
        *([_trend(halves), _takeover(halves)] if len(halves) > 1 else []),
        _closer(halves[-1], item.groups),
        _closed(halves),
    ]


def _trend(halves: Sequence[Pairs]) -> Finding:
    few, many = halves[0], halves[-1]
    grows, falls = many.agreement.low > few.agreement.high, many.likeness.high < few.likeness.low
    return Finding(
        "From one noise, samples of disjoint halves "
        f"{'become alike as N grows' if grows else 'do not become alike'}: cosine "
        f"{few.agreement.value:.2f} at N = {few.n}, {many.agreement.value:.2f} at "
        f"N = {many.n}; their likeness to training images "
        f"{'falls' if falls else 'does not fall'}, {few.likeness.value:.2f} to "
        f"{many.likeness.value:.2f}.",
        "good" if grows and falls else "absent",
        f"Between halves {over_sizes(halves, lambda p: p.agreement)}. With the nearest "
        f"training image {over_sizes(halves, lambda p: p.likeness, '.3f')}. Between "
        "unlike noises (chance) "
        f"{', '.join(chance(p) for p in halves)}. All of images less their own mean. Of "
        "images in [0, 1] as they are: "
        f"{over_sizes(halves, lambda p: averaged(p.plain()))} between halves, "
        f"{over_sizes(halves, lambda p: averaged(p.nearest('similarity_plain')), '.3f')} "
        f"with the nearest training image. {INTERVALS}",
    )


def _takeover(halves: Sequence[Pairs]) -> Finding:
    point, within = takeover(halves), f"from {halves[0].n} to {halves[-1].n}"
    crossed = math.isfinite(point.value)
    return Finding(
        "Samples turn from more like training images to more like the other half's "
        f"samples at N = {said(point, '.0f')}."
        if crossed
        else "Samples do not turn from more like training images to more like the other "
        f"half's samples at any N {within}.",
        "good" if crossed else "absent",
        "Cosine between halves less that with the nearest training image: "
        f"{over_sizes(halves, lambda p: p.advantage, '.3f')}. The crossing of its "
        "isotonic fit on log₂ N; interval by bootstrap over noises, "
        "so for these models and these sizes.",
    )


def _closer(item: Pairs, groups: Sequence[Group]) -> Finding:
    group = next(group for group in groups if group.n == item.n)
    share, real = averaged(item.closer()), float(item.nearest("similarity_unseen").mean())
    off = (
        ": samples are less like training images than real ones are, so part of their "
        "distance is error"
        if item.likeness.high < real
        else ""
    )
    return Finding(
        f"At N = {item.n}, {100 * share.value:.0f} % of the samples are nearer to that of "
        "a model that saw none of the same images than to any image that their own model "
        "was trained on.",
        verdict(share.low > 0.5, group),
        f"{caution(group)}Share {said(share)}; mean cosines {said(item.agreement)} and "
        f"{said(item.likeness)}. Unseen images have cosine {real:.3f} with their nearest "
        f"training image{off}. {INTERVALS}",
    )


def _closed(halves: Sequence[Pairs]) -> Finding:
    gaussian, memorizer = (
        averaged(halves[-1].cosines(f"_{name}")).value for name in ("gaussian", "memorizer")
    )
    return Finding(
        f"Agreement alone needs no network: at N = {halves[-1].n} the closed-form "
        f"Gaussians of the halves agree to {gaussian:.3f}, their memorizers to "
        f"{memorizer:.2f}, the networks to "
        f"{halves[-1].agreement.value:.2f}.",
        "neutral",
        "Gaussians "
        f"{over_sizes(halves, lambda p: averaged(p.cosines('_gaussian')), '.3f')}; "
        f"memorizers {over_sizes(halves, lambda p: averaged(p.cosines('_memorizer')))}. "
        "Same noises and solver; a network that "
        "agrees and denoises better than the Gaussian has learned more than mean and covariance.",
    )
