"""All metrics of an audit, for every descriptor: what was measured, beside what real images read,
or why it was not.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from denoscope.audit.evidence import controlled_metrics
from denoscope.audit.evidence.controlled_metrics import MetricCase
from denoscope.audit.findings import Evidence, MetricResult
from denoscope.estimate import proportion, unavailable
from denoscope.metrics.controlled_rates import Calibrated
from denoscope.metrics.costs import PATIENCE, SetSizes, seconds
from denoscope.progress import duration

COMBINED, CONTENT = "combined", "content"
"""In place of a descriptor's name: what all that decide say together, and what is the same number
by number.
"""


@dataclass(frozen=True)
class _Row:
    """Metrics that are measured together, the sets they need beside gen and train, and how."""

    names: tuple[str, ...]
    needs: tuple[str, ...]
    measure: Callable[[MetricCase], dict[str, MetricResult]]


_ROWS = (
    _Row(("generalization",), (), controlled_metrics.generalization),
    _Row(("reproducibility",), ("twin",), controlled_metrics.agreement),
    _Row(("memorized",), (), controlled_metrics.memorized),
    _Row(("memorized_plain",), (), controlled_metrics.memorized_plain),
    _Row(("excess",), (), controlled_metrics.excess),
    _Row(("nearness",), ("test",), controlled_metrics.nearness),
    _Row(("authenticity",), (), controlled_metrics.authenticity),
    _Row(("copying_test",), ("test",), controlled_metrics.copying),
    _Row(("feature_likelihood",), ("test",), controlled_metrics.likelihood),
    _Row(("mifid",), (), controlled_metrics.informed),
    _Row(("precision", "recall", "density", "coverage"), ("test",), controlled_metrics.support),
    _Row(("frechet",), ("test",), controlled_metrics.distance),
    _Row(("kernel",), ("test",), controlled_metrics.discrepancy),
    _Row(("vendi",), (), controlled_metrics.diversity),
)

MEANINGS = {
    "generalization": "GL: share of samples whose cosine similarity to the nearest "
    "training image is at most the threshold. 1: nothing near, 0: all "
    "copies.",
    "reproducibility": "RP: share of pairs of samples, of two runs from the same noise, "
    "that are more similar than the threshold; by chance pairs of "
    "different samples are too.",
    "memorized": "Share of samples nearer than a third of the distance to the second "
    "nearest training image that is no near-duplicate of the nearest.",
    "memorized_plain": "The same as published, the second nearest of all training "
    "images: blind to copies of images that have duplicates.",
    "excess": "Share of copies among samples beyond the false alarms on real images: 0 "
    "for a perfect generalizer, near 1 for a memorizer.",
    "excess_combined": "The same by one score of all descriptors that can decide: what the "
    "verdict rests on.",
    "authenticity": "Share of samples farther from their nearest training image than "
    "that is from its own nearest; held-out images do not score 1 "
    "either.",
    "nearness": "P(a sample is nearer to the training set than a held-out image is): 1 copying, "
    "½ as near as real images on average, 0 off the data. A twentieth of real images lies in each "
    "of its tails. Beside it the same by held-out images in place of training images.",
    "copying_test": "C_T: samples against held-out images by their distance to the training set; "
    "far below 0 copying, far above 0 underfitting. Dull samples are near to everything: "
    "beside it the same by held-out images in place of training images. It grows with the counts; "
    "the share nearer (½ if none copies) does not.",
    "feature_likelihood": "FLD: held-out images under a density centred on the samples, 0 as good "
    "as half of the training images, larger is worse. Its gap: below 0, training images are "
    "likelier. Both depend on numbers: beside them those of as many held-out images.",
    "mifid": "Fréchet distance, divided by the mean cosine distance to the training set "
    "where that is small: large for copies.",
    "precision": "Share of samples within the k-nearest balls of real images.",
    "recall": "Share of real images within the k-nearest balls of samples.",
    "density": "Real k-nearest balls that hold a sample, on average over k; may exceed 1.",
    "coverage": "Share of real images whose k-nearest ball holds a sample.",
    "frechet": "FD: Fréchet distance of Gaussians fitted to samples and held-out images; "
    "compare with the real one. Its limit is that of infinitely many samples.",
    "kernel": "KID: unbiased squared maximum mean discrepancy with a cubic kernel; 0 for "
    "equal distributions.",
    "vendi": "Vendi score: the effective number of different samples; beside it that of "
    "as many real ones.",
    "exact_duplicates": "Share of samples that repeat a training image exactly.",
}
"""What each metric is, and in which direction it points, by its name, in the order of a report."""

NAMES = tuple(MEANINGS)


def check_names(wanted: Sequence[str]) -> None:
    """An unknown name is a ValueError that says the nearest valid one."""
    for name in wanted:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, 1, 0.0)[0]
            raise ValueError(
                f"--metrics {name}: there is no such metric; did you mean {close}? All: "
                f"{', '.join(NAMES)}"
            )


def measure_all(
    evidence: Sequence[Evidence],
    features: Mapping[str, Mapping[str, Tensor]],
    combined: Calibrated | None,
    *,
    wanted: Sequence[str],
    thresholds: Mapping[str, float],
    exact: Mapping[str, Tensor],
    seed: int,
    say: Callable[[str], None],
) -> dict[str, dict[str, MetricResult]]:
    """Each metric of :data:`NAMES`, by the name of the descriptor: all that are ``wanted``, or
    without these all that take minutes at most.

    ``features`` (n, k) by descriptor and role; ``thresholds`` that a protocol fixed, by descriptor;
    ``exact`` marks the rows of gen and test whose content is a training image's. What cannot be
    measured says why; an unknown name is a ValueError.
    """
    check_names(wanted)
    chosen = [name for name in NAMES if not wanted or name in wanted]
    found: dict[str, dict[str, MetricResult]] = {name: {} for name in chosen}
    for one in evidence:
        case = MetricCase.of(one, features[one.name], thresholds.get(one.name), seed)
        for row in _ROWS:
            asked = [name for name in row.names if name in found]
            measured = _measured(row, case, bool(wanted), say) if asked else {}
            for name in asked:
                found[name][one.name] = measured[name]
    if "excess_combined" in found:
        found["excess_combined"][COMBINED] = _together(combined)
    if "exact_duplicates" in found:
        found["exact_duplicates"][CONTENT] = _repeated(exact)
    return found


def _measured(
    row: _Row, case: MetricCase, named: bool, say: Callable[[str], None]
) -> dict[str, MetricResult]:
    """What the metrics of a row read, or why they do not; one metric's failure is no failure of the
    audit.
    """
    missing = [f"--{role}" for role in row.needs if role not in case.sets]
    if missing:
        return _nothing(row, f"needs {missing[0]}")
    cost = seconds(row.names[0], _sizes(case))
    if cost > PATIENCE and not named:
        return _nothing(
            row,
            f"not computed: would take about {duration(cost)}; name it in --metrics to compute it",
        )
    if cost > 1:
        say(f"{', '.join(row.names)} by {case.evidence.name}")
    try:
        return row.measure(case)
    except (ValueError, RuntimeError, MemoryError) as error:
        return _nothing(row, str(error).partition("\n")[0] or type(error).__name__)


def _nothing(row: _Row, reason: str) -> dict[str, MetricResult]:
    return {name: MetricResult(unavailable(reason)) for name in row.names}


def _sizes(case: MetricCase) -> SetSizes:
    gen, train, test = (
        len(case.sets[role]) if role in case.sets else 0 for role in ("gen", "train", "test")
    )
    return SetSizes(gen, train, test, case["train"].shape[1])


def _together(combined: Calibrated | None) -> MetricResult:
    """Copies beyond both controls' false alarms by all descriptors that decide."""
    if combined is None:
        return MetricResult(unavailable("no descriptor tells planted copies from real images"))
    found = controlled_metrics.excess_of(combined)
    return replace(
        found,
        threshold=combined.false_alarm,
        extra={**(found.extra or {}), "descriptors": list(combined.descriptors)},
    )


def _repeated(exact: Mapping[str, Tensor]) -> MetricResult:
    """The share of samples whose content is a training image's, beside that of held-out images."""
    found = {role: proportion(int(rows.sum()), len(rows)) for role, rows in exact.items()}
    return MetricResult(found["gen"], found.get("test"))
