"""Coordinates of what is measured, said once for the house: how each is called, and its values.

A coordinate whose ``values`` are listed is closed: another value is an error, and the order of the
list is their order in legends, tables and sentences.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Coordinate:
    """``label`` names an axis, ``said`` one value of it; ``scale`` is the axis': ``size`` is log2.

    ``values`` are the names of all values that there are; empty: any number or text. Those of a
    ``sample`` are drawn, such as training runs: no value stands apart from the others.
    """

    label: str
    said: str = "{}"
    scale: Literal["size", "log", "linear"] = "linear"
    values: Mapping[Any, str] = field(default_factory=dict)
    sample: bool = False


ROLES = {
    "network": "network",
    "memorizer": "memorizer",
    "gaussian": "Gaussian",
    "gaussian_all": "Gaussian of all images",
    "truth": "true denoiser",
    "distillate": "distillate",
    "control": "distilled memorizer",
}
"""Who is asked: a model, or a closed form made of its training images."""

IMAGES = {
    "train": "training images",
    "test": "unseen images",
    "gen": "samples",
    "truth": "true law, estimated",
    "given": "given image",
}

REMEDIES = {
    "none": "no regularisation",
    "ridge": "best ridge",
    "stop": "early stop",
    "measured": "without, measured",
}
DIVERGENCES = {"model||true": "KL(model ‖ true)", "true||model": "KL(true ‖ model)"}

DIRECTIONS = {
    "principal": "principal directions",
    "projected": "masked, projected",
    "masked": "masked, not projected",
    "global": "global leading",
    "frame": "PCA of denoised perturbations",
    "pixels": "noise on the mask",
    "random": "random directions",
    "uniform": "random directions",
}
SLOPES = {"lower": "slope of the lower level", "upper": "slope of the upper level"}
ONTO = {"same": "images of its class", "other": "images of another class"}
MEASURES = {"ratio": "norm ratio", "cosine": "cosine"}
METHODS = {
    "clustering": "subspace clustering",
    "training": "diffusion training",
    "free": "clustering without orthogonality",
    "empirical": "empirical distribution",
    "kernel": "kernel smoother",
    "gaussian": "Gaussian fit",
    "molrg": "MoLRG fit",
    "network": "network",
    "network_end": "network, to the end",
}
"""How subspaces are recovered, and what makes a denoiser of N points."""

STARTS = {"neighbours": "starts at neighbours", "random": "random starts"}

CHOICES = {"image": "nearest training image", "class": "its class"}
"""What a path settles on."""

ASSIGNMENTS = {"noisy": "assigned by the noisy point", "soft": "soft weights"}
"""Which subspace a noisy point is projected onto."""

INPUTS = {"noisy": "noisy images", "noise": "noise alone", "centred": "about the mean image"}
"""On what a denoiser's linearity is asked."""

REGIMES = {"low": "low noise", "intermediate": "intermediate noise", "high": "high noise"}

PAIRS = {
    "halves": "disjoint halves",
    "seeds": "two seeds of one half",
    "widths": "two widths of one half",
    "given": "two given models",
    "gaussian": "Gaussians of the halves",
    "memorizer": "memorizers of the halves",
    "nearest": "nearest training image",
    "unseen": "unseen image, nearest training image",
    "unlike": "unlike noises",
    "places": "one model, two images",
}
"""What is compared with what."""
SOURCES = {
    "simulation": "simulation",
    "twin": "Gaussian twin",
    "theory": "theory",
    "law": "the law itself",
    "chance": "chance",
    "dimension": "share of the directions",
    "first_order": "d/(4N)",
    "rule": "one over the unseen variance",
    "bound": "lower bound",
    "bayes": "Bayes",
    "data": "training images",
    "paths": "paths",
}
"""Where a number comes from: training sets, those of the data's Gaussian twin, or theory; or, of
when a path decides, the training images alone, or paths.
"""

TRAININGS = {
    "trained": "trained to the end",
    "ridge": "best ridge",
    "stopped": "stopped at the best time",
    "shared": "one time for all levels",
}
"""How a linear model is kept from overfitting."""

SAMPLERS = {"ode": "probability-flow ODE", "ddpm": "DDPM"}
TARGETS = {"noise": "noise prediction", "denoising": "denoising"}

SETS = {
    "gen": "samples",
    "test": "held out",
    "train": "training set, each without itself",
    "twin": "samples of a second run",
}

COPIES = {
    "noise": "noise",
    "blur": "blur",
    "jpeg": "JPEG",
    "colour": "changed colours",
    "round trip": "the model's own round trip",
    "near": "all that are not moved",
    "shift": "shift (moved)",
    "crop": "crop (moved)",
    "flip": "flip (moved)",
    "moved": "all that are moved",
    "chance": "chance",
}
"""How planted copies of training images were changed."""

