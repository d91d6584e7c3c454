"""The flags of the commands that measure what is given to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from denoscope.arguments import Parser, add_execution, values
from denoscope.files import located

GEOMETRY = (
    "jacobian_rank",
    "local_linearity",
    "score_gap",
    "gaussian_emergence",
    "disjoint_halves",
)
"""The studies of one denoiser, which `probe` asks of any: in the order of its page."""

DEFAULT = " (default: %(default)s)"
PRINTED = "print the {} as JSON on standard output, nothing else"
PREPARED: dict[str, Any] = {
    "nargs": "+",
    "default": (),
    "metavar": "WORD",
    "help": "how files become what the model saw, such as: exif crop-centre resize:64 grey",
}


def needed() -> Parser:
    parser = Parser(
        prog="denoscope needed",
        description="How many images a linear diffusion model needs, by their spectrum and their "
        "kurtosis, with what to do until there are enough.",
    )
    parser.add_argument(
        "--data", required=True, help="a folder, an .npz, a .zip, or a set's name such as digits"
    )
    parser.add_argument(
        "--kl",
        type=float,
        default=0.1,
        help="divergence from the best linear model to reach, nats per dimension "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--gap",
        type=float,
        default=0.1,
        help="test less train loss to reach, share of the least loss (default: %(default)s)",
    )
    parser.add_argument(
        "--abar",
        type=float,
        default=0.99,
        help="noise level of the losses, between 0 and 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--n",
        type=int,
        default=0,
        help="take only so many images at random; the others check the answers (default: all)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of what is drawn at random (default: %(default)s)"
    )
    parser.add_argument("--prepare", **PREPARED)
    parser.add_argument(
        "--resize", type=int, default=0, help="make all images squares of that side"
    )
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=(),
        metavar=("LOW", "HIGH"),
        help="of values that are not 8-bit",
    )
    parser.add_argument("--skip-bad", action="store_true", help="go on without unreadable images")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/needed"),
        help="folder of needed.html, .json and .csv (default: %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=0, help="threads (default: all cores)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read the images and say what would be done and how long it takes",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the numbers as JSON on standard output, nothing else",
    )
    return parser


def probe() -> Parser:
    parser = Parser(
        prog="denoscope probe",
        description="The geometry of trained denoisers: rank and intrinsic dimension, "
        "linearity, distance to the Gaussian, training against unseen images.",
    )
    add = parser.add_argument
    words = (
        "digits-unet or fashion-mnist-unet, which come along, files written by denoscope.save, "
        "cells or stores of `denoscope run phase_transition`, folders of diffusers, FILE.onnx, "
        "module:function"
    )
    add("--model", required=True, nargs="+", metavar="PATH", help=words)
    words = "the class, or the number, that a model with labels is asked for"
    add("--label", default="", help=words)
    words = "what the network of a file was trained on: a folder, an .npz, a .zip, or a set's name"
    add("--data", help=f"{words} such as digits")
    add("--test", help="images that it never saw (default: --held of --data)")
    words = "of a store to take; of a file, what it was trained on (default: all)"
    for name in ("n", "width", "subset", "seed"):
        of = "training images" if name == "n" else f"{name}s"
        add(f"--{name}", nargs="+", type=int, default=(), help=f"which {of} {words}")
    words = "images of --data that the network never saw, where there is no --test (default: 261)"
    add("--held", type=int, help=words)
    add("--prepare", **PREPARED)
    _reading(parser, None, None)
    words = f"which of {', '.join(GEOMETRY)} (default: all)"
    add("--studies", nargs="+", metavar="STUDY", choices=GEOMETRY, default=GEOMETRY, help=words)
    words = "folder of probe.html, .json and a store a study; running again resumes" + DEFAULT
    add("--out", type=Path, default=Path("runs/probe"), help=words)
    add_execution(parser)
    add("--json", action="store_true", help=PRINTED.format("numbers"))
    return parser


def _reading(group: Any, size: int | None, ends: tuple[float, ...] | None) -> None:
    """How images are read, with the defaults of these flags."""
    group.add_argument(
        "--resize", type=int, default=size, help="make all images squares of that side"
    )
    look = {"nargs": 2, "metavar": ("LOW", "HIGH"), "help": "of values that are not 8-bit"}
    group.add_argument("--range", type=float, default=ends, **look)
    group.add_argument("--skip-bad", action="store_true", help="go on without unreadable images")


def audit() -> Parser:
    parser = Parser(
        prog="denoscope audit",
        description="Does a model copy its training data? Samples against training "
        "images, with held-out images as the control.",
    )
    what = parser.add_argument_group(
        "sets",
        "each a folder of images, an .npz of images or features, a .zip, or a set's name "
        "such as digits; SET[0:500] takes a part",
    )
    words = "the samples; or a model: digits-unet or fashion-mnist-unet, a folder of diffusers, "
    words += "our own file or cell, FILE.onnx, module:function"
    what.add_argument("--gen", required=True, metavar="SET", help=words)
    what.add_argument("--train", required=True, metavar="SET", help="what the model was trained on")
    words = "images of the same kind that the model never saw: the control"
    what.add_argument("--test", default="", metavar="SET", help=words)
    words = "samples of a second model from the same noises, row by row; or that model"
    what.add_argument("--twin", default="", metavar="SET", help=words)
    _reading(what, 0, ())
    _preparing(parser.add_argument_group("how files become what the model saw").add_argument)
    _judging(parser.add_argument_group("how it is judged").add_argument)
    _sampling(parser.add_argument_group("how a model is sampled").add_argument)
    add = parser.add_argument
    words = "folder of audit.html, .json and .csv; running again resumes" + DEFAULT
    add("--out", type=located, default=Path("runs/audit"), help=words)
    words = "folder where described features are kept (default: features in --out)"
    add("--cache", default="", metavar="DIR", help=words)
    words = "exit 3 if more than this share is copied for sure, or nothing can be decided"
    add("--fail-above", type=float, default=None, metavar="SHARE", help=words)
    add("--threads", type=int, default=0, help="threads of torch (default: all cores)")
    words = "read the sets and say what would be done and how long it takes"
    add("--dry-run", action="store_true", help=words)
    add("--quiet", action="store_true", help="no progress")
    add("--json", action="store_true", help=PRINTED.format("result"))
    return parser


def edit() -> Parser:
    parser = Parser(
        prog="denoscope edit",
        description="Local edits of an image: the directions in which a model's denoiser changes "
        "most inside a mask and least outside it, and the image moved along them.",
    )
    what = parser.add_argument_group("what is edited").add_argument
    words = "digits-unet or fashion-mnist-unet, which come along, a file of denoscope.save, a "
    words += "stored cell, or a diffusers pipeline's folder"
    what("--model", required=True, metavar="MODEL", help=words)
    words = "image files, or parts of sets such as digits[5:6]; directions are found on the first"
    what("--image", required=True, nargs="+", metavar="IMAGE", help=words)
    words = (
        "where it shall change: rectangle:Y,X,HEIGHT,WIDTH, polygon:Y,X,Y,X,Y,X, superpixel:Y,X, "
        "otsu, or an image that is bright there; several are united"
    )
    what("--mask", nargs="+", default=(), metavar="MASK", help=words)
    words = "take the directions of this directions.safetensors instead of finding them"
    what("--apply", default="", metavar="FILE", help=words)
    what("--prepare", **PREPARED)
    look = {"nargs": 2, "metavar": ("LOW", "HIGH"), "default": ()}
    what("--range", type=float, **look, help="of values that are not 8-bit")
    _directing(parser.add_argument_group("how").add_argument)
    add = parser.add_argument
    words = "folder of edit.html, .json, directions.safetensors, sheets and images" + DEFAULT
    add("--out", type=located, default=Path("runs/edit"), help=words)
    add("--threads", type=int, default=0, help="threads of torch (default: all cores)")
    add("--quiet", action="store_true", help="no progress")
    add("--json", action="store_true", help=PRINTED.format("numbers"))
    return parser


def _directing(add: Callable[..., Any]) -> None:
    words = "how far, in parts of the norm of the noisy image" + DEFAULT
    add("--strength", nargs="+", type=float, default=(-0.5, 0.0, 0.5), help=words)
    add("--directions", type=int, metavar="K", help="how many are found (default: 5)")
    words = "a direction toward each of these labels too, for models of labelled images"
    add("--toward", nargs="+", type=int, default=(), metavar="LABEL", help=words)
    add("--label", type=int, help="of the image, for models that cannot do without")
    words = "leading directions of the outside that are projected off, 0 for none (default: 10)"
    add("--project", type=int, metavar="K", help=words)
    words = "the noise level by its time in the schedule with rates from 0.1 to 20 (default: 0.4)"
    add("--time", type=float, help=words)
    add("--sigma", type=float, help="the noise level itself")
    add("--steps", type=int, default=40, help="noise levels of the model" + DEFAULT)
    add("--batch-size", type=int, default=64, help="images at once" + DEFAULT)
    add("--seed", type=int, default=0, help="of the search's random start" + DEFAULT)
    add("--device", default="cpu", help="torch device" + DEFAULT)


def _preparing(add: Callable[..., Any]) -> None:
    look: dict[str, Any] = {"nargs": "+", "default": (), "metavar": "WORD"}
    words = "words in order, such as exif alpha:black crop-centre resize:64 grey, or a recipe"
    recipes = "diffusers, edm, denoising-diffusion-pytorch, guided-diffusion, imagefolder"
    add("--prepare", help=f"{words}: {recipes} (diffusers:64)", **look)
    for role, others in (("train", " and --test"), ("test", ""), ("gen", " and --twin")):
        add(f"--prepare-{role}", help=f"the same for --{role}{others}", **look)
    add("--prepare-twin", help="the same for --twin", **look)
    words = "compare with mirrored training images too"
    add("--flips", action="store_true", help=words)
    words = "the samples are grids of R x C images: take their cells"
    add("--grid", default="", metavar="RxC", help=words)


def _judging(add: Callable[..., Any]) -> None:
    words = "denoscope-1, rpgl-2024 or dcr-2023" + DEFAULT
    add("--protocol", default="denoscope-1", help=words)
    words = "pixels, pca, projection, sscd:FILE, module:function (default: those of the protocol)"
    add("--descriptor", dest="descriptors", nargs="+", default=(), metavar="NAME", help=words)
    words = "the weights that the descriptor sscd runs: ONNX or TorchScript"
    add("--sscd", default="", metavar="FILE", help=words)
    words = "share of real images that may be called copies (default: the protocol's)"
    add("--false-alarm", type=float, default=0.0, help=words)
    words = "quantile of distances below which images are near-duplicates" + DEFAULT
    add("--duplicates", type=float, default=0.01, help=words)
    words = "training images perturbed to measure what can be seen" + DEFAULT
    add("--planted", type=int, default=300, help=words)
    words = "compare within classes, where the sets have labels"
    add("--by-class", action="store_true", help=words)
    words = "only these metrics (default: all that take minutes at most)"
    add("--metrics", nargs="+", default=(), metavar="NAME", help=words)
    add("--seed", type=int, default=0, help="of what is drawn at random" + DEFAULT)


def _sampling(add: Callable[..., Any]) -> None:
    words = "one sample per seed, such as 0-9999 (default: the protocol's)"
    add("--seeds", nargs="+", type=lambda word: values(int, word), default=(), help=words)
    samplers = ["ddim", "heun", "dpmpp", "ddpm"]
    add("--sampler", choices=samplers, default="ddim", help="default: %(default)s")
    add("--steps", type=int, default=50, help="noise levels" + DEFAULT)
    add("--batch-size", dest="batch", type=int, default=64, help="samples at once" + DEFAULT)
    add("--device", default="cpu", help="torch device to sample on" + DEFAULT)
    words = "classes that a class-conditional model is asked for: one, several, 0-9, or all (as "
    words += "often as in --train, if it has them, else alike); or the number that it takes"
    add("--label", nargs="+", default=(), metavar="LABEL", help=words)


MARKING = {
    "key": "Writes a key: a secret direction in which images of a model are marked.",
    "embed": "Marks given images, or samples of a model, with a key.",
    "detect": "Which of the named keys do images carry: p-values that are exact for any image.",
    "attack": "Images as they are after attacks on their marks.",
}
"""What each action of `watermark` does."""


def watermark(action: str) -> Parser:
    parser = Parser(prog=f"denoscope watermark {action}", description=MARKING[action])
    add = parser.add_argument
    words = "a file of denoscope.save, a stored cell, a diffusers pipeline's folder, FILE.onnx"
    add("--model", required=action != "attack", default="", metavar="MODEL", help=words)
    add("--label", type=int, help="of the images, for models that cannot do without")
    {"key": _keying, "embed": _embedding, "detect": _finding, "attack": _attacking}[action](add)
    words = "a folder, an .npz, a .zip, or a part of a set such as digits[0:100]"
    if action == "key":
        words += ": at which --carrier null is measured"
    add("--images", required=action in ("detect", "attack"), default="", metavar="SET", help=words)
    add("--prepare", **PREPARED)
    look = {"nargs": 2, "metavar": ("LOW", "HIGH"), "default": ()}
    add("--range", type=float, **look, help="of values that are not 8-bit")
    add("--skip-bad", action="store_true", help="count unreadable images and go on")
    if action != "key":
        words = f"folder of {action}.html, .json, rows.csv and pictures; running again resumes"
        add("--out", type=located, default=Path("runs/watermark") / action, help=words + DEFAULT)
    add("--batch-size", type=int, default=64, help="images at once" + DEFAULT)
    add("--device", default="cpu", help="torch device" + DEFAULT)
    add("--threads", type=int, default=0, help="threads of torch (default: all cores)")
    add("--quiet", action="store_true", help="no progress")
    add("--json", action="store_true", help=PRINTED.format("result"))
    return parser


def _keying(add: Callable[..., Any]) -> None:
    add("--key", required=True, nargs=1, metavar="FILE", help="file that is written")
    carriers = ["high", "low", "ring", "all", "null"]
    words = "where the mark lies: bands of frequencies, everywhere, or off the leading directions "
    add("--carrier", choices=carriers, default="high", help=f"{words}of the Jacobian{DEFAULT}")
    words = "of a band, cycles per image (default: a seventh of the shorter side)"
    add("--radius", type=float, help=words)
    words = "directions that null leaves out (default: an eighth of all, at most 80)"
    add("--rank", type=int, help=words)
    words = "the noise level by its time in parts of 1 000 linear steps (default: 0.3)"
    add("--time", type=float, help=words)
    add("--sigma", type=float, help="the noise level itself")
    add("--steps", type=int, default=25, help="noise levels of the model" + DEFAULT)
    add("--seed", type=int, help="of the secret (default: drawn by the system)")


def _embedding(add: Callable[..., Any]) -> None:
    add("--key", required=True, nargs=1, metavar="FILE", help="of `watermark key`")
    words = "mark so many samples of the model while they are made, instead of --images"
    add("--samples", type=int, default=0, metavar="N", help=words)
    add("--seed", type=int, help="of the first sample (default: 0)")
    words = "length of the step in variance-preserving coordinates"
    add("--strength", type=float, default=8.0, help=words + DEFAULT)
    words = "informed lowers the image's own part in the carrier first" + DEFAULT
    add("--how", choices=["additive", "informed", "replace"], default="additive", help=words)


def _finding(add: Callable[..., Any]) -> None:
    add("--key", required=True, nargs="+", metavar="FILE", help="one or several keys")
    words = "look at images moved by up to so many pixels, too; p is corrected for all looks"
    add("--shifts", type=int, default=0, metavar="PIXELS", help=words + DEFAULT)
    words = "chance that an image without a key is named, all keys together"
    add("--level", type=float, default=0.01, help=words + DEFAULT)


def _attacking(add: Callable[..., Any]) -> None:
    words = "NAME or NAME:STRENGTH, such as jpeg:50 noise:0.1 regenerate:0.3 subtract forge"
    add("--attack", required=True, nargs="+", metavar="ATTACK", help=words)
    words = "images without a mark: for subtract and forge"
    add("--clean", default="", metavar="SET", help=words)
    add("--key", nargs=1, default=(), metavar="FILE", help="of the second mark of remark")
    add("--steps", type=int, default=25, help="noise levels of regenerate" + DEFAULT)
    add("--seed", type=int, help="of what is drawn at random (default: 0)")
