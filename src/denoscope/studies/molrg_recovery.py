"""Recovering subspaces from few points: clustering and diffusion training change from failure to
success at as many points as dimensions.

Every instance is a fresh mixture of K mutually orthogonal d-dimensional Gaussians in n dimensions,
N_k points x = U_k a + noise in each. Two methods see the same points and the same starts:

* clustering, K-subspaces (for K = 1 uncentred PCA): the bases that keep the most energy, (1/N) sum
  max_k |U_k^T x|^2;
* training: the denoiser that the mixture itself would have, with unknown bases, E[x0|x] = sum w_k
  U_k U_k^T x / (1 + sigma^2), by its denoising loss.

Both keep all columns mutually orthonormal, and clustering is run without that constraint too. An
instance is recovered if the farthest of its subspaces, after matching, is at most 1/2 away, |U U^T
- V V^T|_F. Where it is not, the method's own objective is compared with its value at the truth:
worse is the optimiser's failure, better is the data's (Wang et al. 2024, Figures 4 and 7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from torch import Tensor

from denoscope.distributions import MoLRG
from denoscope.estimate import bounded, exact, mean, proportion, share
from denoscope.fitting import subspaces as fitting
from denoscope.fitting.instances import STARTS, Instances, instances
from denoscope.fitting.recipe import among, at_least, crowded
from denoscope.geometry import k_subspaces, match, objective
from denoscope.geometry.equivalence import departures
from denoscope.random import generator
from denoscope.readings import Quantity, Reading, Readings, expanded, stored
from denoscope.report.claims import Claim, above, below, within
from denoscope.report.plots import Map, Plot, figure, heat_maps
from denoscope.report.story import Told, table
from denoscope.store import Row
from denoscope.studies._reported import Reported
from denoscope.study import Result, Work, axis, option

METHODS = ("clustering", "training")
LEAST: dict[str, int] = dict.fromkeys(
    ("k", "d", "fewest", "n", "trials", "starts", "keep", "steps"), 1
)
LEAST |= {"noise": 0}

SUCCESS = 0.5
"""The largest |U U^T - V V^T|_F at which a subspace counts as recovered."""
ROUNDING = 1e-9
"""Relative difference of objectives that counts as none."""
AGREEING, RARE, FEW, MOST = 0.95, 0.01, 0.05, 0.9
"""Shares: methods end alike, failures of the optimiser are rare, nothing or all is recovered."""
SMALL = 0.01
"""Relative change of the loss that counts as none."""
SIGMAS, SHOWN_POINTS = np.geomspace(0.02, 4.0, 16), 50
"""Noise levels, and points per subspace, at which denoising is compared with clustering."""

of_instances = partial(Quantity, unit="share", interval=share, form=".3f")
QUANTITIES = {
    "success": of_instances("recovered", tip="every subspace, all N_k together"),
    "optimiser_failures": of_instances(
        "optimiser's failures", tip="not recovered, objective below the truth's"
    ),
    "statistical_failures": of_instances(
        "data's failures", tip="not recovered, objective as good as the truth's"
    ),
    "distance": Quantity("distance of the farthest subspace", "Frobenius norm"),
    "gain": Quantity("gain of the objective over the truth's", "relative", form=".2g"),
    "free_distance": Quantity("distance without orthogonality", "Frobenius norm"),
    "recovered": of_instances("recovered", tip="every subspace"),
    "below": of_instances("optimiser's failures", tip="objective below the truth's"),
    "above": of_instances("data's failures", tip="objective at least the truth's"),
    "same": of_instances("same outcome", tip="both recover, or both fail"),
    "overlap": of_instances("cells", tip="with overlapping exact intervals"),
    "shift": Quantity("difference of the shares", form=".3f", tip="paired by instance"),
    "edge": Quantity("N_k = d", interval=exact),
    "later": Quantity("N_k = d + 1", interval=exact),
    "change": Quantity("relative change of the loss", form=".2g", tip="against clustering's form"),
    "simulated": Quantity("simulation over formula, less 1", form=".2g"),
    "wrong": Quantity("assigned elsewhere", "share of points", bounded(mean)),
}


@dataclass(frozen=True, kw_only=True)
class MolrgRecovery(Reported):
    """Success of one method at one K and d by number of points: a column of a success map."""

    version: ClassVar[int] = 2
    references: ClassVar[tuple[str, ...]] = ("wang2024", "clopper1934")
    heading: ClassVar[str] = "Recovering subspaces from few points"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("noise", "start", "k", "method", "d")

    k: int = axis(1, "number of subspaces", (1, 2, 3))
    d: int = axis(2, "dimension of each", (2, 3, 4, 5, 6, 7, 8))
    noise: float = axis(0.01, "standard deviation of what is added to every entry", (0.01,))
    start: str = axis(
        "neighbours", f"where both methods start: {' or '.join(STARTS)}", ("neighbours",)
    )
    method: str = axis("clustering", f"{' or '.join(METHODS)}", METHODS)
    fewest: int = option(2, "least number of points per subspace, N_k")
    most: int = option(15, "largest number of points per subspace; every one between is measured")
    trials: int = option(20, "random instances for each K, d and N_k")
    n: int = option(48, "dimension of the space")
    starts: int = option(64, "starts of each instance")
    keep: int = option(8, "the best starts, which both methods follow to the end")
    steps: int = option(150, "steps of diffusion training of the starts that were kept")

    def __post_init__(self) -> None:
        at_least(self, LEAST)
        among(self, start=STARTS, method=METHODS)
        if self.most < self.fewest:
            raise ValueError(f"--most {self.most}: must be at least --fewest {self.fewest}")

    def counts(self) -> range:
        """The numbers of points per subspace."""
        return range(self.fewest, self.most + 1)

    def instances(self) -> Instances:
        """``trials`` instances for each of the numbers of points."""
        size = {"n": self.n, "noise": self.noise, "starts": self.starts, "start": self.start}
        return instances(self.k, self.d, self.counts(), self.trials, **size)

    def infeasible(self) -> str:
        return crowded(self.n, k=self.k, d=self.d)

    def cost(self) -> float:
        instances, columns = self.trials * len(self.counts()), self.k * self.d
        points = self.k * (self.fewest + self.most) / 2
        small = 2e-6 * (2 + 1.2e-3 * points * columns * self.n / 48 + 0.03 * columns**2)
        drawing = instances * (1e-3 + 2 * self.starts * small)
        if self.method == "clustering":
            return drawing + instances * self.starts * 12 * small
        steps = self.starts * (fitting.SCREENED + 2) + self.keep * self.steps
        return drawing + 2 * instances * small * steps

    def run(self, work: Work = Work()) -> Result:  # noqa: B008
        solve = clustered if self.method == "clustering" else trained
        counts = np.array(self.counts())
        drawn = self.instances()
        shape, made = (len(counts), self.trials), solve(self, drawn, work)
        found = {name: value.reshape(shape).numpy() for name, value in made.items()}
        success = recovered(found["distance"])
        failed = optimiser_failed(found["gain"], found["distance"])
        shares = {"success": success, "optimiser_failures": failed}
        shares["statistical_failures"] = ~success & ~failed
        values = {name: proportion(int(of.sum()), of.size) for name, of in shares.items()}
        found = {name: value.astype(np.float32) for name, value in found.items()}
        readings = [Reading(name, {"n_k": counts}, value) for name, value in found.items()]
        return Result(values, stored(readings))

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Readings of all cells, what follows by instance, and how denoising leaves clustering."""
        found = super().found(rows).of("distance", "gain", "free_distance")
        found = found.named(excess=lambda at: at["n_k"] - at["d"])
        distance, gain = found.of("distance"), found.of("gain")
        success = distance.map(recovered, "recovered")
        free = found.of("free_distance").map(recovered, "recovered").named(method="free")
        below = gain.against(distance, optimiser_failed, "below")
        above = gain.against(
            distance, lambda g, d: ~recovered(d) & ~optimiser_failed(g, d), "above"
        )
        return success + free.of(k=lambda k: k > 1) + below + above + departed(rows)

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        success = found.of("recovered", method=list(METHODS))
        yield from edge_claims(success)
        yield from agreement(success)
        yield optimiser(found)
        yield from without_orthogonality(found)
        yield from equivalence(found)
        places = list(dict.fromkeys((r.at["noise"], r.at["start"]) for r in success))
        for number, (noise, start) in enumerate(places, 1):
            yield from figures(found.of(noise=noise, start=start), number)
        yield "Denoising and clustering"
        yield departure_figure(found)
        yield "All numbers of points"
        keys = [c for c in (*cls.places, "n_k") if c not in ("noise", "start") or len(places) > 1]
        yield table("By K, d and N_k", found, keys, ["recovered", "below", "above"])

    @classmethod
    def subtitle(cls, rows: Sequence[Row]) -> str:
        ks = sorted({int(str(row.fields["k"])) for row in rows})
        fields = rows[0].fields
        return (
            f"Mixtures of K = {', '.join(map(str, ks))} low-rank Gaussians in {fields['n']} "
            f"dimensions, {fields['trials']} instances for each K, d and N_k"
        )

    @classmethod
    def about(cls, rows: Sequence[Row]) -> dict[str, object]:
        fields = rows[0].fields
        return {
            "instances": f"{fields['trials']} for each K, d and N_k; the same at every noise level "
            "and for both methods",
            "starts": f"{fields['starts']} an instance, the same bases for both methods: "
            "neighbours are K random points, with their d − 1 nearest in angle; random is uniform",
            "clustering": "all starts climb to rest without mutual orthogonality, are made "
            f"orthonormal, and the best {fields['keep']} climb on; K = 1: uncentred PCA",
            "training": f"all starts train {fitting.SCREENED} steps, the best {fields['keep']} by "
            f"their loss another {fields['steps']}; noise-prediction loss, σ from {fitting.LOW:g} "
            f"to {fitting.HIGH:g} uniform in log σ, every noise with both signs, gradient steps of "
            f"{fitting.RATE:g} over the mean eigenvalue falling to 0, polar retraction",
        }