SCORES = {
    "gl": "all distances",
    "gl_within": "within the subspaces",
    "gl_unsquared": "distances not squared",
}
"""How the generalization score GL is computed."""

PARTS = {
    "inside": "in the span of all",
    "nearest": "in the nearest one",
    "distance": "samples to the nearest subspace",
    "between": "fresh points to training points",
}
"""Where samples lie."""

WAYS = {
    "heun": "Heun, 18 steps from σ = 80",
    "heun9": "Heun, 9 steps",
    "heun36": "Heun, 36 steps",
    "high20": "Heun, from σ = 20",
    "euler": "Euler (DDIM), 18 steps",
    "dpmpp": "DPM-Solver++, 18 steps",
    "ddpm": "DDPM, 36 steps, all noises shared",
    "ddpm_other": "DDPM, 36 steps, the first noise shared",
    "two": "two steps, both noises shared",
    "two_other": "two steps, the first noise shared",
    "inpainted": "behind an upper half, noise shared",
    "inpainted_other": "behind an upper half, other noise",
    "enlarged": "behind 2 × 2 means, noise shared",
    "enlarged_other": "behind 2 × 2 means, other noise",
}
"""How samples are drawn."""

BASES = {"own": "training covariance", "all": "covariance of all images"}
"""Whose eigenvectors are looked along."""

PLACES = {
    "test": "noisy unseen images",
    "train": "noisy training images",
    "path": "sampling paths",
}
MACHINES = {
    "local": "windows, same place",
    "anywhere": "windows, any place",
    "wiener": "windows of the data",
    "memorizer": "memorizer",
    "gaussian": "Gaussian",
}
"""Closed-form denoisers that a network is compared with."""
ENDS = {"printed": "as printed", "code": "as in the code"}
"""How the published similarity to the last time is read."""
EDGES = {"first": "end of the first", "last": "beginning of the last"}
"""Boundaries of intervals of noise levels."""
COMPARED = {
    "memorizer": "memorizer's similarity",
    "gaussian": "Gaussian's similarity",
    "rank": "Gaussian's rank",
}
"""By what noise levels are alike."""
CARRIERS = {
    "all": "every pixel",
    "low": "low band",
    "ring": "ring",
    "high": "high band",
    "null": "null space",
    "null_most": "null space, most removed",
    "replaced": "low band replaced at T (Tree-Ring)",
    "dct": "spread spectrum (DCT)",
}
"""Where marks are put."""
RIVALS = {
    "dct": "spread spectrum (DCT)",
    "high": "high band at 0.3T",
    "null": "null space at 0.3T",
}
KINDS = {
    "gen": "unmarked samples",
    "test": "unmarked real images",
    "attacked": "attacked unmarked images",
    "other": "images with another key's mark",
}
"""Images that do not depend on the key that is looked for."""
ATTACKS = {
    "none": "none",
    "noise": "noise, deviation 0.05",
    "blur": "blur, 0.5 pixels",
    "jpeg": "JPEG, quality 75",
    "brightness": "brightness times 1.1",
    "median": "median of 3 × 3",
    "resize": "to 3/4 of each side and back",
    "crop": "crop to 0.9 of each side",
    "shift": "shift by a pixel",
    "rotation": "rotation by 5°",
    "wrong": "inversion by a wrong model",
    "regenerate": "noise at 0.1T, sampled down",
    "regenerate_more": "noise at 0.3T, sampled down",
    "remark": "a second mark, of another key",
    "subtract": "mean of marked images of one key taken off",
    "forge": "that mean put on clean images, one key for all",
    "forge_own": "that mean put on clean images, a key for each",
}
SWITCHED = {
    "memorizing": "memorizing inside the band, generalizing outside",
    "generalizing": "generalizing inside the band, memorizing outside",
}
"""Two networks as one denoiser, switched by noise level."""
ARMS = {
    "unified": "unified network",
    "experts": "separate experts",
    "multistage": "one encoder, several decoders",
    "published": "the same, published widths",
}
"""How networks share what they learn between stages of noise levels."""
VISITED = {
    "density": "by density",
    "uniform": "uniformly",
    "gradient": "by gradient",
    "decrease": "by decrease of the loss",
}
FAMILIES = {
    "none": "no remedy",
    "all": "all images",
    "linear": "linear model, stopped",
    "decay": "weight decay",
    "dropout": "dropout",
    "width": "narrower network",
    "shift": "shifted images",
    "mirror": "mirrored images",
    "rare": "fewer draws in a band of σ",
    "early": "stopped early",
    "monitor": "monitor's checkpoint",
    "blur": "score averaged over noise",
    "mix": "mixed with the Gaussian",
    "stop": "sampler stopped early",
}
"""What is done against copying."""
APPLIED = {"training": "in training", "afterwards": "after training"}
LOSSES = {"train": "training loss", "test": "loss on new points"}
RULES = {"norm": "0.99 of the norm", "energy": "0.99 of the energy"}
ESTIMATORS = {
    "two_nn": "TwoNN",
    "mle": "maximum likelihood",
    "local_pca": "local PCA",
    "participation": "participation ratio",
    "known": "known",
}

