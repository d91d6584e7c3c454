"""Not enough to span the space: the leading directions of few samples beside the true ones, as
images and in numbers.

V_k are the k leading eigenvectors of the law's covariance Sigma (for images of the whole set), U_k
those of the training covariance, of which N rows without their mean give N - 1 at most: directions
that are missing overlap with nothing. Measured are the overlap |U_k^T V_k|^2 / k beside its chance
level k/d, the largest principal angle, and the share of the variance that the rows span; for images
also of Gaussian rows of exactly the same covariance (Merger and Goldt 2025). Everything is in the
eigenbasis of Sigma, in which V_k are the first k axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from denoscope.data.population import MeanCovariance, Population, gaussian_twin
from denoscope.estimate import exact, mean
from denoscope.readings import Quantity, Reading, Readings, stored
from denoscope.report.blocks import Gallery
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.pictures import Tile, gallery, signed
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, crosstab
from denoscope.store import Row, Value
from denoscope.studies._drawn import Drawn, between, closing, sooner, synthetic
from denoscope.study import Result, Work, axis, option
from denoscope.theory.linear.equivalents import unseen_variance
from denoscope.theory.spectra import leading_cost, leading_overlap, participation_ratio

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
COUNTS = (1, 3, 10, 30)
"""How many leading directions are looked at together."""
SHOWN = 8
"""Directions shown as images, and compared one by one."""
FOUND = 0.9  # a subspace is found from this overlap on, a spectrum spanned from this share on
NEARLY = 0.99  # the share of the variance at which almost all of it is spanned
CLOSE = 0.1  # theory and simulation agree where they differ by less than this share
SEVERAL = 8  # the first direction is found at about d_eff rows where it takes at most so many times
TOLD = 0.5  # first-order theory is drawn where it leaves more than this of the overlap
STRIPS = 4

MEASURED = {
    "overlap": Quantity("overlap", tip="|U_kᵀV_k|² / k of the k leading directions with the law's"),
    "angle": Quantity("largest angle", "°", form=".1f", tip="largest principal angle of the two"),
    "captured": Quantity(
        "held", tip="variance that the k leading training directions hold, of what k can hold"
    ),
}
QUANTITIES = {
    **MEASURED,
    **{
        f"{name}_{k}": Quantity(f"{q.label}, {k}", q.unit, mean, q.form, q.tip)
        for k in COUNTS
        for name, q in MEASURED.items()
    },
    "span": Quantity("share of the variance", tip="that lies in the span of the rows"),
    "cos": Quantity("|cos|", tip="with the law's direction of the same rank"),
    "spectrum": Quantity("eigenvalues of Σ"),
    "rows": Quantity("images", interval=exact, form=".0f"),
    "picture": Quantity("direction as an image, pixel units"),
    "d": Quantity("dimension d", interval=exact, form=".0f"),
    "d_eff": Quantity("d_eff", interval=exact, form=".1f", tip="(Tr Σ)²/Tr Σ²"),
    "gap": Quantity("largest variance over the second", interval=exact),
    "cost": Quantity("rows that k directions cost", interval=exact, form=".0f"),
    "spared": Quantity("share of the variance less that of the directions"),
    "found_at": Quantity("N", "rows", form=".0f"),
    "in_d_eff": Quantity("N over d_eff", form=".1f"),
    "sooner": Quantity("ratio of both N"),
    "off": Quantity("relative difference from theory", form=".1%"),
    "beyond": Quantity("images less Gaussian twin", form=".3f"),
}


@dataclass(frozen=True, kw_only=True)
class LeadingDirections(Drawn):
    """The leading directions of several training sets of one size, from one law of data."""

    version: ClassVar[int] = 2
    least: ClassVar[dict[str, int]] = {"d": 2, "draws": 2, "resize": 0}
    references: ClassVar[tuple[str, ...]] = ("mergergoldt2025",)
    heading: ClassVar[str] = "The leading directions of few samples"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES

    data: str = axis(
        "digits",
        "law of the data: an image set (digits, fashion_mnist, emoji, faces, a folder, "
        ".npz or .zip), or powerK for eigenvalues nu^-K",
        ("digits", "power1", "power2"),
    )
    n: int = axis(64, "number of training rows", SIZES)
    d: int = option(100, "dimension of synthetic data; images have their own")
    draws: int = option(20, "training sets a cell")

    def infeasible(self) -> str:
        reason = super().infeasible()
        if not reason and synthetic(self.data) == 0:
            return (
                f"--data {self.data}: all directions have the same variance, so none of them lead"
            )
        return reason

    def cost(self) -> float:
        law = self.law()
        return self.draws * (1 if law.rows is None else 2) * (0.003 + 2e-8 * law.d**3)

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        law = self.law()
        found = list(measured(law, self.n, self.draws, "simulation"))
        if law.rows is not None:
            found += measured(gaussian_twin(law), self.n, self.draws, "twin")
        values: dict[str, Value] = {_named(r): mean(r.value) for r in found}
        return Result(values, stored([*found, *known(law), *pictures(law, self.n)]))

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """What was measured, at its number of rows, with theory."""
        found = Readings([], QUANTITIES)
        for data, some in super().found(rows).named(rows=lambda at: at["n"]).by("data"):
            kept = some.of("spectrum", "rows")
            once = {name: part[0].value for name in ("spectrum", "rows") if (part := kept.of(name))}
            total = int(once["rows"][0]) if "rows" in once else None
            expected = theory(once["spectrum"], total, some.along("rows"))
            found += some.of(*MEASURED, "span", "cos", "picture").dropped("n")
            found += expected.named(data=data)
        return found

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        found = cls.found(rows)
        d = {data: int(some.of("d").one[0]) for data, some in found.by("data")}
        return {
            "data": "; ".join(f"{data}, d = {each}" for data, each in d.items()),
            "truth": "directions: those of the law, for images of the whole set, of which training "
            "sets are a part; variance: of the law, for images of all that were not drawn; pixels "
            "as they are read, mean subtracted, directions without variance left out",
            "Gaussian twin": "for images: Gaussian rows, as many as there are images, with exactly "
            "their mean and covariance, drawn from in the same way",
            "intervals": "over training sets",
        }

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        """What few rows span, which directions they find, and whether theory and twins tell it."""
        for part in (spanned, order, agreement, overlaps, directions) if found else ():
            yield from part(found)


# What is measured


def counts(d: int) -> tuple[int, ...]:
    """The numbers of directions that leave others to be mistaken for."""
    return tuple(k for k in COUNTS if k < d)


def leading(rows: np.ndarray) -> np.ndarray:
    """The eigenvectors of the rows' covariance as rows, largest variance first, zero where the rows
    span no further, shape (d, d).

    Each has the sign with which it points along the law's direction of its rank.
    """
    values, vectors = np.linalg.eigh(MeanCovariance.of(rows).cov)
    in_span = values > len(values) * np.finfo(np.float64).eps * values[-1]
    found = (vectors * in_span).T[::-1]
    return found * np.where(np.diag(found) < 0, -1.0, 1.0)[:, None]


def measured(law: Population, n: int, count: int, source: str) -> Iterator[Reading]:
    """Every number of ``count`` training sets of n rows, each (count,)."""
    sets = [list(of_one(*law.draw(n, seed), law.spectrum)) for seed in range(count)]
    for same in zip(*sets, strict=True):
        name, at = same[0].name, {"source": source, **same[0].at}
        yield Reading(name, at, np.array([r.value for r in same]))


def of_one(rows: np.ndarray, test: MeanCovariance, spectrum: np.ndarray) -> Iterator[Reading]:
    """The numbers of one training set: |cos| of single directions; overlaps, angles in degrees and
    variance held, of the k leading ones; the share of the test data's variance that it spans.
    """
    found = leading(rows)
    for i in range(min(SHOWN, len(found))):
        yield Reading("cos", {"rank": i + 1}, abs(float(found[i, i])))
    share = np.einsum("ij,jk,ik->i", found, test.cov, found) / float(np.trace(test.cov))
    best = np.cumsum(spectrum) / spectrum.sum()
    for k in counts(len(found)):
        at = {"leading": k}
        cosines = np.clip(np.linalg.svd(found[:k, :k], compute_uv=False), 0.0, 1.0)
        yield Reading("overlap", at, float((cosines**2).mean()))
        yield Reading("angle", at, float(np.degrees(np.arccos(cosines[-1]))))
    yield Reading("span", {}, float(share.sum()))
    for k in counts(len(found)):
        yield Reading("captured", {"leading": k}, float(share[:k].sum() / best[k - 1]))


def known(law: Population) -> Iterator[Reading]:
    """The law's eigenvalues, and how many images it draws from."""
    yield Reading("spectrum", {}, law.spectrum)
    if law.rows is not None:
        yield Reading("rows", {}, np.array([float(len(law.rows))]))