# ---- what is measured


def clustered(cell: MolrgRecovery, of: Instances, work: Work) -> dict[str, Tensor]:
    """K-subspaces with mutually orthogonal subspaces; ``free`` is without that constraint. All
    (b,).
    """
    found = k_subspaces(of.x, of.starts, keep=cell.keep)
    work.tell(0.7)
    free = k_subspaces(of.x, of.starts, keep=cell.keep, joint=False)
    return {
        "distance": match(found.bases, of.truth)[1].amax(1),
        "gain": found.objective / objective(of.x, of.truth) - 1,
        "free_distance": match(free.bases, of.truth)[1].amax(1),
    }


def trained(cell: MolrgRecovery, of: Instances, work: Work) -> dict[str, Tensor]:
    """Diffusion training; the gain is what its loss is below the truth's, over the energy. All
    (b,).
    """
    found = fitting.train_subspaces(of, keep=cell.keep, steps=cell.steps, tell=work.tell)
    energy = of.x.square().sum((1, 2))
    gain = ((found.truth - found.loss) / energy).double()
    return {"distance": match(found.bases, of.truth)[1].amax(1), "gain": gain}


def recovered(distance: np.ndarray) -> np.ndarray:
    """Whether every subspace of an instance is recovered."""
    return distance <= SUCCESS


