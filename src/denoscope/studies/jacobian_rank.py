"""Rank of the denoiser's Jacobian against the noise level: low in between, high at both ends, and
what of it the data explain.

The Jacobian J of a network is asked at noisy images, seen and unseen, and along its own sampling
paths, by the two rules for a numerical rank in use: the least number of singular values that hold
more than 0.99 of the Frobenius norm, or of its square, the energy (Wang et al. 2024; Chen et al.
2024). Beside it stand the memorizer, the Gaussians of the training and of all images, and the true
denoiser where it is known, whose Jacobians are posterior covariances over σ² and tend to Cov/σ²: an
exact denoiser ends at the rank of the covariance. J counts as zero, of rank 0, where noise of one σ
moves the answer by less than a float32 rounds a pixel of 1. Its size, its symmetry, and the
intrinsic dimension that it states beside that of the images, are measured as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from denoscope.coordinates import name_of
from denoscope.data.sources import truth
from denoscope.data.splits import Split
from denoscope.data.synthetic import SPREAD, SUBSPACES
from denoscope.distributions import Empirical
from denoscope.estimate import exact, median, share
from denoscope.fitting.recipe import at_least
from denoscope.geometry.dimension import dimensions, flipd, normal_bundle_dimension, plateau
from denoscope.geometry.jacobian_facts import PROBES, jacobian_facts, memorizer_facts
from denoscope.geometry.ranks import gaussian_rank
from denoscope.readings import Quantity, Reading, Readings, expanded
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Plot, figure
from denoscope.report.story import Told, table
from denoscope.sampling import trajectory
from denoscope.schedule import VPSDE
from denoscope.store import Row, Value
from denoscope.studies._probed import Probed
from denoscope.studies._subject import Subject
from denoscope.study import option
from denoscope.types import Denoiser

LEVELS = np.geomspace(0.02, 80.0, 13)  # of the points x0 + σn, each about twice the one before
HIGH = float(LEVELS[-1])
SMALL, MANY = 256, 16  # numbers of a small image; its points at a level where none are asked for
FEW, STRIDE = 6, 3  # points of other images, and of their paths every third state
BUNDLE, BUNDLES = 0.05, 6  # noise level and clean points of the normal bundle
MOST = 2000  # images that the data's dimension is taken from, at most
MIDDLE, BELOW = (0.2, 0.7), 0.1  # times between which published ranks over pixels stay below this
WINDOWS, SYMMETRIC = ((0.0, 0.1), (0.6, 0.7)), 0.2  # times at which they are so nearly symmetric
ONE = 1.01  # a difference of at most one direction

SHARE, LEAST = "rank / pixels", "noisy unseen images, 0.99 of the norm"
QUANTITIES = {
    "ratio": Quantity(SHARE, interval=median),
    "size": Quantity("‖J‖", interval=median, form=".3g"),
    "scaled": Quantity("σ²‖J‖", interval=median, form=".3g"),
    "asymmetry": Quantity("‖J − Jᵀ‖ / ‖J‖", interval=median, tip="where the rank is lowest"),
    "trace": Quantity("trace of J", form=".3g"),
    "flipd": Quantity("FLIPD", form=".3g", tip="tr J + ‖D(x) − x‖²/σ², clean unseen images"),
    "bundle": Quantity("normal bundle", "dimension", median, ".3g"),
    "copies": Quantity("copies", "share", share),
    "spectrum": Quantity("variances"),
    "pixels": Quantity("pixels", interval=exact, form=".0f"),
    "dimension": Quantity("dimension", form=".3g", tip="with its interval, mostly 95 %"),
    "limit": Quantity(SHARE, interval=exact, tip="of the covariance"),
    "trough": Quantity("least", SHARE, tip="each point where the other half is lowest"),
    "there": Quantity("at the end", SHARE, median),
    "rise": Quantity("rise", SHARE, tip="from the least to the end, point by point"),
    "middle": Quantity(SHARE, tip="t from 0.2 to 0.7"),
    "change": Quantity("change", SHARE),
    "excess": Quantity("excess", SHARE, median),
    "norm": Quantity("‖Cov‖", form=".3g"),
    "relative": Quantity("σ²‖J‖ / ‖Cov‖", interval=median, form=".3g"),
    "directions": Quantity("difference", "directions", median, ".2g"),
    "zero": Quantity("zero", "share", exact, ".3f"),
    "plateau": Quantity("FLIPD", form=".3g"),
    "fall": Quantity("change of FLIPD", form=".3g"),
    "least": Quantity("least", SHARE, median, tip=LEAST),
    "least_level": Quantity("at σ", "", exact, ".2g", "the level of the least rank"),
    "low_end": Quantity("low end", SHARE, median, tip="at the lowest level"),
    "high_end": Quantity("high end", SHARE, median, tip="at the highest level"),
    "zeros": Quantity("zero", "points", exact, ".0f", "numerically zero Jacobians"),
    "memorized": Quantity("copies", "share", share, tip="of samples, by the 1/3 rule"),
}
ARMS = ["trough", "there", "rise"]
UNITS = ("ratio", "size", "asymmetry", "trace", "flipd", "bundle", "copies")
MODELS = ("n", "width", "model")


@dataclass(frozen=True, kw_only=True)
class JacobianRank(Probed):
    """Rank of a denoiser's Jacobian over the noise levels, beside closed forms; its dimension."""

    version: ClassVar[int] = 3
    heading: ClassVar[str] = "Rank of the denoiser's Jacobian"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    seconds: ClassVar[float] = 8.0
    references: ClassVar[tuple[str, ...]] = (
        "wang2024", "chen2024", "kadkhodaie2024", "karras2022", "yoon2023", "meyer2021",
        "facco2017", "levina2004", "kamkari2024", "stanczuk2024",
    )  # fmt: skip

    points: int = option(0, "points at each noise level; 0: 16, of more than 256 numbers 6")

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, {"points": 0})

    def readings(self, subject: Subject) -> Iterator[Reading]:
        size, data = subject.shape.numel(), subject.data
        count = min(self.points or (MANY if size <= SMALL else FEW), subject.noises)
        yield Reading("pixels", {}, np.array([size]))
        yield from ranks("network", subject.denoiser, subject, count)
        yield from stated("network", subject.denoiser, subject, count)
        yield from closed_forms(data, count, subject.noises, subject.steps)
        if len(data.train()) > 1:
            yield Reading("copies", {}, subject.copies())

    def values(self, readings: Sequence[Reading]) -> dict[str, Value]:
        found = expanded(readings, QUANTITIES)
        every = found.of("ratio", who="network", rule="norm")
        ratio, copies = every.of(place="test"), found.of("copies").estimates()
        least = min(ratio, key=lambda r: float(np.median(r.value)))
        skew = found.of("asymmetry", who="network", sigma=least.at["sigma"])
        return {
            "size": pixels(found), "points": len(least.value), "least_level": least.at["sigma"],
            "least": median(least.value), "low_end": ratio.first("sigma").estimates().one,
            "high_end": ratio.last("sigma").estimates().one, "asymmetry": skew.estimates().one,
            "zeros": sum(int((r.value == 0).sum()) for r in every),
            "memorized": copies.one if copies else None,
            **{f"dimension_{r.at['estimator']}": r.value for r in found.of("dimension")},
        }  # fmt: skip

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        return {**super().about(rows), "points per level": rows[0].values.get("points")}

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        every = found.of(*UNITS).over("seed", "subset")
        ratio = every.of("ratio", rule="norm")
        law = gaussians(found, np.geomspace(LEVELS[0], HIGH, 80))
        limit = gaussians(found, np.array([np.inf])).dropped("sigma").named("limit")
        network = ratio.of(who="network")
        yield from u_shape(network)
        yield from right_arm(every, limit, found)
        yield from networks(every, ratio)
        yield from ends(ratio, limit, law, found)
        yield from known_ranks(ratio, found)
        yield from dimension_stated(every, found)
        yield beside_closed_forms("test", "at noisy unseen images", ratio.of(place="test"), law)
        yield "Rank of the Jacobian elsewhere, over time, and by either rule"
        where, others = "at training images and on sampling paths", ["train", "path"]
        yield beside_closed_forms("elsewhere", where, ratio.of(place=others), law)
        yield from of_networks(network, every.of("ratio", place="test", who="network"))
        yield "Size and symmetry of the Jacobian"
        yield sizes(every)
        yield "Intrinsic dimension"
        yield dimension_figure(every, found)
        yield "The arms of the U"
        yield table("By 0.99 of the norm", arms(network), ("place", *MODELS, "end"), ARMS)
        yield "Dimension of all images that may be trained on"
        yield table("By estimator", of_images(found), ("estimator",), ["dimension"])