def pictures(law: Population, n: int) -> Iterator[Reading]:
    """The leading directions of the first training set and of all images, as images."""
    if law.basis is None:
        return
    ranks = np.arange(1, min(SHOWN, law.d) + 1)
    for source, vectors in (("simulation", leading(law.draw(n, 0)[0])), ("law", np.eye(law.d))):
        images = law.images(vectors[: len(ranks)]).astype(np.float16)
        yield Reading("picture", {"source": source, "rank": ranks}, images)


def _named(r: Reading) -> str:
    """The name of a reading's mean among the values of its cell."""
    prefix = "twin_" if r.at["source"] == "twin" else ""
    which = [str(r.at[c]) for c in ("rank", "leading") if c in r.at]
    return prefix + "_".join([r.name, *which])


def theory(spectrum: np.ndarray, total: int | None, sizes: Sequence[int]) -> Readings:
    """What is expected of Gaussian rows of this spectrum, out of ``total``, at these sizes and
    between, beside what chance and the number of directions alone would give.
    """
    d, grid = len(spectrum), between(sizes, len(spectrum))
    in_span = 1 - unseen_variance(spectrum, grid - 1) / spectrum.sum()
    found = list(_line("span", grid, in_span, source="theory"))
    found += _line("span", grid, np.minimum(grid - 1, d) / d, source="dimension")
    for k in counts(d):
        overlap = leading_overlap(spectrum, k, grid, total)
        found += _line("overlap", grid, overlap, source="theory", leading=k)
        found += _line("overlap", grid[[0, -1]], [k / d] * 2, source="chance", leading=k)
        found.append(Reading("cost", {"leading": k}, np.array([leading_cost(spectrum, k)])))
    for name, value in (("d", d), ("d_eff", participation_ratio(spectrum))):
        found.append(Reading(name, {}, np.array([float(value)])))
    found.append(Reading("gap", {}, np.array([spectrum[0] / spectrum[1]])))
    return Readings(found, QUANTITIES)


