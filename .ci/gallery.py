"""`make gallery`: each figure of the article and each plot of the slides beside ours, as
docs/gallery.md.

    python .ci/gallery.py --run RUNS      # runs every command below into RUNS, then takes it
    python .ci/gallery.py --take RUNS     # takes stores that are there: RUNS/STUDY
    python .ci/gallery.py                 # writes the page anew from what was taken

What is taken of a store lies in docs/gallery: its claims and its command as STUDY.json, one figure
as STUDY.png. Every verdict of the page is that of a stored claim.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
KEPT = DOCS / "gallery"
ARTICLE = (
    "Zhang, Wang, Chen, Zhang and Qu, *Generalization of Diffusion Models: Principles, Theory, and "
    "Implications* (SIAM News)"
)
SLIDES = "Merger and Goldt, *Generalization Dynamics of Linear Diffusion Models* (slides, 2025)"


LEAK = "At equal change inside the mask, projected directions change less outside than the same"


@dataclass(frozen=True)
class Original:
    """A figure as it was published: what its ``axes`` are, at which ``scale``, and the ``study``
    that measures it; ``claims`` are the beginnings of those that answer it, ``drawn`` the file of
    ours, ``untested`` what needs a set or a model that is not here.
    """

    name: str
    axes: str
    scale: str
    study: str
    claims: Sequence[str]
    drawn: str = ""
    untested: str = ""


ORIGINALS = {
    ARTICLE: [
        Original(
            "Figure 1, forward and reverse processes",
            "a picture at each noise level; a drawing, without numbers",
            "one picture",
            "trajectories",
            ["A network of few images settles", "The network of the most images still moves"],
            "trajectories_settled",
        ),
        Original(
            "Figure 2, the same noise in three models",
            "samples, a noise for each place, a model for each panel",
            "CIFAR-10; DDPM, consistency training, U-ViT",
            "reproducibility",
            [
                "Any two networks make the same image from most noises, N largest",
                "One-step samples of consistency models",
            ],
            "matrix",
            "RP by SSCD of models of CIFAR-10",
        ),
        Original(
            "Figure 3, reproducibility and generalization emerge together",
            "RP (3a) and GL (3b) against the number of training images, a line for each width",
            "CIFAR-10; U-Nets of three sizes",
            "phase_transition",
            [
                "Reproducibility is U-shaped in N",
                "Networks go from copying to generalizing",
                "Wider networks need more images",
            ],
            "transition",
            "U-Nets of width 64, 128 and 256 on CIFAR-10",
        ),
        Original(
            "Figure 4, recovery of subspaces",
            "dimension of the subspaces against training samples, shade: share of success",
            "mixtures of low-rank Gaussians; clustering (4a), diffusion training (4b)",
            "molrg_recovery",
            [
                "Fewer points than dimensions",
                "Two points more than dimensions",
                "Clustering and diffusion training recover",
            ],
            "success_1",
        ),
        Original(
            "Figure 5a, rank of the Jacobian",
            "rank over pixels against time",
            "U-Nets, Stable Diffusion and others, thousands of pixels",
            "jacobian_rank",
            ["The rank of the Jacobian is U-shaped", "Between t = 0.2 and 0.7"],
            "jacobian_rank_time",
            "Stable Diffusion and networks of thousands of pixels",
        ),
        Original(
            "Figure 5b, local linearity",
            "norm ratio and cosine against the step, at t = 0.7",
            "the same networks",
            "local_linearity",
            ["Along random directions", "Along principal directions"],
            "local_linearity_cosine",
            "Stable Diffusion and networks of thousands of pixels",
        ),
        Original(
            "Figure 6, controlled generation",
            "pictures: local (6a), homogeneous (6b), composable (6c), linear (6d)",
            "faces and others, 256 pixels wide",
            "editing",
            [
                LEAK,
                "A direction makes the same change on other images",
                "Edits of two masks add up",
                "Edits are proportional to the strength up to 0.05",
            ],
            "editing_share",
            "edits of faces, judged by people",
        ),
    ],
    SLIDES: [
        Original(
            "Diffusion models first memorize, then generalize",
            "samples of two models of disjoint data against N (Kadkhodaie et al. 2024)",
            "faces, U-Nets",
            "phase_transition",
            ["Models trained on disjoint images"],
        ),
        Original(
            "How large should N be? At least of the order of d",
            "test loss, and divergence of the learned law, against N over d",
            "linear models, Gaussian data",
            "linear_generalization",
            ["The test loss comes within 10% of Bayes", "Above N = 4d the divergence"],
            "divergence",
        ),
        Original(
            "Images have a highly structured covariance",
            "eigenvalues of faces and of handwritten digits; d_eff about 7 (CelebA), 25 (MNIST)",
            "CelebA and MNIST, neither of them here: power-law data and 8 × 8 digits instead",
            "linear_generalization",
            ["The norm of the covariance is learned", "The participation ratio d_eff"],
            untested="d_eff of CelebA and of MNIST",
        ),
        Original(
            "N far below d: early stopping and regularization",
            "loss against training time, and against the ridge",
            "linear models, Gaussian data",
            "linear_generalization",
            ["At about N = d/2 ridge and early stopping", "At about N = d/2 samples are far"],
        ),
    ],
}
COMMANDS = {
    "trajectories": "--n 16 1024 --seed 0",
    "reproducibility": "",
    "phase_transition": "",
    "molrg_recovery": "--k 2 --d 2 4 6 --most 8 --trials 12",
    "jacobian_rank": "--n 16 1024 --seed 0 --steps 1600",
    "local_linearity": "--n 16 1024 --seed 0 --steps 1600",
    "editing": "--model fashion-mnist-unet --data fashion_mnist",
    "linear_generalization": "--data power1 digits --draws 5",
}
"""What each study is run with here: its default, or smaller where that takes long."""
SAID = {
    "supported": "agrees",
    "contradicted": "**disagrees**",
    "undecided": "undecided here",
    "not tested": "not testable here",
    "fact": "measured",
}


def command(study: str) -> str:
    """The one line that measures a study for the gallery."""
    return f"denoscope run {study} {COMMANDS[study]}".rstrip()


def run(folder: Path) -> None:
    """Runs every command into a store of its own below a folder; what is there is resumed."""
    for study in COMMANDS:
        words = [*shlex.split(command(study))[1:], "--store", str(folder / study)]
        subprocess.run([sys.executable, "-m", "denoscope.cli", *words], check=True)


def take(folder: Path) -> None:
    """Keeps what the page shows of every store below a folder: claims, and a figure."""
    originals = [each for some in ORIGINALS.values() for each in some]
    drawn = {each.study: each.drawn for each in originals if each.drawn}
    asked = {study: [s for o in originals if o.study == study for s in o.claims] for study in drawn}
    for study in COMMANDS:
        store = folder / study
        if not (store / "claims.json").is_file():
            continue
        claims = json.loads((store / "claims.json").read_text())
        claims = [each for each in claims if each["claim"].startswith(tuple(asked[study]))]
        rows = json.loads((store / "table.json").read_text())
        KEPT.mkdir(exist_ok=True)
        text = json.dumps({"cells": len(rows), "claims": claims}, indent=1, ensure_ascii=False)
        (KEPT / f"{study}.json").write_text(f"{text}\n")
        figure = store / "figures" / f"{drawn.get(study, '')}.png"
        if figure.is_file():
            shutil.copyfile(figure, KEPT / f"{study}.png")


def kept(study: str) -> dict[str, Any] | None:
    """What was taken of a study's store."""
    file = KEPT / f"{study}.json"
    return json.loads(file.read_text()) if file.is_file() else None