COORDINATES: dict[str, Coordinate] = {
    "n": Coordinate("training images N", "N = {}", "size"),
    "width": Coordinate("width of the network", "width {}", "size"),
    "subset": Coordinate("training subset", "half {}", sample=True),
    "seed": Coordinate("training seed", "seed {}", sample=True),
    "model": Coordinate("model"),
    "sigma": Coordinate("noise level σ", "σ = {:.2g}", "log"),
    "rows": Coordinate("training rows N", "N = {}", "size"),
    "order": Coordinate("direction, by rank", "direction {}", "log"),
    "basis": Coordinate("directions of", values=BASES),
    "leading": Coordinate("leading directions k", "k = {}", "size"),
    "rank": Coordinate("rank k", "k = {}"),
    "step": Coordinate("training step", "step {}", "log"),
    "per_image": Coordinate("training steps per image", "{:.3g} steps per image", "log"),
    "side": Coordinate(
        "side",
        values={
            "before": "the first snapshot",
            "after": "the end",
            "near": "nearest twentieth",
            "far": "farthest twentieth",
        },
    ),
    "machine": Coordinate("closed form", values=MACHINES),
    "net": Coordinate("network"),
    "arm": Coordinate("network", values=ARMS),
    "policy": Coordinate("stages visited", values=VISITED),
    "stage": Coordinate("stage of noise levels", "stage {}"),
    "lr": Coordinate("learning rate", "learning rate {:g}", "log"),
    "spent": Coordinate("operations (unified: 1)", "{:.2g}", "log"),
    "elapsed": Coordinate("seconds (unified: 1)", "{:.2g}", "log"),
    "loss": Coordinate("loss", values=LOSSES),
    "features": Coordinate("features per dimension, p/d", "p/d = {:g}", "log"),
    "noises": Coordinate("noises per point (0: averaged exactly)", "{} noises per point"),
    "flow": Coordinate("training time τ", "τ = {:.3g}", "log"),
    "eigenvalue": Coordinate("eigenvalue λ of U", "{:.3g}", "log"),
    "size": Coordinate("training points N", "N = {}", "log"),
    "ambient": Coordinate("ambient dimension n", "n = {}", "size"),
    "to": Coordinate("distance to", values=ROLES),
    "time": Coordinate("time t", "t = {:g}"),
    "later_time": Coordinate("other time", "t' = {:g}"),
    "amplitude": Coordinate("amplitude A of images in [−A, A]", "amplitude {:g}"),
    "alpha": Coordinate("least similarity α", "α = {:g}"),
    "reading": Coordinate("time 1", values=ENDS),
    "edge": Coordinate("boundary", values=EDGES),
    "by": Coordinate("alike by", values=COMPARED),
    "length": Coordinate("length of the step, λ / √d", "λ = {:g} √d", "log"),
    "direction": Coordinate("direction", values=DIRECTIONS),
    "measure": Coordinate("measure", values=MEASURES),
    "refined": Coordinate("refinements of a step", "{} refinements"),
    "slope": Coordinate("inversion", values=SLOPES),
    "onto": Coordinate("carried to", values=ONTO),
    "k": Coordinate("number of subspaces K", "K = {}"),
    "d": Coordinate("dimension d", "d = {}"),
    "n_k": Coordinate("points per subspace, N_k", "N_k = {}", "size"),
    "ratio": Coordinate("N_k / d", "N_k/d = {:.3g}", "size"),
    "per_d": Coordinate("rows per dimension, N/d", "N/d = {:.3g}", "log"),
    "score": Coordinate("score", values=SCORES),
    "height": Coordinate("GL at the crossing", "GL = {:g}"),
    "part": Coordinate("part", values=PARTS),
    "excess": Coordinate("N_k − d", "N_k − d = {}"),
    "noise": Coordinate("noise of the points", "noise {:g}"),
    "start": Coordinate("start", values=STARTS),
    "choice": Coordinate("settled on", values=CHOICES),
    "method": Coordinate("method", values=METHODS),
    "assignment": Coordinate("weights", values=ASSIGNMENTS),
    "family": Coordinate("remedy", values=FAMILIES),
    "dose": Coordinate("strength", "strength {:g}", "log"),
    "applied": Coordinate("applied", values=APPLIED),
    "remedy": Coordinate("regularisation", values=REMEDIES),
    "divergence": Coordinate("divergence", values=DIVERGENCES),
    "abar": Coordinate("noise level ᾱ", "ᾱ = {:g}"),
    "principal": Coordinate("rank of the direction", "rank {:g}", "log"),
    "ridge": Coordinate("ridge c", "c = {:.2g}", "log"),
    "duration": Coordinate("training time k = 2ητ", "k = {:.2g}", "log"),
    "descriptor": Coordinate("descriptor"),
    "set": Coordinate("set", values=SETS),
    "copies": Coordinate("copies with", values=COPIES),
    "alarms": Coordinate("false alarms", "{:.2%}", "log"),
    "pair": Coordinate("pair", values=PAIRS),
    "maker": Coordinate("model"),
    "way": Coordinate("sampling", values=WAYS),
    "one": Coordinate("model"),
    "other": Coordinate("other model"),
    "data": Coordinate("data"),
    "source": Coordinate("source", values=SOURCES),
    "training": Coordinate("training", values=TRAININGS),
    "number": Coordinate("number"),
    "level": Coordinate("noise 1 − ᾱ", "1 − ᾱ = {:g}", "log"),
    "lam": Coordinate("variance λ of the mode", "λ = {:.3g}", "log"),
    "mode": Coordinate("mode of the training covariance"),
    "sampler": Coordinate("sampler", values=SAMPLERS),
    "target": Coordinate("what the model predicts", values=TARGETS),
    "place": Coordinate("points", values=PLACES),
    "rule": Coordinate("rule", values=RULES),
    "end": Coordinate("end", values={"low": "the low end", "high": "the high end"}),
    "estimator": Coordinate("estimator", values=ESTIMATORS),
    "who": Coordinate("denoiser", values=ROLES),
    "images": Coordinate("images", values=IMAGES),
    "asked_on": Coordinate("inputs", values=INPUTS),
    "band": Coordinate("middle of the band, σ over the spread", "σ about {:g} spreads", "log"),
    "switched": Coordinate("networks", values=SWITCHED),
    "regime": Coordinate("noise", values=REGIMES),
    "psnr": Coordinate("input PSNR (dB)", "input {:g} dB"),
    "carrier": Coordinate("carrier", values=CARRIERS),
    "rival": Coordinate("rival", values=RIVALS),
    "strength": Coordinate("strength of the mark λ", "λ = {:.3g}"),
    "marked_psnr": Coordinate("PSNR (dB)", "{:.1f} dB"),
    "p": Coordinate("found at p at most", "p ≤ {:g}", "log"),
    "kind": Coordinate("images", values=KINDS),
    "attack": Coordinate("attack", values=ATTACKS),
}