# Where a denoiser is asked, and what


def asked(D: Denoiser, subject: Subject, count: int, dtype: torch.dtype) -> Iterator[Any]:
    """Places with their points (levels, count, c, h, w) and levels (levels,): noisy unseen and
    training images, and D's own sampling paths, to all levels but 0.
    """
    for kind in ("test", "train"):
        yield kind, torch.stack([subject.noisy(kind, count, s) for s in LEVELS.tolist()]), LEVELS
    start, sigmas = subject.start()[:count].to(dtype), subject.sigmas
    path = list(trajectory(D, start, sigmas.to(dtype)))
    visited = list(range(0, subject.steps, 1 if subject.shape.numel() <= SMALL else STRIDE))
    yield "path", torch.stack([path[i] for i in visited]), sigmas.double().numpy()[visited]


def ranks(who: str, D: Denoiser, subject: Subject, count: int) -> Iterator[Reading]:
    """Rank over pixels at every place; at noisy unseen images by both rules, and size, trace and
    asymmetry. Closed forms are asked in float64.
    """
    dtype = torch.float32 if who == "network" else torch.float64
    for place, x, levels in asked(D, subject, count, dtype):
        ask: Callable[..., Any] = memorizer_facts if who == "memorizer" else jacobian_facts
        found = ask(D, x.to(dtype), spread(levels, count).to(dtype))
        for rule in ("norm", "energy") if place == "test" else ("norm",):
            at = {"rule": rule, "place": place, "who": who, "sigma": levels}
            yield Reading("ratio", at, getattr(found, rule).float() / subject.shape.numel())
        for name in ("size", "trace", "asymmetry") if place == "test" else ():
            yield Reading(name, {"who": who, "sigma": levels}, getattr(found, name).float())


