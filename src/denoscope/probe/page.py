"""The page: one line per network, what all of them are asked in common, then each study folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from denoscope.estimate import Estimate, exact, share
from denoscope.metrics import psnr
from denoscope.readings import Quantity, Reading, Readings, estimated
from denoscope.report import Block, Figure, Page, Section, Text
from denoscope.report.claims import Claim, below, within
from denoscope.report.story import Story, Told, story, table
from denoscope.store import Row
from denoscope.studies._probed import Probed, places_of
from denoscope.studies._reported import appendix, conditions
from denoscope.studies.disjoint_halves import HARMONIC, NEAR, DisjointHalves
from denoscope.studies.jacobian_rank import JacobianRank
from denoscope.studies.score_gap import ScoreGap, middle

Measured = Mapping[type[Probed], Sequence[Row]]
COPYING = 0.05  # a share of copies that counts as few
QUANTITIES = {
    "memorized": Quantity("copies", "share", share, tip="of the samples, by the 1/3 rule"),
    "least": Quantity("rank", "of pixels", tip="of the Jacobian, at its lowest over σ"),
    "gaussian_intermediate": Quantity("to Gaussian", tip="RMS per pixel, at intermediate σ"),
    "memorizer_intermediate": Quantity("to memorizer", tip="the same distance"),
    "psnr_gap": Quantity("gap", "dB", form=".1f", tip="output PSNR, training less unseen images"),
    "linearity_noisy": Quantity("linearity", "least", form=".3f", tip="on noisy unseen images"),
    "similarity": Quantity("cosine", "training", form=".3f", tip="samples, nearest training image"),
    "similarity_unseen": Quantity("cosine", "unseen", form=".3f", tip="the same of unseen images"),
    "nearer": Quantity("difference of distances", "per pixel", form=".3f"),
}
"""What is told of each network: values of the studies, and what the claims are about."""


def build(measured: Measured, called: str) -> Page:
    """The page of these networks: the figure of the score gap, or else of the first study, above a
    line for each network and what can be said of every one.
    """
    each = {study: study.told(rows) for study, rows in measured.items()}
    stories = [told for told in (each.get(ScoreGap), *each.values()) if told]
    first = [block for told in stories for block in told.opening]
    shown = [block for block in first if isinstance(block, Figure)][:1]
    found = cards(measured)
    told = story(claimed(found))
    names = [name for name in QUANTITIES if name != "nearer"]
    keys = ["n", "model", *(c for c in ("width", "subset", "seed") if c in found.varied())]
    card = table("The networks", found, keys, names, place="network")
    sections = [_folded(study, each[study], shown) for study in each]
    study, rows = next(iter(measured.items()))
    run = {"command": f"`{called}`", **conditions(rows, {}, study.about(rows))}
    cited = list(dict.fromkeys(key for study in measured for key in study.references))
    return Page(
        "The geometry of a denoiser",
        study.subtitle(rows),
        [*sections, *appendix(rows, run, cited)],
        told.answer if told.opening else "",
        [*shown, *([card] if card else []), *told.opening],
        [claim.json() for claim in told.claims],
    )


def claimed(found: Readings) -> Iterator[Told]:
    """What can be said of every network alone."""
    says = "At intermediate noise every network is nearer to its Gaussian than to the memorizer"
    yield Claim(says, found.of("nearer"), below(0), "networks that generalize are")
    says = "Of every network few samples are copies (share by the 1/3 rule)"
    yield Claim(says, found.of("memorized"), below(COPYING), "none, of networks that generalize")
    says = "Every network denoises training and unseen images alike (output PSNR at input 15 dB)"
    yield Claim(says, found.of("psnr_gap"), within(-NEAR, NEAR), "networks of many images do")


def cards(measured: Measured) -> Readings:
    """What the studies say of each network, at its place."""
    found = list(by_unit(measured))
    others = QUANTITIES.keys() - {r.name for r in found}
    for rows in measured.values():
        for row, at in zip(rows, places_of(rows)):
            values = {k: row.values.get(k) for k in others}
            known = [(k, v) for k, v in values.items() if v is not None]
            found += [Reading(name, at, _estimate(value)) for name, value in known]
    return Readings(found, QUANTITIES)


def by_unit(measured: Measured) -> Iterator[Reading]:
    """What is claimed of each network: its distance from the Gaussian less that from the memorizer,
    point by point, which samples are copies, and how much better it denoises training images.
    """
    if rows := measured.get(ScoreGap):
        distance = ScoreGap.found(rows).of("distance")
        less = middle(distance).against(middle(distance, to="memorizer"), apart="to")
        yield from (Reading("nearer", r.at, r.value) for r in less.dropped("who", "to"))
    if rows := measured.get(JacobianRank):
        yield from JacobianRank.found(rows).of("copies").named("memorized")
    if rows := measured.get(DisjointHalves):
        error = DisjointHalves.found(rows).of("error", who="network", psnr=HARMONIC)
        train, test = (error.of(images=kind).dropped("images") for kind in ("train", "test"))
        gap = train.against(test, estimated(psnr.gap), "psnr_gap")
        yield from gap.dropped("who", "psnr")


def _estimate(value: object) -> Estimate:
    return value if isinstance(value, Estimate) else exact([float(str(value))])


def _folded(study: type[Probed], told: Story, shown: Sequence[Block]) -> Section:
    """All of a study's page but what stands above."""
    blocks: list[Block] = [Text(f"**{told.answer}**"), *told.opening]
    for section in told.sections:
        blocks += [Text(f"**{section.title}**"), *section.blocks]
    left = [block for block in blocks if block not in shown]
    return Section(study.heading, left, folded=True)