def _line(name: str, sizes: np.ndarray, values: Any, **at: Any) -> Iterator[Reading]:
    for size, value in zip(sizes.tolist(), values):
        yield Reading(name, {"rows": size, **at}, np.array([float(value)]))


# What is claimed


def spanned(found: Readings) -> Iterator[Told]:
    """Much of the variance, little of the space."""
    span = found.of("span")
    own, directions = span.of(source="simulation"), span.of(source="dimension")
    near = nearest(own, found.of("d_eff"))
    yield Claim(
        "About N = d_eff rows span more of the variance than of the space (share of the variance"
        " less share of the directions)",
        near.against(directions, name="spared", apart="source"),
        above(0),
        beside={
            "Share of the variance": near,
            "Share of the directions": directions.meeting(near.dropped("source")),
            f"{FOUND:.0%} of the variance is spanned from N": reached(own),
            f"{NEARLY:.0%}, in theory, from N": reached(span.of(source="theory"), NEARLY),
        },
        note="d_eff = (Tr Σ)²/Tr Σ². A model has samples in no direction that its rows lack.",
    )
    yield figure(
        "variance",
        "**Not enough to span the space.** The share of the variance (of images that were not"
        " drawn, or of the law) in the span of N rows: well before N = d most of it, though never"
        " more than N − 1 of d directions.",
        *by_data(span.of(source=lambda source: source != "twin"), found),
    )


