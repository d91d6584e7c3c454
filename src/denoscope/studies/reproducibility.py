"""Same noise, same image: do models of different frameworks and architectures make the same image
from the same noise, and what of that does a covariance do?

One data set, one noise for all (Zhang et al. 2024, Figs. 1 and 2): networks that predict the image,
the noise, a velocity or a flow; a U-Net, a U-ViT; consistency models, trained and distilled; closed
forms, and models of others; with few training images (they copy) and with many.

* RP: the share of noises from which two models make the same image, that is one whose cosine of
  mean-removed pixels lies above the 0.99 quantile over pairs of distinct real images; chance is the
  same over unlike noises, exactly. MAE: the share whose mean absolute difference is below 15 grey
  levels of 255.
* Remainders: samples less all that is linear in the noise or the Gaussian's clipped sample
  (:mod:`denoscope.metrics.remainders`). Most of reproducibility is shared Gaussian statistics
  (Wang, Zavatone-Veth and Pehlevan 2026), so the Gaussian of the training images is a row.
* Probability-flow distance (Zhang et al. 2025): the root mean squared distance of what two models
  make of the same noises, per pixel; to the memorizer, to the truth where it is known, and its
  variance over four disjoint training sets.

Intervals are over the noises that all models share; of several training sets, crossed with these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from denoscope.data.sources import truth
from denoscope.estimate import Estimate, crossed, exact, share
from denoscope.fitting.closed_forms import over_linear
from denoscope.fitting.frameworks import FRAMEWORKS, HEUN, WAYS
from denoscope.fitting.recipe import Member, Recipe, batches, fleet, train
from denoscope.metrics import chance_level, paired_similarity
from denoscope.metrics.log_means import root_mean
from denoscope.metrics.pool_descriptors import PoolDescriptors
from denoscope.metrics.probability_flow import bias, squared_distances, variance
from denoscope.metrics.remainders import beyond, likeness
from denoscope.models import ONE_STEP, open_model
from denoscope.models.model import Model as Other
from denoscope.networks import Fleet
from denoscope.random import derive
from denoscope.readings import Quantity, Reading, Readings, collected, stored
from denoscope.report.claims import Claim, above, below
from denoscope.report.pairs import matrix, sided, sides
from denoscope.report.pictures import gallery
from denoscope.report.plots import Plot, figure, heat_maps
from denoscope.report.story import Told, crosstab, table
from denoscope.sampling import euler, heun, sample
from denoscope.store import Row, Value
from denoscope.studies._behind import Behind
from denoscope.studies._reported import finished
from denoscope.studies._subject import known
from denoscope.studies._trained import Model, Trained
from denoscope.study import Result, Work, axis
from denoscope.types import Denoiser

LEVELS = np.geomspace(0.02, 20.0, 13)
GREY = 15 / 127.5
"""Mean absolute difference of images that are the same to MAE: 15 levels of 255."""
PUBLISHED = 0.6
"""The cosine of RP as published, for SSCD features: of pixels here, for comparison."""
CLOSED = {"linear": "linear maps", "gaussian": "Gaussian", "memorizer": "memorizer"}
NAMES = {word: made.name for word, made in FRAMEWORKS.items()} | CLOSED
EDM = NAMES["edm"]
NOISES = {
    "Two-step consistency samples agree more if both noises are shared (change of RP)": "two",
    "DDPM samples agree more if all noises are shared, not the first (change of RP)": "ddpm",
    "Images behind an upper half agree more if the noise is shared (change of RP)": "inpainted",
    "Images behind 2 × 2 means agree more if the noise is shared (change of RP)": "enlarged",
}
"""Claims of samples with further noises, or behind a measurement, by their way."""
SHOWN = 8
"""Noises of the gallery."""
SETS = 4
"""Disjoint training sets of the variance."""

QUANTITIES = {
    "error_test": Quantity("error", "× linear", exact, tip="held-out, over a linear model's"),
    "glc": Quantity("GLc", tip="0 copies only, 1 as few as held-out images"),
    "nearness": Quantity("nearness", tip="P(nearer than a held-out image): ½ as near as these"),
    "sample": Quantity("sample"),
    "sampled": Quantity("sample, drawn otherwise"),
    "features": Quantity("mean-removed pixels"),
    "remainder": Quantity("remainder"),
    "left": Quantity("remainder", "share of variance", tip="neither linear nor clipping"),
    "cosine": Quantity("cosine"),
    "rp": Quantity("RP", interval=share, tip="noises from which two models make the same image"),
    "rp_by_way": Quantity("RP", interval=share, tip="mean over pairs of models"),
    "rp_closed": Quantity("RP with a closed form", interval=share),
    "rp_published": Quantity("RP", f"at cosine {PUBLISHED:g} of pixels", share),
    "mae": Quantity("MAE score", interval=share, tip="same to 15 grey levels of 255 on average"),
    "chance": Quantity("chance level", interval=exact, form=".3f"),
    "shared": Quantity("cosine of remainders"),
    "change": Quantity("change of RP"),
    "apart": Quantity("distance", "RMS per pixel", root_mean, ".3f"),
    "pfd": Quantity("probability-flow distance", "RMS per pixel", root_mean, ".3f"),
    "pfd_features": Quantity("the same", "whitened components", root_mean, ".3f"),
    "farther": Quantity("change of squared distance", "per pixel", form=".4f"),
    "spread": Quantity("spread over sets", "RMS per pixel", form=".3f"),
    "bias": Quantity("bias", "RMS per pixel", form=".3f"),
}


@dataclass(frozen=True, kw_only=True)
class Reproducibility(Trained):
    """Which models make the same image from the same noise: one model, trained on one subset."""

    references: ClassVar[tuple[str, ...]] = ("zhang2024", "zhang2025", "wang2026", "karras2022")
    heading: ClassVar[str] = "Same noise, same image"
    quantities: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    places: ClassVar[tuple[str, ...]] = ("maker", "n", "width", "subset")
    members: ClassVar[tuple[str, ...]] = ("n", "subset", "maker")
    subsets: ClassVar[int] = SETS
    seed: ClassVar[int] = 0  # pyright: ignore[reportIncompatibleVariableOverride] -- makers differ

    maker: str = axis("edm", f"who makes images: {', '.join(FRAMEWORKS)}", tuple(FRAMEWORKS))
    n: int = axis(1024, "training images; the ends for all, between for edm", (16, 64, 384, 1024))
    width: int = axis(128, "width of MLPs; the largest for all, others for edm", (32, 128))
    subset: int = axis(0, "which training subset: 0 for all, others for edm", (0, 1, 2, 3))
    model: str = axis("", "NAME=PATH of another model, beside these")

    def __post_init__(self) -> None:
        if self.model:
            name, _, path = self.model.partition("=")
            if not name or not path or name in {*NAMES, *NAMES.values()}:
                raise ValueError(f"--model {self.model}: write NAME=PATH, with a name of its own")
            known(path)
        elif self.maker not in FRAMEWORKS:
            raise ValueError(f"--maker {self.maker}: there are {', '.join(FRAMEWORKS)}")
        super().__post_init__()

    def recipe(self) -> Recipe:
        return FRAMEWORKS[self.maker].recipe(super().recipe())

    def how(self) -> tuple[Recipe, bool]:
        """What networks of one fleet share: their recipe, and whether they have a teacher."""
        return self.recipe(), FRAMEWORKS[self.maker].distilled

    @classmethod
    def combined(cls, axes: Mapping[str, Sequence[Any]]) -> Sequence[Self]:
        """All makers at the ends of ``n``, for the largest width and the first subset; EDM networks
        of every size, width and subset that there is room for; and every other model once.
        """
        given, rest = axes.get("model", [""]), {k: v for k, v in axes.items() if k != "model"}
        names = [word.partition("=")[0] for word in given]
        if twice := next((name for name in names if name and names.count(name) > 1), ""):
            raise ValueError(f"--model {twice}=… is given twice: every model needs its own name")
        cells = super().combined(rest)
        ends = {end(each.n for each in cells) for end in (min, max)}
        widest, first = max(each.width for each in cells), min(each.subset for each in cells)
        main = [c for c in cells if c.n in ends and (c.width, c.subset) == (widest, first)]
        fits = [
            c for c in cells if c.maker == "edm" and not replace(c, subset=SETS - 1).infeasible()
        ]
        single = {k: v[0] for k, v in rest.items() if k not in ("maker", "n", "width", "subset")}
        others = [cls(**single, model=word, n=0) for word in given if word]
        for other in others:  # before anything is trained
            other.opened()
        return [*main, *(c for c in fits if c not in main), *others]

    def infeasible(self) -> str:
        return "" if self.model else super().infeasible()

    def inputs(self) -> dict[str, str]:
        name, _, path = self.model.partition("=")
        return super().inputs() | ({name: known(path)} if path else {})

    @classmethod
    def plan(cls, cells: Sequence[Any]) -> list[list[Any]]:
        """Networks of one recipe in fleets; every other model alone."""
        recipes: dict[Any, list[Any]] = {}
        for cell in cells:
            recipes.setdefault(cell.model or cell.how(), []).append(cell)
        jobs = [
            [some] if isinstance(key, str) else super(Reproducibility, cls).plan(some)
            for key, some in recipes.items()
        ]
        return [job for some in jobs for job in some]

    def member(self) -> Member:
        place = list(FRAMEWORKS).index(self.maker)
        seed = derive(place, self.n, self.width, self.subset)
        return Member(self.where().train_rows(), derive(seed, 0), derive(seed, 1))

    @classmethod
    def teacher(cls, cells: Sequence[Any], work: Work) -> Fleet | None:
        first, where = cells[0], cells[0].where()
        if not FRAMEWORKS[first.maker].distilled:
            return None
        house, members = Trained.recipe(first), [cell.member() for cell in cells]
        images = where.images().data
        net = fleet(house, members, images.shape[1:], where.spread()).to(work.device)
        kept = None if work.folder is None else work.folder / "teacher.safetensors"
        return train(net, house, batches(house, members, images), checkpoint=kept)[0]

    @classmethod
    def learned(cls, cells: Sequence[Any], work: Work) -> Iterator[Model]:
        if cells[0].model:
            return (cell.sampled_once() for cell in cells)
        return super().learned(cells, work)

    def opened(self) -> Other:
        """Another model; one that makes images of another shape is a ValueError."""
        name, _, path = self.model.partition("=")
        try:
            found = open_model(path)
        except ValueError as error:
            raise ValueError(f"--model {name}={path}: {error}") from error
        shape = tuple(self.where().images().shape)
        if tuple(found.shape) != shape:
            says = f"{tuple(found.shape)}, {self.data} has {shape}"
            unlike = "samples of unlike shapes cannot be paired"
            raise ValueError(f"--model {name} makes images of {says}: {unlike}")
        return found

    def sampled_once(self) -> Model:
        """Another model with its samples from the shared noises."""
        found, noise = self.opened(), self.noise()
        once = found.kind == ONE_STEP
        sigmas = found.levels(1 if once else self.solver_steps)
        made = sample(found.sampled, found.start(noise), sigmas, euler if once else heun)
        return found.denoiser, made.float(), ""

    def measured(self, net: Any, generated: Tensor) -> Result:
        values, readings = self.asked(net, self.clipped(generated))
        return Result(values, stored(readings))

    def asked(self, D: Denoiser, made: Tensor) -> tuple[dict[str, Value], list[Reading]]:
        """The samples of a model, those that it makes otherwise, how far they are from those of
        closed forms, and whether they are copies.
        """
        readings = [Reading("sample", {}, made.numpy().astype(np.float32))]
        if self.model:
            return {}, readings
        where, recipe = self.where(), self.recipe()
        consistent = recipe.kind == "consistency"
        values = self.seen_by.copying(made, where.train(), where.unseen())
        values = {name: values[name] for name in ("glc", "nearness")}
        if not consistent:
            values["error_test"] = over_linear(list(self.forms().beside(D, LEVELS)))
        for who, other in self.closed().items():
            units = squared_distances(made.flatten(1), other.flatten(1)) / made[0].numel()
            readings.append(Reading("apart", {"to": who}, units.astype(np.float32)))
        own = list(FRAMEWORKS).index(self.maker)
        ways = WAYS.items() if recipe.net == "film" else ()
        for way, how in ((k, v) for k, v in ways if v.one_step == consistent):
            drawn = self.clipped(how.sampled(D, self.noise(), own))
            readings.append(Reading("sampled", {"way": way}, drawn.numpy().astype(np.float16)))
        if recipe.net == "film" and not consistent and not self.subset:
            readings += Behind(where, self.samples // 10, self.solver_steps).measured(D, own)
        return values, readings

    def closed(self) -> dict[str, Tensor]:
        """What the closed forms of the training set make of the shared noises, and the truth."""
        forms, shape = self.forms(), self.noise().shape
        rows = {"memorizer": forms.memorizer(), "gaussian": forms.gaussian()}
        found = {who: torch.from_numpy(made).float().reshape(shape) for who, made in rows.items()}
        if (law := truth(self.source())) is not None:
            found["truth"] = HEUN.sampled(law, self.noise())
        return {who: self.clipped(made) for who, made in found.items()}

    @classmethod
    def story(cls, found: Readings) -> Iterator[Told]:
        yield from frameworks(found)
        yield from flows(found)
        yield from otherwise(found)
        yield from galleries(found)
        yield from lookup(found)

    @classmethod
    def found(cls, rows: Sequence[Row]) -> Readings:
        """Also what models say together: agreement of every two, and over training sets."""
        good = sorted(finished(rows), key=lambda row: str(row.fields["model"]))
        own = [row for row in good if not row.fields["model"]]
        own.sort(key=lambda row: list(FRAMEWORKS).index(str(row.fields["maker"])))
        one = cls.of((own or good)[0].fields)
        found = super().found(own) if own else Readings((), QUANTITIES)
        main = one.main(found, [row for row in good if row.fields["model"]])
        found = found.named(maker=lambda at: NAMES[at["maker"]])
        drawn = found.of("sampled", n=main.along("n"), subset=0).dropped("width", "subset")
        return found + main + agreements(main, drawn, one.seen_by) + one.over_sets(found)

    def main(self, found: Readings, others: Sequence[Row]) -> Readings:
        """Samples of all models from the same noises, by maker and size, each with its remainder:
        of those trained here, of closed forms, and of ``others``.
        """
        trained = found.of("sample", subset=0) or found.of("sample")
        trained = trained.of(width=lambda w: w == max(trained.along("width"), default=0))
        counts = {n: len(some) for n, some in trained.by("n")}
        sizes = [n for n, count in counts.items() if count == max(counts.values())]
        made = trained.of(n=sizes).dropped("width", "subset", "way")
        made = made.named(maker=lambda at: NAMES[at["maker"]])
        for n in sizes:
            here = replace(self, n=n, subset=0)
            closed = {"linear": here.linear(), **here.closed()}
            each = {NAMES.get(who, "true denoiser"): x.numpy() for who, x in closed.items()}
            for row in others:
                given = collected([row], QUANTITIES).of("sample").one
                each[str(row.fields["model"]).partition("=")[0]] = given
            some = [Reading("sample", {"maker": k, "n": n}, x) for k, x in each.items()]
            made += Readings(some, QUANTITIES)
            made += here.remainders(made.of(n=n), closed["gaussian"])
        return made

    def linear(self) -> Tensor:
        """What the linear model of the training set makes of the shared noises."""
        made = torch.from_numpy(self.forms().linear().samples).float()
        return self.clipped(made.reshape(self.noise().shape))

    def remainders(self, made: Readings, gaussian: Tensor) -> Readings:
        """What is left of every model's samples when noise and Gaussian are regressed out."""
        found = [
            Reading(r.name, {**each.at, **r.at}, r.value)
            for each in made
            for r in beyond(torch.from_numpy(each.value), self.noise(), gaussian)
            if "pair" not in r.at
        ]
        return Readings(found, QUANTITIES)

    def over_sets(self, found: Readings) -> Readings:
        """The spread of EDM's samples over training sets, and their bias where truth is known."""
        made = found.of("sample", maker=EDM).dropped("maker")
        made = made.map(lambda x: x.reshape(len(x), -1).astype(np.float64) / x[0].size ** 0.5)
        sets = [n for n, some in made.by("n") if len(some.along("subset")) == SETS]
        made = made.of(n=sets)
        spread = made.across(
            "subset", lambda at, xs, **k: root(variance(np.stack(xs)), **k), "spread"
        )
        law = self.closed().get("truth")
        if law is None:
            return spread
        true = law.flatten(1).double().numpy() / law[0].numel() ** 0.5
        using = lambda at, xs, **k: root(bias(np.stack(xs), true), **k)  # noqa: E731
        return spread + made.across("subset", using, "bias")