def answering(original: Original) -> list[dict[str, Any]]:
    """The stored claims that answer a figure, in the order of its list."""
    found = kept(original.study)
    stored = found["claims"] if found else []
    return [each for start in original.claims for each in stored if each["claim"].startswith(start)]


def page() -> str:
    """The gallery in Markdown."""
    lines = [
        "# Figures of the literature, beside ours",
        "",
        "Each figure is measured anew by one command. A verdict is that of a stored claim: "
        "*agrees* where the whole interval lies on the published side, *disagrees* where it lies "
        "on the other. Where nothing was published, it says whether the claim is supported here. "
        "Ours are small networks on small images, so a disagreement may be one of scale. "
        "`make gallery` measures all of this again and writes this page.",
    ]
    for source, originals in ORIGINALS.items():
        lines += ["", f"## {source}"]
        for original in originals:
            lines += ["", *section(original)]
    return "\n".join(lines) + "\n"


def section(original: Original) -> Iterator[str]:
    """One figure: axes, scale, claims with their numbers, and ours as a picture."""
    yield f"### {original.name}"
    yield ""
    yield f"* The original: {original.axes}. Scale: {original.scale}."
    found = kept(original.study)
    if found is None:
        yield f"* Ours: `{command(original.study)}`. Not testable here: it was not run."
        return
    yield f"* Ours: `{command(original.study)}`, {found['cells']} cells."
    yield ""
    yield "| claim | published | ours | verdict |"
    yield "| --- | --- | --- | --- |"
    for claim in answering(original):
        verdict = SAID[claim["verdict"]] if claim["published"] else claim["verdict"]
        cells = [claim["claim"], claim["published"] or "–", numbers(claim), verdict]
        yield f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
    if original.untested:
        yield f"| {original.untested} | | | not testable here |"
    if original.drawn and (KEPT / f"{original.study}.png").is_file():
        yield ""
        yield f"![{original.name}, measured here](gallery/{original.study}.png)"


def numbers(claim: Mapping[str, Any]) -> str:
    """The estimates of a claim with their intervals; the two ends of many."""
    measured = [each for each in claim["numbers"] if each["value"] is not None]
    ordered = sorted(measured, key=lambda each: each["value"])
    ends = ordered if len(ordered) < 3 else [ordered[0], ordered[-1]]
    between = " to " if len(ordered) > 2 else ", "
    return between.join(map(interval, ends)) or "–"


def interval(number: Mapping[str, Any]) -> str:
    """A value with the ends of its interval, infinite where they are not known."""
    low = -math.inf if number["low"] is None else number["low"]
    high = math.inf if number["high"] is None else number["high"]
    return f"{number['value']:.3g} [{low:.3g}, {high:.3g}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--run", type=Path, metavar="RUNS", help="run every command into RUNS")
    parser.add_argument("--take", type=Path, metavar="RUNS", help="take stores that are there")
    options = parser.parse_args()
    if options.run:
        run(options.run)
    if options.run or options.take:
        take(options.run or options.take)
    (DOCS / "gallery.md").write_text(page())


if __name__ == "__main__":
    main()