def order(found: Readings) -> Iterator[Told]:
    """Which directions are found first, and what mixing them up costs."""
    overlap, captured = (found.of(name, source="simulation") for name in ("overlap", "captured"))
    ends = [
        paired(some.first("leading"), some.last("leading"), "leading")
        for _, some in overlap.by("data")
    ]
    late, first = sooner_found(sum(ends, found.of(data=[]))), found_over_d_eff(found)
    images = found.of("overlap", source="twin").along("data")
    kinds = {"power-law data": lambda data: data not in images, "images": images}
    for kind, data in kinds.items():
        yield Claim(
            f"Of {kind} the first direction is found long before the tail (N from which its"
            f" overlap is {FOUND:g} over that of the most directions looked at together)",
            late.of(data=data),
            below(0.5),
            beside={
                "N of all": reached(overlap.of(data=data)),
                "Largest variance over the second": found.of("gap", data=data),
                "Rows that k directions cost, (1 − overlap) N": found.of("cost", data=data),
            },
            note="Gaps between variances decide: a direction whose variance is nearly that of the"
            " next one is found late, even the first.",
        )
        yield Claim(
            f"Of {kind} the first direction is found within {SEVERAL} d_eff rows (N over d_eff)",
            first.of(data=data),
            below(SEVERAL),
            beside={"d_eff": found.of("d_eff", data=data), "d": found.of("d", data=data)},
        )
    yield Claim(
        "Neighbours of nearly equal variance that are mixed up cost little variance: k directions"
        f" hold {FOUND:.0%} of what k can from fewer rows than they take to be found (N over N)",
        sooner_found(paired(captured, overlap)),
        below(1),
        beside={f"{FOUND:.0%} is held from N": reached(captured)},
    )


def agreement(found: Readings) -> Iterator[Told]:
    """Theory and Gaussian twins beside training sets."""
    span, overlap = found.of("span"), found.of("overlap")
    yield Claim(
        "Theory predicts the variance that N rows span (relative difference)",
        relative(span, span.of(source="theory")),
        within(-CLOSE, CLOSE),
        published="1 − (N − 1) κ(0) / Tr Σ (Merger and Goldt 2025)",
    )
    yield Claim(
        "Theory to first order in 1/N predicts overlaps, where it expects more than"
        f" {FOUND:g} (relative difference)",
        relative(overlap, told(overlap.of(source="theory"), FOUND)),
        within(-CLOSE, CLOSE),
        published="Anderson 1963",
        note="Below that the next orders count. Training sets out of M rows: 1/N − 1/M for 1/N.",
    )
    twins = beyond_gaussian(overlap)
    yield Claim(
        "Leading directions of images are found as those of Gaussian rows of exactly their"
        " covariance and number (overlap less the twin's)",
        twins,
        within(-CLOSE, CLOSE),
        beside={"Spanned variance less the twin's": beyond_gaussian(span)},
    )
    yield Claim("The naive answer, d_eff = (Tr Σ)²/Tr Σ², in rows", found.of("d_eff"))


def nearest(own: Readings, d_eff: Readings) -> Readings:
    """At the measured size nearest, by ratio, to d_eff."""
    chosen = own.of(data=[])
    for data, some in own.by("data"):
        wanted = d_eff.of(data=data).one[0]
        chosen += some.of(rows=min(some.along("rows"), key=lambda n: abs(np.log(n / wanted))))
    return chosen


def reached(some: Readings, share: float = FOUND) -> Readings:
    """The size from which each stays above a share."""
    make = partial(closing, height=1 - share)
    return some.map(lambda v: 1 - v).across("rows", make, "found_at")


def paired(one: Readings, other: Readings, apart: str | Sequence[str] = ()) -> Readings:
    """What two shares lack of 1, set by set, (sets, 2)."""
    both = one.against(other, lambda a, b: 1 - np.stack([a, b], -1), apart=apart)
    return both.dropped("leading") if apart else both


def sooner_found(lacking: Readings) -> Readings:
    """The size at which the first of two shares is found over that of the second."""
    return lacking.across("rows", partial(sooner, height=1 - FOUND), "sooner")


def found_over_d_eff(found: Readings) -> Readings:
    """The size from which the first direction is found, over d_eff."""
    wanted = {r.at["data"]: r.value[0] for r in found.of("d_eff")}
    lacking = found.of("overlap", source="simulation", leading=1).map(lambda v: 1 - v)
    over = lacking.named(per_d=lambda at: at["rows"] / wanted[at["data"]]).dropped("rows")
    return over.across("per_d", partial(closing, height=1 - FOUND), "in_d_eff")