def root(units: np.ndarray, level: float = 0.95) -> Estimate:
    """The root of a mean square over training sets crossed with noises, (sets, noises)."""
    found = crossed(units, level)
    value, low, high = np.sqrt(np.clip([found.value, found.low, found.high], 0, None)).tolist()
    return Estimate(value, low, high, found.n, level, found.method)


def agreements(main: Readings, drawn: Readings, seen: PoolDescriptors) -> Readings:
    """Whether every two models make the same image from one noise, by size; and of samples that
    are ``drawn`` otherwise.
    """
    features, by_way = (
        some.map(lambda x: seen.pixels(torch.from_numpy(x).float()), "features")
        for some in (main.of("sample"), drawn)
    )

    def pairs(of: Readings, name: str, using: Callable[[Any, Any], Any]) -> Readings:
        (own,) = {r.name for r in of} or {name}
        return of.pairs(lambda a, b: using(a[own], b[own]), "maker", name, own)

    cosine = pairs(features, "cosine", lambda a, b: paired_similarity(a, b).numpy())
    rp = cosine.map(lambda c: c > seen.same, "rp")
    chance = pairs(features, "chance", lambda a, b: [chance_level(a, b, threshold=seen.same)])
    found = rp + chance + cosine.map(lambda c: c > PUBLISHED, "rp_published")
    found += pairs(by_way, "rp_by_way", lambda a, b: paired_similarity(a, b).numpy() > seen.same)
    found += pairs(main.of("sample"), "mae", same_grey) + pairs(main.of("sample"), "pfd", per_pixel)
    components = main.of("sample").map(lambda x: seen.whitened(torch.from_numpy(x)), "features")
    found += pairs(components, "pfd_features", per_pixel)
    return found + pairs(main.of("remainder"), "shared", likeness)