def spread(levels: np.ndarray, count: int) -> Tensor:
    """Levels in float32, the same at every point, (levels, count)."""
    return torch.tensor(levels, dtype=torch.float32)[:, None].expand(-1, count)


def stated(who: str, D: Denoiser, subject: Subject, count: int) -> Iterator[Reading]:
    """FLIPD at clean unseen images, as if they were noisy; of a network its normal bundle too."""
    clean, network = subject.clean("test", count), who == "network"
    dtype = torch.float32 if network else torch.float64
    x, sigma = clean.expand(len(LEVELS), *clean.shape), spread(LEVELS, count)
    probes = PROBES if network and clean[0].numel() > SMALL else None
    found = flipd(D, x.to(dtype), sigma.to(dtype), probes=probes).value
    yield Reading("flipd", {"who": who, "sigma": LEVELS}, found.float())
    if network:
        some = clean[:BUNDLES]
        bundle = normal_bundle_dimension(D, some, torch.full((len(some),), BUNDLE)).dimension
        yield Reading("bundle", {"who": who}, bundle.float())


@lru_cache(maxsize=16)
def closed_forms(data: Split, count: int, noises: int, steps: int) -> tuple[Reading, ...]:
    """Memorizer and, where it is known, true denoiser at the same points; the eigenvalues of both
    covariances, falling; the dimension of the images.
    """
    memorizer, known = Empirical(data.train().double()), truth(data.source)
    found = list(ranks("memorizer", memorizer, Subject(memorizer, data, noises, steps), count))
    if known is not None:
        subject = Subject(known, data, noises, steps)
        found += [*ranks("truth", known, subject, count), *stated("truth", known, subject, count)]
    for who, law in (("gaussian", data.gaussian()), ("gaussian_all", data.gaussian_all())):
        variances = law.modes.variances.double().clamp_min(0).sort(descending=True).values
        found.append(Reading("spectrum", {"who": who}, variances.numpy()))
    pool = replace(data, size=min(len(data.pool()), MOST), which=0)
    found += [Reading("dimension", {"estimator": k}, e) for k, e in of_pool(pool).items()]
    return tuple(found)


of_pool = lru_cache(maxsize=4)(lambda data: dimensions(data.train().flatten(1)))


# What is derived


