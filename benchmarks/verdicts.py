"""What audits say of sets whose truth is known: how often copies are claimed where there are none,
found where there are some, and whether interval and bound hold the truth.

    python benchmarks/verdicts.py                         # all situations, 100 audits each: an hour
    python benchmarks/verdicts.py clustered-1 --audits 60 # those named, so many audits each

Sets are rows of a mixture of clusters, rows with heavy tails (t with 3 degrees of freedom), and
patches of scikit-learn's two photographs; the number after a name is the per cent of samples that
are copies, made as planted copies are, from other seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from denoscope.audit.evidence.planted_copies import drawn, plant, plant_features
from denoscope.audit.examination import judge
from denoscope.audit.findings import NEAR, Audit
from denoscope.audit.options import AuditOptions
from denoscope.audit.report.verdict import gate, state
from denoscope.audit.sets.inputs import InputSet
from denoscope.data.images import Images
from denoscope.describe.protocols import protocol
from denoscope.files import content_hash
from denoscope.metrics.controlled_rates import Calibrated, beyond
from denoscope.progress import Voice
from denoscope.random import derive, generator

Sets = dict[str, Tensor]
DIM, CLUSTERS, INNER = 32, 20, 6
ROWS = 600


def clustered(seed: int, counts: list[int]) -> list[Tensor]:
    """Rows of a mixture of low-dimensional clusters of different widths, the law drawn too."""
    source = generator(seed, 0)
    means = 2 * torch.randn(CLUSTERS, DIM, generator=source)
    axes = torch.linalg.qr(torch.randn(CLUSTERS, DIM, INNER, generator=source)).Q
    width = 0.3 + torch.rand(CLUSTERS, generator=source)

    def rows(n: int) -> Tensor:
        k = torch.randint(CLUSTERS, (n,), generator=source)
        inner = width[k, None] * torch.randn(n, INNER, generator=source)
        noise = 0.05 * torch.randn(n, DIM, generator=source)
        return means[k] + torch.einsum("nsi,ni->ns", axes[k], inner) + noise

    return [rows(n) for n in counts]


def heavy(seed: int, counts: list[int]) -> list[Tensor]:
    """Rows of a multivariate t with a power law of scales."""
    rng = np.random.default_rng(seed)
    scales = np.arange(1, DIM + 1) ** -0.7
    normal = [rng.standard_normal((n, DIM)) * scales for n in counts]
    rows = [x / np.sqrt(rng.chisquare(3, len(x)) / 3)[:, None] for x in normal]
    return [torch.from_numpy(x).float() for x in rows]


@cache
def photograph(name: str) -> Tensor:
    return torch.from_numpy(np.array(load_sample_image(name))).float().permute(2, 0, 1) / 127.5 - 1


def patches(names: list[str], size: int, seed: int, counts: list[int]) -> list[Tensor]:
    """Patches of photographs, each set with as many of each."""
    source = generator(seed, 1)

    def one(image: Tensor) -> Tensor:
        i, j = (int(torch.randint(n - size, (), generator=source)) for n in image.shape[1:])
        return image[:, i : i + size, j : j + size]

    return [torch.stack([one(photograph(names[i % len(names)])) for i in range(n)]) for n in counts]


china, flower = (partial(patches, [f"{name}.jpg"], 8) for name in ("china", "flower"))
both, large = (partial(patches, ["china.jpg", "flower.jpg"], size) for size in (8, 12))


def copies(train: Tensor, n: int, seed: int) -> Tensor:
    """n training rows after perturbations in turn."""
    if train.ndim == 2:
        return plant_features(train, n, seed)["noise"]
    found = plant(train, n, seed)
    return torch.stack([found[NEAR[i % len(NEAR)]][i] for i in range(n)])


def plain(draw: Callable[..., list[Tensor]], share: float, seed: int) -> Sets:
    """Everything of one law, a share of the samples copied."""
    train, test, gen = draw(seed, [ROWS, ROWS, ROWS])
    n = round(share * len(gen))
    if n:
        gen[:n] = copies(train, n, derive(seed, 2))
    return {"train": train, "test": test, "gen": gen}


def weak(times: float, share: float, seed: int) -> Sets:
    """Copies with so many times the noise of planted ones."""
    sets, n, drawing = plain(clustered, 0, seed), round(share * ROWS), derive(seed, 2)
    originals = sets["train"][drawn(ROWS, n, drawing)]
    sets["gen"][:n] = originals + times * (copies(sets["train"], n, drawing) - originals)
    return sets


def unlike(weight: float, share: float, seed: int) -> Sets:
    """A hold-out of which a part is of another source."""
    sets = plain(china, share, seed)
    other = torch.rand(ROWS, generator=generator(seed, 3)) < weight
    sets["test"][other] = flower(derive(seed, 4), [int(other.sum())])[0]
    return sets


def far(weight: float, seed: int) -> Sets:
    """A hold-out of which a part is spread wider than the rest."""
    sets = plain(clustered, 0, seed)
    source = generator(seed, 3)
    other = torch.rand(ROWS, generator=source) < weight
    sets["test"][other] += 3 * torch.randn(int(other.sum()), DIM, generator=source)
    return sets


def blank(share: float, seed: int) -> Sets:
    """6 % blank images in every set."""
    sets = plain(china, share, seed)
    for place, rows in enumerate(sets.values()):
        rows[torch.rand(len(rows), generator=generator(seed, 5, place)) < 0.06] = -1.0
    return sets


def near_holdout(draw: Callable[..., list[Tensor]], share: float, seed: int) -> Sets:
    """A hold-out a tenth of which are near-duplicates of training images."""
    sets = plain(draw, share, seed)
    sets["test"][: ROWS // 10] = copies(sets["train"], ROWS // 10, derive(seed, 6))
    return sets


def collapsed(draw: Callable[..., list[Tensor]], seed: int) -> Sets:
    """A generator that gives ten fresh images again and again."""
    train, test, few = draw(seed, [ROWS, ROWS, 10])
    return {
        "train": train,
        "test": test,
        "gen": few[torch.randint(10, (ROWS,), generator=generator(seed, 7))],
    }


def shots(same: bool, seed: int) -> Sets:
    """Four shots of each recording in the training set, samples of new recordings or of the
    ``same`` ones.
    """
    recorded, test, gen = clustered(seed, [ROWS // 4, ROWS, ROWS])
    source = generator(seed, 8)
    if same:
        gen = recorded[torch.randint(len(recorded), (ROWS,), generator=source)]
    return {
        name: rows + 0.3 * torch.randn(len(rows), DIM, generator=source)
        for name, rows in (("train", recorded.repeat(4, 1)), ("test", test), ("gen", gen))
    }


SITUATIONS: dict[str, tuple[float, Callable[[int], Sets]]] = {
    f"{draw}-{100 * share:g}": (share, partial(plain, law, share))
    for draw, law in (
        ("clustered", clustered),
        ("heavy", heavy),
        ("china", china),
        ("both", both),
        ("large", large),
    )
    for share in (0.0, 0.01, 0.03)
}
SITUATIONS |= {
    "weak-3-10": (0.1, partial(weak, 3.0, 0.1)),
    "weak-5-10": (0.1, partial(weak, 5.0, 0.1)),
    "flower-holdout-0": (0.0, partial(unlike, 1.0, 0.0)),
    "flower-holdout-20": (0.2, partial(unlike, 1.0, 0.2)),
    "half-flower-holdout-0": (0.0, partial(unlike, 0.5, 0.0)),
    "most-flower-holdout-0": (0.0, partial(unlike, 0.75, 0.0)),
    "half-far-holdout-0": (0.0, partial(far, 0.5)),
    "most-far-holdout-0": (0.0, partial(far, 0.75)),
    "nearly-all-far-holdout-0": (0.0, partial(far, 0.93)),
    "blank-0": (0.0, partial(blank, 0.0)),
    "blank-3": (0.03, partial(blank, 0.03)),
    "near-holdout-3": (0.03, partial(near_holdout, clustered, 0.03)),
    "near-holdout-patches-3": (0.03, partial(near_holdout, both, 0.03)),
    "collapsed-0": (0.0, partial(collapsed, clustered)),
    "collapsed-patches-0": (0.0, partial(collapsed, china)),
    "shots-0": (0.0, partial(shots, False)),
    "same-shots-0": (0.0, partial(shots, True)),
}


def audited(sets: Sets, seed: int, folder: Path) -> Audit:
    options = AuditOptions(
        gen="samples", train="train", test="test", seed=seed, cache=str(folder),
        metrics=("excess_combined",), fail_above=0.01,
    )  # fmt: skip
    rules = protocol(options.protocol)
    found = {}
    for role, rows in sets.items():
        images = Images(rows, role) if rows.ndim == 4 else None
        names, digest = tuple(map(str, range(len(rows)))), content_hash(rows.numpy())
        found[role] = InputSet(role, role, images, None if images else rows, names, digest)
    return judge(options, rules, found, Voice(quiet=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="SITUATION", help=", ".join(SITUATIONS))
    parser.add_argument("--audits", type=int, default=100)
    parser.add_argument("--from-seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names or SITUATIONS:
        share, draw = SITUATIONS[name]
        begun, found = time.monotonic(), []
        for seed in range(options.from_seed, options.from_seed + options.audits):
            with tempfile.TemporaryDirectory() as folder:
                found.append(audited(draw(seed), seed, Path(folder)))
        print(line(name, share, found), f"{time.monotonic() - begun:.0f} s", flush=True)


def line(name: str, share: float, found: list[Audit]) -> str:
    """A row of a table: states, how often the excess's interval holds its truth and the interval
    from its lower end to the bound the share, rates at the asked threshold, gates at 1 %.
    """
    states = ", ".join(f"{n} {word}" for word, n in Counter(map(state, found)).most_common())
    rates = [one.combined for one in found if one.combined]
    held = sum(one.excess.low <= share * power(one) <= one.excess.high for one in rates)
    bound = sum(one.excess.low <= share <= one.copies_at_most for one in rates)
    asked = [one.at[0] for one in rates]
    gen, test, own = (
        float(np.mean([shares(one) for one in asked]))
        for shares in (
            lambda one: one.gen.value,
            lambda one: one.control.value,
            lambda one: one.controls["own"].value,
        )
    )
    passed = sum(gate(one, 0.01) == "passed" for one in found)
    return (
        f"| {name} | {states} | {held} of {len(rates)} | {bound} of {len(rates)} | "
        f"{gen:.3f} {own:.3f} {test:.3f} | {np.mean([one.copies_at_most for one in rates]):.3f} | "
        f"{passed} |"
    )


def power(rates: Calibrated) -> float:
    """What a set of nothing but planted copies reads."""
    return beyond(rates.best.planted["near"], rates.best.control).value


if __name__ == "__main__":
    main()