def same_grey(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether images differ by less than 15 grey levels on average, (noises,)."""
    return np.abs(a - b).reshape(len(a), -1).mean(1) < GREY


def per_pixel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances over the number of numbers, (noises,)."""
    return squared_distances(*(x.reshape(len(x), -1) for x in (a, b))) / int(np.prod(a.shape[1:]))


def trained(pairs: Readings) -> Readings:
    """Those of two networks that were trained here."""
    own = {maker.name for maker in FRAMEWORKS.values()}
    return pairs.of(maker=lambda pair: own.issuperset(pair))


def with_closed(pairs: Readings, who: str) -> Readings:
    """Those of a network and a closed form, by the network."""
    own = {maker.name for maker in FRAMEWORKS.values()}
    found = pairs.of(maker=lambda pair: pair[1] == NAMES[who] and pair[0] in own)
    return found.named(one=lambda at: at["maker"][0]).dropped("maker")


def frameworks(found: Readings) -> Iterator[Told]:
    """Who makes the same image as whom; the answer, and its figure."""
    rp, chance = found.of("rp"), trained(found.of("chance"))
    nets, most = trained(rp), above(0.5)
    closed = {f"With the {NAMES[who]}": with_closed(rp, who) for who in ("gaussian", "memorizer")}
    says = "Any two networks make the same image from most noises, N largest (RP)"
    published = "RP .70 to .91 between seven frameworks (Zhang et al. 2024, Fig. 1)"
    beside = {"Chance": chance.last("n"), **{k: v.last("n") for k, v in closed.items()}}
    yield Claim(says, nets.last("n"), most, published, beside=beside)
    says = "Any two networks make the same image from most noises, N smallest (RP)"
    beside = {"Chance": chance.first("n"), **{k: v.first("n") for k, v in closed.items()}}
    published = "high where models memorize the same images (Zhang et al. 2024, Fig. 2)"
    yield Claim(says, nets.first("n"), most, published, beside=beside)
    says = (
        "Two networks agree beyond the Gaussian of their images, N largest (cosine of remainders)"
    )
    error = found.of("error_test").last("n")
    learned = Claim("they denoise better than the best linear denoiser", error, below(1))
    shared = trained(found.of("shared"))
    note = "Remainders: samples less their cross-fitted regression on noise and Gaussian's clipped "
    note += "sample; less the mean cosine of unlike noises."
    beside = {"Share of variance": found.of("left").last("n"), "By N": shared}
    yield Claim(says, shared.last("n"), above(0), control=learned, beside=beside, note=note)
    says = "Networks agree with each other more often than with the Gaussian, N largest"
    more = sided(nets).against(closed["With the Gaussian"], name="change").last("n")
    published = "most agreement is the Gaussian's (Wang et al. 2026)"
    yield Claim(says, more, above(0), published, note="Paired by noise.")
    yield heat_maps(
        "matrix",
        f"**Who makes the same image as whom** (RP, a share of noises): {sides(rp)}. The Gaussian "
        "knows mean and covariance of the training images alone, the memorizer repeats them.",
        matrix(rp),
    )


def galleries(found: Readings) -> Iterator[Told]:
    """A noise per column, a model per row."""
    yield "Samples"
    heads = [f"noise {i + 1}" for i in range(SHOWN)]
    made = found.of("sample").without("width", "subset")
    yield [
        gallery(
            f"N = {n}",
            heads,
            [(r.at["maker"], [(x, "") for x in r.value[:SHOWN]]) for r in some],
        )
        for n, some in made.by("n")
    ]


def otherwise(found: Readings) -> Iterator[Told]:
    """Other samplers, steps and highest levels, and noise along the way."""
    by_way = found.of("rp_by_way").over("maker")
    says = "One-step samples of consistency models are EDM's image of most noises (RP)"
    models = [FRAMEWORKS[word].name for word in ("consistency", "distilled")]
    both = found.of(maker=lambda pair: pair[0] == EDM and pair[1] in models)
    beside = {"Chance": both.of("chance")}
    published = "RP .76 on CIFAR-10 (Zhang et al. 2024, Fig. 1)"
    yield Claim(says, both.of("rp"), above(0.5), published, beside=beside)
    for says, way in NOISES.items():
        less = by_way.of(way=way).against(by_way.of(way=f"{way}_other"), name="change", apart="way")
        shown = found.of("rp_closed", way=way).over("maker").dropped("way")
        beside = {f"With the {NAMES[who]}": some for who, some in shown.by("who")}
        yield Claim(says, less.dropped("way"), above(0), beside=beside, note="Paired by noise.")
    yield "How samples are drawn"
    yield crosstab("RP by sampler, mean over pairs of models", by_way, "way", "n")


def flows(found: Readings) -> Iterator[Told]:
    """Probability-flow distances, over N and width."""
    says = "Networks move away from the memorizer as N grows (squared distance per pixel)"
    edm = found.of("apart", maker=EDM).dropped("maker").over("subset")
    published = "memorization error grows with N (Zhang et al. 2025)"
    yield Claim(says, edm.of(to="memorizer").change("n", "farther"), above(0), published)
    says = "Networks come nearer to the truth as N grows (squared distance per pixel)"
    published = "generalization error falls with N (Zhang et al. 2025)"
    yield Claim(says, edm.of(to="truth").change("n", "farther"), below(0), published)
    yield "Probability-flow distance"
    yield figure(
        "flow_distance",
        "**Probability-flow distance** of EDM networks to what closed forms of their training "
        "images make of the same noises, and to the truth where it is known; and the standard "
        "deviation of their samples over four disjoint training sets.",
        Plot(edm, "n", "to", panel="width", title="Distance"),
        *(Plot(found.of(name), "n", "width") for name in ("spread", "bias")),
    )


def lookup(found: Readings) -> Iterator[Told]:
    """Other matrices, and every pair."""
    yield "Other scores"
    yield heat_maps(
        "mae",
        "**MAE score**: noises from which two models make images that differ by less than 15 grey "
        f"levels of 255 on average; {sides(found.of('mae'))}.",
        matrix(found.of("mae")),
    )
    yield heat_maps(
        "remainders",
        "**Beyond the Gaussian**: the cosine of two models' remainders, less that of unlike "
        f"noises; {sides(found.of('shared'))}.",
        matrix(found.of("shared")),
    )
    names = ["rp", "chance", "rp_published", "mae", "pfd", "pfd_features", "shared"]
    yield "Pairs of models"
    yield table("Pairs of models", found.of(*names), ["n", "maker"], names)