def pixels(found: Readings) -> int:
    """Numbers of an image."""
    return int(found.of("pixels")[0].value[0])


def time(sigma: float) -> float:
    """The time of the linear variance-preserving diffusion at which a level is reached."""
    return float(VPSDE().time(torch.tensor(sigma, dtype=torch.float64)))


def between(window: tuple[float, float]) -> Callable[[float], bool]:
    """Whether a level lies between two times."""
    return lambda sigma: window[0] <= time(sigma) <= window[1]


def gaussians(found: Readings, levels: np.ndarray) -> Readings:
    """Rank over pixels of the Gaussians' Jacobian; at σ = ∞ of their covariance, where it ends."""
    each = (
        Reading("ratio", {**r.at, "sigma": sigma}, np.array([rank / pixels(found)]))
        for r in found.of("spectrum")
        for sigma, rank in zip(levels.tolist(), gaussian_rank(r.value, levels, "norm"))
    )
    return Readings(each, QUANTITIES).over("seed", "subset")


def scaled(size: Readings) -> Readings:
    """σ²‖J‖, which for an exact denoiser is the norm of the posterior covariance."""
    each = [Reading("scaled", r.at, r.value * r.at["sigma"] ** 2) for r in size]
    return Readings(each, QUANTITIES)


def arms(ratio: Readings) -> Readings:
    """The least rank, those at both ends, and how much more they are, point by point."""
    found: list[Reading] = []
    for _, some in ratio.by("place"):
        ends = some.first("sigma").named(end="low") + some.last("sigma").named(end="high")
        there, least = ends.dropped("sigma").named("there"), some.least("sigma").named("trough")
        found += [*there, *least.named(end="low"), *least.named(end="high")]
        found += there.against(least, name="rise")
    return Readings(found, QUANTITIES)


def of_images(found: Readings) -> Readings:
    """The dimension of the images by every estimator that could be used, and the known one."""
    each = {r.at["estimator"]: r.value for r in found.of("dimension")}
    if found.of("ratio", who="truth"):
        each["known"] = exact([SUBSPACES[0]])
    good = [(name, e) for name, e in each.items() if np.isfinite(e.value)]
    return Readings([Reading("dimension", {"estimator": k}, e) for k, e in good], QUANTITIES)


def most(readings: Readings) -> Readings:
    """Those of the network of the most images."""
    return readings.last("n") or readings


# What is claimed


# fmt: off
def u_shape(ratio: Readings) -> Iterator[Told]:
    """Low in between, high at both ends; whether in between it is below a tenth of the pixels."""
    yield Claim(
        "The rank of the Jacobian is U-shaped over the noise: lower in between than at both ends"
        " (rise of rank / pixels, noisy unseen images)",
        arms(ratio).of("rise", place="test"), above(0), "U-shaped (Wang et al. 2024)",
        beside={"Least": ratio.of(place="test").least("sigma")},
        note="Every point is read at the level where the other half of the points is lowest.",
    )
    yield Claim(
        f"Between t = 0.2 and 0.7 the rank stays below {BELOW:g} of the pixels (sampling paths)",
        ratio.of(place="path", sigma=between(MIDDLE)),
        below(BELOW),
        "below 0.1 of thousands of pixels",
        beside={"Least": ratio.of(place="path").least("sigma")},
        note="What is small beside thousands of pixels need not be beside few.",
    )


def right_arm(every: Readings, limit: Readings, found: Readings) -> Iterator[Told]:
    """What of the rise at high noise the covariance of the data accounts for."""
    network = every.of(who="network", sigma=HIGH)
    end = network.of("ratio", rule="norm", place="test")
    variances = found.of("spectrum", who="gaussian_all").over("seed", "subset")
    norm, size = variances.map(np.linalg.norm, "norm"), scaled(network.of("size"))
    relative = size.against(norm, np.divide, "relative", apart="who")
    yield Claim(
        f"The data do not explain the right arm: at σ = {HIGH:g} the rank exceeds that of either"
        " covariance, where an exact denoiser ends (excess, rank / pixels)",
        limit.against(end, lambda of, rank: rank - of, "excess", apart="who"), above(0),
        beside={"Rank there": end, "Of the covariances": limit, "‖J‖ there": network.of("size"),
                "σ²‖J‖ there over the norm of the covariance of all images": relative},
        note="The rest is error of the network: training hardly ever draws noise that high.",
    )