def nearest(word: str, valid: Iterable[str]) -> str:
    """The valid words with the one most like ``word`` first, for an error message."""
    words = sorted(map(str, valid))
    close = difflib.get_close_matches(str(word), words, 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(words)}"


def check(at: Mapping[str, Any]) -> None:
    """A ValueError for a coordinate or a value of a closed one that was never declared."""
    for name, value in at.items():
        if name not in COORDINATES:
            raise ValueError(f"no coordinate {name!r}: {nearest(name, COORDINATES)}")
        values = COORDINATES[name].values
        if values and not isinstance(value, tuple) and value not in values:
            raise ValueError(f"{name} has no value {value!r}: {nearest(value, values)}")


def name_of(coordinate: str, value: Any) -> str:
    """How a value is called in a legend, a table or a sentence; a pair of values by both names."""
    if isinstance(value, tuple):
        return " and ".join(name_of(coordinate, each) for each in value)
    known = COORDINATES[coordinate]
    text = known.values[value] if known.values else known.said.format(value)
    return text.replace("-", "−") if isinstance(value, int | float) else text


def order_of(coordinate: str, values: Iterable[Any]) -> list[Any]:
    """Values in order: as declared for a closed coordinate, numbers rising, else as they come."""
    found, declared = list(dict.fromkeys(values)), list(COORDINATES[coordinate].values)
    if declared and all(value in declared for value in found):
        return sorted(found, key=declared.index)
    numeric = all(isinstance(value, int | float) for value in found)
    return sorted(found) if numeric else found