def relative(some: Readings, expected: Readings) -> Readings:
    """The relative difference of training sets from theory."""
    own = some.of(source="simulation")
    return own.against(expected, lambda a, b: a / b - 1, "off", apart="source")


def beyond_gaussian(some: Readings) -> Readings:
    """Images less their Gaussian twin."""
    own, twin = (some.of(source=source) for source in ("simulation", "twin"))
    return own.against(twin, name="beyond", apart="source").dropped("source")


def told(lines: Readings, least: float) -> Readings:
    """Where a line is above the least."""
    return Readings([r for r in lines if r.value[0] > least], QUANTITIES)


# What is drawn


def by_data(some: Readings, found: Readings, color: str = "") -> Iterator[Plot]:
    """A panel for each kind of data against N, with N = d_eff and N = d: training sets as dots,
    means of the twin, theory and chance as lines.
    """
    for data, here in some.by("data"):
        d, d_eff = (found.of(name, data=data).one[0] for name in ("d", "d_eff"))
        yield Plot(
            here.of(source="simulation"),
            "rows",
            color,
            "source",
            title=f"{data}, d = {d:.0f}",
            theory=here.of(source=lambda source: source != "simulation").map(np.mean),
            positions={"N = d_eff": d_eff, "N = d": d},
        )


def overlaps(found: Readings) -> Iterator[Told]:
    """The subspaces of leading directions: overlaps, angles, and the variance that they hold."""
    overlap = found.of("overlap")
    theory = overlap.of(source="theory")
    drawn = overlap.of(source=["simulation", "twin", "chance"]) + told(theory, TOLD)
    yield "How they are found"
    yield figure(
        "overlap",
        "**How much of the k leading directions N rows find**: the overlap of their subspace with"
        " the law's, 1 where the two are the same, k/d by chance. Theory is that to first order in"
        " 1/N. A direction whose variance is nearly that of the next one is found late, even the"
        " first.",
        *by_data(drawn, found, "leading"),
    )
    yield figure(
        "angles",
        "**The worst direction among the k leading ones**: the largest principal angle between"
        " their subspace and the law's; 90° means that some direction of one is not in the other"
        " at all.",
        *by_data(found.of("angle"), found, "leading"),
    )
    yield figure(
        "captured",
        "**What the k leading training directions hold** of the variance, relative to the most that"
        " k directions can: those that are mixed up with their neighbours cost little.",
        *by_data(found.of("captured"), found, "leading"),
    )
    own = overlap.of(source="simulation")
    for name, some in (("overlap", own), ("variance held", found.of("captured"))):
        title = f"{name.capitalize()} from {FOUND:g} on"
        yield crosstab(title, reached(some.of(source="simulation")), "data", "leading")


def directions(found: Readings) -> Iterator[Told]:
    """The directions of images, as images."""
    yield "The directions as images"
    for data, some in found.of("picture").by("data"):
        yield pictured(data, some, found.of("cos", data=data, source="simulation"))


def pictured(data: str, some: Readings, cosines: Readings) -> Gallery:
    """Leading directions of the first training set at a few sizes, and last those of the law, with
    |cos| under each; "none" where the rows span no further.
    """
    strips = []
    for rows, here in some.of(source="simulation").thinned("rows", STRIPS).by("rows"):
        notes = [units.value[0] for units in cosines.of(rows=rows)]
        strips.append((f"N = {rows}", [_tile(r, cos) for r, cos in zip(here, notes)]))
    whole = some.of(source="law").of(rows=some.along("rows")[-1:])
    strips.append(("all images", [(signed(r.value.astype(np.float64)), "") for r in whole]))
    names = [str(r.at["rank"]) for r in whole]
    return gallery(f"Leading directions, {data}: grey is zero; under each |cos|", names, strips)


def _tile(r: Reading, cosine: float) -> Tile:
    image = r.value.astype(np.float64)
    return signed(image), f"{cosine:.2f}" if image.any() else "none"