def networks(every: Readings, ratio: Readings) -> Iterator[Told]:
    """Elsewhere; what training on more images does at intermediate noise; symmetry."""
    network = ratio.of(who="network")
    yield Claim(
        "The rank is U-shaped at noisy training images and along sampling paths, too",
        arms(network).of("rise", place=["train", "path"]), above(0), "so along sampling paths",
    )
    every_middle = ratio.of(sigma=between(MIDDLE)).over("sigma").named("middle")
    middle = every_middle.of(who="network")
    yield Claim(
        "At intermediate noise, t from 0.2 to 0.7, the rank changes from the fewest to the most"
        " images by (rank / pixels, noisy unseen images)",
        middle.of(place="test").change("n", "change"),
        beside={"By N": middle.of(place="test"), "Copies": every.of("copies"),
                "Elsewhere": middle.of(place=["train", "path"]).change("n", "change"),
                "Memorizer": every_middle.of(who="memorizer", place="test"),
                "Level by level": network.of(place="test").change("n", "change")},
        note="Means over points and levels, paired.",
    )
    skew = every.of("asymmetry", who="network")
    early, late = (most(skew).of(sigma=between(window)) for window in WINDOWS)
    yield Claim(
        "The Jacobian of the network of the most images is nearly symmetric at t < 0.1 and from 0.6"
        " to 0.7 (‖J − Jᵀ‖/‖J‖)",
        early + late, below(SYMMETRIC), "nearly symmetric at these times",
        beside={"All networks and levels": skew},
        note=f"Up to {SYMMETRIC:g} counts as nearly symmetric; of an exact denoiser it is 0.",
    )


def ends(ratio: Readings, limit: Readings, law: Readings, found: Readings) -> Iterator[Told]:
    """Closed forms end at the covariances' ranks; which Jacobians vanish."""
    count, memorizer = pixels(found), ratio.of(who="memorizer", place="test", sigma=HIGH)
    end = law.last("sigma").against(limit).map(lambda v: exact(v * count), "directions")
    off = memorizer.against(limit.of(who="gaussian"), apart="who")
    yield Claim(
        f"The closed forms end where they must: at σ = {HIGH:g} memorizer and Gaussians have the"
        " rank of their covariance (difference, directions)",
        off.map(lambda v: v * count, "directions") + end, within(-ONE, ONE),
    )
    every = found.of("ratio", who=["network", "memorizer"], rule="norm")
    varied = [c for c in every.varied() if c != "who"]
    yield Claim(
        "Share of the Jacobians that are numerically zero, of rank 0",
        every.joined(*varied).map(lambda v: np.mean(v == 0), "zero"),
        note="A memorizer's posterior is a single image at low noise: its Jacobian vanishes.",
    )


def known_ranks(ratio: Readings, found: Readings) -> Iterator[Told]:
    """Where the law is known: the rank of one subspace at low noise, of all at high noise."""
    count, d, total = pixels(found), SUBSPACES[0], sum(SUBSPACES)

    def less(some: Readings, rank: int) -> Readings:
        return some.map(lambda v: v * count - rank, "directions")

    exactly = ratio.of(who="truth")
    low = less(exactly.of(sigma=lambda s: s <= 0.3 * SPREAD), d)
    yield Claim(
        f"The true denoiser has rank {d} = d at low and {total} = Kd at high noise (difference)",
        low + less(exactly.of(sigma=lambda s: s >= 8 * SPREAD), total),
        within(-0.5, 0.5), f"d below and Kd above the spread {SPREAD:g} of the subspaces",
    )
    network = most(ratio.of(who="network", place="test" if exactly else []))
    sides = {"low": lambda s: s <= 2 * SPREAD, "high": lambda s: s > 2 * SPREAD}
    for (side, levels), rank in zip(sides.items(), (d, total)):
        yield Claim(
            f"The network of the most images has the true rank {rank}, within 1, at some {side}"
            " level (difference)",
            less(network.of(sigma=levels), rank), within(-ONE, ONE), any=True,
        )