def optimiser_failed(gain: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Whether an instance is not recovered and its objective is worse than the truth's."""
    return ~recovered(distance) & (gain < -ROUNDING)


def departed(rows: Sequence[Row]) -> Readings:
    """How far noise takes denoising from clustering, at the truth of the widest mixture; K > 1."""
    k, d, n = max(tuple(int(str(row.fields[name])) for name in ("k", "d", "n")) for row in rows)
    if k < 2:
        return Readings((), QUANTITIES)
    law = MoLRG.random(n, (d,) * k)
    x = law.labelled([SHOWN_POINTS] * k, generator(1)).points
    found, level = departures(law.bases, x, SIGMAS.tolist()), {"k": k, "d": d, "sigma": SIGMAS}
    whole = found.exact[:, None]
    parts = [
        Reading("change", {**level, "assignment": "noisy"}, found.argmax / whole),
        Reading("change", {**level, "assignment": "soft"}, found.soft / whole),
        Reading("simulated", level, found.clean / whole - 1),
        Reading("wrong", level, found.wrong),
    ]
    return expanded(parts, QUANTITIES)


# ---- what is claimed


def pooled(success: Readings) -> Readings:
    """All dimensions and numbers of points together."""
    return success.joined("d", "n_k", "excess")


def edge_claims(success: Readings) -> Iterator[Claim]:
    at = {offset: pooled(success.of(excess=offset)) for offset in range(3)}
    says, few = "Fewer points than dimensions recover nothing", success.of(excess=lambda e: e < 0)
    yield Claim(says, pooled(few), below(FEW), "failure below N_k = d, Figures 4 and 7")
    yield Claim(
        "Two points more than dimensions recover the subspaces",
        at[2],
        above(MOST),
        "success from N_k = d on, Figures 4 and 7",
        beside={"as many points as dimensions": at[0], "one point more": at[1]},
    )


def agreement(success: Readings) -> Iterator[Claim]:
    one, two = (success.of(method=name).dropped("method") for name in METHODS)
    one, two = one.meeting(two), two.meeting(one)
    overlap = one.against(two, overlapping, "overlap")
    yield Claim(
        "Clustering and diffusion training recover the same instances",
        pooled(one.against(two, np.equal, "same")),
        above(AGREEING),
        "the two success maps are the same, Figures 4 and 7",
        beside={
            "training less clustering": pooled(two.against(one, name="shift")),
            "cells in which the intervals of the two shares overlap": pooled(overlap),
        },
    )


def overlapping(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Whether the exact intervals of two shares overlap."""
    a, b = share(one), share(two)
    return np.array([a.low <= b.high and b.low <= a.high])


def optimiser(found: Readings) -> Claim:
    return Claim(
        "Failures are the data's, not the optimiser's: few instances end with an objective worse "
        "than the truth's",
        pooled(found.of("below")),
        below(RARE),
        beside={"not recovered although the objective is as good": pooled(found.of("above"))},
    )


def without_orthogonality(found: Readings) -> Iterator[Claim]:
    free, joint = (
        found.of("recovered", method=name).dropped("method") for name in ("free", "clustering")
    )
    shift = free.meeting(joint).against(joint.meeting(free), name="shift")
    yield Claim(
        "Without mutual orthogonality clustering recovers fewer instances from d points",
        pooled(shift.of(excess=0)),
        below(0),
        "with d points any split into groups of d keeps all energy",
        beside={
            "from one point more": pooled(shift.of(excess=1)),
            "from any number of points": pooled(shift),
            "recovered without it from d points": pooled(free.of(excess=0)),
            "from d + 1 points": pooled(free.of(excess=1)),
        },
    )


def equivalence(found: Readings) -> Iterator[Claim]:
    change = found.of("change")
    yield Claim(
        "At low noise the denoising loss is that of subspace clustering",
        change.first("sigma"),
        within(-SMALL, SMALL),
        "minimising the one is minimising the other",
        beside={"with the clean assignment": found.of("simulated").first("sigma")},
    )
    says = "At high noise it is another: relative change of the loss"
    beside = {"assigned to another subspace": found.of("wrong").last("sigma")}
    yield Claim(says, change.last("sigma"), beside=beside)


# ---- what is drawn


def figures(found: Readings, number: int) -> Iterator[Told]:
    """The figures of one noise level and one kind of start."""
    noise, start = (found.along(name)[0] for name in ("noise", "start"))
    case = f"noise {noise:g}" + (", random starts" if start == "random" else "")
    success, last = found.of("recovered"), max(found.of("recovered").along("k"))
    maps = success.of(method=list(METHODS))
    yield f"Success at {case}"
    caption = f"""**Share of random instances in which every subspace is recovered**, K = {last},
    {case}. Both maps see the same points and starts. Cells without a number are 0 or 100 %."""
    yield success_map(f"success_{number}", caption, maps.of(k=last))
    caption = f"**The same at every other K**, {case}."
    yield success_map(f"others_{number}", caption, maps.of(k=lambda k: k != last))
    caption = f"""**Success against N_k − d**, {case}: all dimensions at once, exact 95 % intervals.
    Without noise, clustering would jump from 0 to 1 at N_k = d."""
    offsets = success.joined("d", "n_k")
    lines = Plot(offsets, "excess", color="method", panel="k", positions={"N_k = d": 0})
    yield figure(f"against_edge_{number}", caption, lines)
    caption = f"""**Failures of the optimiser**, {case}: instances that are not recovered and end
    with an objective worse than the truth's: energy kept for clustering, denoising loss on common
    noise for training. All other failures are the data's: the objective prefers other subspaces."""
    yield success_map(f"failures_{number}", caption, found.of("below"))
    caption = f"""**K-subspaces without mutual orthogonality**, {case}. Any split of the points into
    groups of d keeps all their energy, so N_k = d identifies nothing and the edge belongs at d + 1.
    What succeeds left of it does so because of where it starts."""
    yield success_map(f"unconstrained_{number}", caption, success.of(method="free"), "later")


def success_map(name: str, caption: str, shares: Readings, edge: str = "edge") -> Told:
    """A map by K and method, N_k to the right, d upwards, with the edge N_k = d, or one later."""
    shift = {"edge": -0.5, "later": 0.5}[edge]
    line = Readings([Reading(edge, {"d": d}, d + shift) for d in shares.along("d")], QUANTITIES)
    panels = ("k", "method")
    grid = Map(shares, "d", "n_k", panels, 0, 100, 0, edge=line, ends=False, unit=100)
    return heat_maps(name, " ".join(caption.split()), grid)


def departure_figure(found: Readings) -> Told:
    change = found.of("change")
    at = ", ".join(f"{name} = {value}" for name in ("k", "d") for value in change.along(name))
    caption = f"""**Where diffusion training stops being subspace clustering**: at the true bases,
    {at.replace("k =", "K =")}, {SHOWN_POINTS} points in each. With the assignment of clean points
    the denoising loss is exactly an affine function of the clustering objective; a denoiser can
    only assign by the noisy point, or weigh softly. Bands: 95 % over noise."""
    exactly = {"assigned by the clean point: exactly clustering": 0.0}
    return figure(
        "departure",
        " ".join(caption.split()),
        Plot(change, "sigma", color="assignment", title="Loss", levels=exactly),
        Plot(found.of("wrong"), "sigma", title="Assignments"),
    )
