"""What a sweep says of the denoisers of disjoint halves as functions, and of their
geometry-adaptive bases.
"""

from __future__ import annotations

from collections.abc import Sequence

from denoscope.estimate import Estimate, mean, paired
from denoscope.report import Finding
from denoscope.studies._geometry.groups import Group
from denoscope.studies._geometry.halves.bases import between_places, with_truth
from denoscope.studies._geometry.halves.findings import (
    INTERVALS,
    caution,
    chance,
    over_sizes,
    verdict,
)
from denoscope.studies._geometry.halves.measuring import HARMONIC, LEADING
from denoscope.studies._geometry.halves.pairs import Pairs, averaged
from denoscope.studies._geometry.halves.reading import Growth
from denoscope.studies._geometry.words import each, said


def claims(item: Growth) -> list[Finding]:
    """Whether denoisers and bases of the halves come together."""
    halves = item.pairs.get("halves", [])
    found = (
        [_functions(halves, item.pairs.get("seeds", [])), _bases(halves, item.groups)]
        if halves
        else []
    )
    return [*found, *([_truth(item.groups)] if "vectors_truth" in item.groups[0].first else [])]


def _functions(halves: Sequence[Pairs], seeds: Sequence[Pairs]) -> Finding:
    few, many = halves[0], halves[-1]
    falls = many.apart.high < few.apart.low
    twin = next((pair for pair in seeds if pair.n == many.n), None)
    times = (
        f", {many.apart.value / twin.apart.value:.1f} times as much as two seeds of one half"
        if twin
        else ""
    )
    trend = (
        f"{few.apart.value:.2f} a pixel at N = {few.n}, {many.apart.value:.2f} at N = {many.n}"
        if few is not many
        else f"{many.apart.value:.2f} a pixel at N = {many.n}"
    )
    beside = (
        f" Two seeds of one half: {over_sizes(seeds, lambda p: p.apart, '.3f')}." if seeds else ""
    )
    words = (
        "come together as N grows"
        if falls
        else "are apart"
        if few is many
        else "do not come together as N grows"
    )
    return Finding(
        f"The denoisers of disjoint halves {words}: they differ by {trend}{times}.",
        "good" if falls else "neutral" if few is many else "absent",
        f"Root mean square over unseen noisy images at input {HARMONIC:g} dB, images in "
        f"[−1, 1]: {over_sizes(halves, lambda p: p.apart, '.3f')}.{beside} {INTERVALS}",
    )


def _bases(halves: Sequence[Pairs], groups: Sequence[Group]) -> Finding:
    few, many = halves[0], halves[-1]
    group = next(group for group in groups if group.n == many.n)
    elsewhere, components = (
        adaptation(group),
        [pair.overlaps("vectors_gaussian").mean() for pair in halves],
    )
    more = paired(many.overlaps().mean(0).reshape(-1, 2).mean(1), between_places(group.arrays))
    grows, adapts = many.shared.low > few.shared.high, more.low > 0
    trend = (
        f"{few.shared.value:.2f} at N = {few.n}, {many.shared.value:.2f} at N = {many.n}"
        if few is not many
        else f"{many.shared.value:.2f} at N = {many.n}"
    )
    words = (
        "Harmonics of disjoint halves at the same noisy image become alike as N grows"
        if grows
        else "Overlap of the halves' harmonics at the same noisy image"
    )
    return Finding(
        f"{words}: overlap {trend}; {'only' if adapts else 'yet'} {elsewhere.value:.2f} "
        "between two images in one model, so the bases "
        f"{'adapt, and alike' if adapts else 'are not shown to adapt alike'}.",
        verdict(adapts and (grows or few is many), group),
        f"{caution(group)}Mean squared cosine between the spans of the {LEADING} leading "
        "eigenvectors, by chance "
        f"{LEADING / many.members[0][0]['vectors'].shape[-1]:.2f}. Halves "
        f"{over_sizes(halves, lambda p: p.shared)}; two images "
        f"{each(groups, lambda g: said(adaptation(g), '.2f'))}; one image less two, N = "
        f"{group.n}: {said(more, '.2f')}. The Gaussians', which are the principal "
        "components whatever the image: "
        f"{', '.join(f'{share:.2f}' for share in components)}. {INTERVALS}",
    )


def _truth(groups: Sequence[Group]) -> Finding:
    found = [mean(with_truth(group.arrays)) for group in groups]
    grows = found[-1].low > found[0].high
    return Finding(
        "The overlap of the models' harmonics with those of the true denoiser "
        f"{'grows with N' if grows else 'does not grow with N' if len(found) > 1 else 'is'}: "
        f"{', '.join(f'{e.value:.2f} ({g.label})' for e, g in zip(found, groups))}.",
        "good" if grows else "neutral" if len(found) == 1 else "absent",
        f"{'; '.join(f'{g.label}: {said(e)}' for e, g in zip(found, groups))}; {LEADING} "
        f"leading eigenvectors at input {HARMONIC:g} dB, intervals by t over images.",
    )


def adaptation(group: Group) -> Estimate:
    """Overlap of a model's leading harmonics at two images."""
    return mean(between_places(group.arrays))


def given(item: Pairs) -> Finding:
    """How alike two given models are."""
    return Finding(
        f"{item.label}: samples from the same noise have cosine "
        f"{item.agreement.value:.2f} (unlike noises {chance(item)}), denoisers differ by "
        f"{item.apart.value:.2f} a pixel, harmonics overlap by "
        f"{item.shared.value:.2f}.",
        "neutral",
        f"Cosine {said(item.agreement)}, with the nearest training image "
        f"{said(item.likeness)}; share nearer to the other model's sample than to "
        f"training images {said(averaged(item.closer()))}; difference at input "
        f"{HARMONIC:g} dB {said(item.apart)}; overlap {said(item.shared)}. {INTERVALS}",
    )


def missing(every: Sequence[Pairs]) -> list[Finding]:
    """What could not be compared."""
    kinds = {item.kind for item in every}
    if kinds & {"halves", "given"}:
        return []
    return [
        Finding(
            "Agreement of disjoint halves is left out: no two of these models were "
            "trained on subsets 0 and 1 with the same N, width and seed.",
            "neutral",
        )
    ]