def dimension_stated(every: Readings, found: Readings) -> Iterator[Told]:
    """What the network states, and what the images do."""
    flipd, images = every.of("flipd", who="network"), of_images(found)
    yield Claim(
        "The dimension that the network of the most images states falls with the noise (FLIPD at"
        " the highest level less that at the lowest)",
        most(flipd).change("sigma", "fall"), below(0),
        beside={"FLIPD by level": most(flipd), "Of the images": images,
                "Trace of J by level": most(every.of("trace", who="network")),
                f"Normal bundle at σ = {BUNDLE:g}": every.of("bundle")},
        note="The normal bundle has n − 1 dimensions where no direction stands out as across.",
    )
    known = images.of(estimator="known")
    yield Claim(
        f"Where it changes least with σ it is that of a subspace, {SUBSPACES[0]}, within 1 (FLIPD)",
        most(flipd).across("sigma", plateau, "plateau") if known else known,
        within(SUBSPACES[0] - 1, SUBSPACES[0] + 1),
        note="The level is chosen on one half of the points and read on the other.",
    )


# fmt: on
# What is drawn

NETWORKS: dict[str, Any] = {"color": "n", "look": "who", "panel": MODELS[1:]}
WHOLE = (0.0, 1.04)


def beside_closed_forms(name: str, where: str, ratio: Readings, law: Readings) -> Told:
    """The network's rank against the noise level beside all closed forms."""
    return figure(
        f"jacobian_rank_{name}",
        f"**Rank of the Jacobian** (0.99 of the norm) over pixels {where}, beside the closed forms"
        " of the training images; an exact denoiser ends at the rank of the covariance.",
        Plot(ratio, "sigma", "who", panel=(*MODELS, "place"), theory=law, limits=WHOLE),
    )


def of_networks(ratio: Readings, rules: Readings) -> Iterator[Told]:
    """The networks' ranks against time, as in the published figure, and by either rule."""
    timed, mark = ratio.named(time=lambda at: time(at["sigma"])), "published for 0.2 ≤ t ≤ 0.7"
    yield figure(
        "jacobian_rank_time",
        "**Rank of the networks' Jacobian against time** of a linear variance-preserving diffusion"
        " (β from 0.1 to 20) that has the noise level σ, σ² = exp(9.95 t² + 0.1 t) − 1.",
        Plot(timed, "time", "n", panel=("place", *MODELS[1:]), levels={mark: BELOW}, limits=WHOLE),
    )
    yield figure(
        "jacobian_rank_rules",
        "**Two rules in use**: the least number of singular values that hold more than 0.99 of the"
        " Frobenius norm (0.9801 of its square; published), or of its square.",
        Plot(rules, "sigma", "n", panel=("rule", *MODELS[1:]), limits=WHOLE),
    )


def sizes(every: Readings) -> Told:
    """The Jacobian's norm, as it is and times σ², and its asymmetry."""
    size = every.of("size", who=["network", "memorizer"])
    log: dict[str, Any] = {"scale": "log", **NETWORKS}
    return figure(
        "jacobian_rank_size",
        "**How large, and how symmetric**, at noisy unseen images. σ²‖J‖ of an exact denoiser tends"
        " to the norm of the covariance; its asymmetry, and that of all closed forms, is 0.",
        Plot(size, "sigma", title="Size", limits=(1e-5, 20.0), **log),
        Plot(scaled(size), "sigma", title="Size times σ²", limits=(1e-3, 2e3), **log),
        Plot(every.of("asymmetry", who="network"), "sigma", title="Asymmetry", **NETWORKS),
    )


def dimension_figure(every: Readings, found: Readings) -> Told:
    """FLIPD and the trace against the noise level, with the estimates from the images as levels."""
    images = {name_of("estimator", r.at["estimator"]): r.value.value for r in of_images(found)}
    true = most(every.of("flipd", "trace", who="truth")).map(np.mean).dropped("n")
    log: dict[str, Any] = {"scale": "log", "levels": images, **NETWORKS}
    log |= {"limits": (0.8, 1.4 * pixels(found)), "y": "dimension"}
    plots = [
        Plot(every.of(name, who="network"), "sigma", title=title, theory=true.of(name), **log)
        for name, title in (("flipd", "FLIPD"), ("trace", "Trace of J"))
    ]
    return figure(
        "jacobian_rank_dimension",
        "**Intrinsic dimension at the scale σ**: FLIPD at clean unseen images, and the trace of J"
        " at noisy ones, the directions that are kept. Horizontal: from the images.",
        *plots,
    )
