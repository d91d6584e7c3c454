"""The flags of the commands that measure what is given to them."""

from __future__ import annotations

from pathlib import Path

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
        help="divergence from the best linear model to reach, nats a dimension "
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
        "linearity, distance to the Gaussian, training against unseen "
        "images.",
    )
    parser.add_argument(
        "--model",
        required=True,
        nargs="+",
        metavar="PATH",
        help="files written by denoscope.save, or a cell or a whole store of `denoscope "
        "run phase_transition`",
    )
    parser.add_argument(
        "--data",
        help="what the network of a file was trained on: a folder, an .npz, a .zip, or a "
        "set's name such as digits",
    )
    parser.add_argument("--test", help="images that it never saw (default: --held of --data)")
    for name, of in (
        ("n", "training images"),
        ("width", "widths"),
        ("subset", "subsets"),
        ("seed", "seeds"),
    ):
        parser.add_argument(
            f"--{name}",
            nargs="+",
            type=int,
            default=(),
            help=f"which {of} of a store to take; of a file, what it was trained on (default: all)",
        )
    parser.add_argument(
        "--held",
        type=int,
        help="images of --data that the network never saw, where there is no --test (default: 261)",
    )
    parser.add_argument("--resize", type=int, help="make all images squares of that side")
    parser.add_argument(
        "--range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of values that are not 8-bit"
    )
    parser.add_argument("--skip-bad", action="store_true", help="go on without unreadable images")
    parser.add_argument(
        "--studies",
        nargs="+",
        metavar="STUDY",
        choices=GEOMETRY,
        default=GEOMETRY,
        help=f"which of {', '.join(GEOMETRY)} (default: all)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/probe"),
        help="folder of probe.html, .json and a store a study; running again resumes "
        "(default: %(default)s)",
    )
    add_execution(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the numbers as JSON on standard output, nothing else",
    )
    return parser


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
    what.add_argument(
        "--gen",
        required=True,
        metavar="SET",
        help="the samples; or a model: a diffusers pipeline's folder, or our own file",
    )
    what.add_argument("--train", required=True, metavar="SET", help="what the model was trained on")
    what.add_argument(
        "--test",
        default="",
        metavar="SET",
        help="images of the same kind that the model never saw: the control",
    )
    what.add_argument(
        "--twin",
        default="",
        metavar="SET",
        help="samples of a second model from the same noises, row by row; or that model",
    )
    what.add_argument("--resize", type=int, default=0, help="make all images squares of that side")
    what.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=(),
        metavar=("LOW", "HIGH"),
        help="of values that are not 8-bit",
    )
    what.add_argument("--skip-bad", action="store_true", help="go on without unreadable images")
    how = parser.add_argument_group("how it is judged")
    how.add_argument(
        "--protocol",
        default="denoscope-1",
        help="denoscope-1, rpgl-2024 or dcr-2023 (default: %(default)s)",
    )
    how.add_argument(
        "--descriptor",
        dest="descriptors",
        nargs="+",
        default=(),
        metavar="NAME",
        help="pixels, pca, projection, sscd:FILE, module:function (default: those of the protocol)",
    )
    how.add_argument(
        "--sscd",
        default="",
        metavar="FILE",
        help="the weights that the descriptor sscd runs: ONNX or TorchScript",
    )
    how.add_argument(
        "--false-alarm",
        type=float,
        default=0.0,
        help="share of real images that may be called copies (default: the protocol's)",
    )
    how.add_argument(
        "--duplicates",
        type=float,
        default=0.01,
        help="quantile of distances below which images are near-duplicates (default: %(default)s)",
    )
    how.add_argument(
        "--planted",
        type=int,
        default=300,
        help="training images perturbed to measure what can be seen (default: %(default)s)",
    )
    how.add_argument(
        "--metrics",
        nargs="+",
        default=(),
        metavar="NAME",
        help="only these metrics (default: all that take minutes at most)",
    )
    how.add_argument(
        "--seed", type=int, default=0, help="of what is drawn at random (default: %(default)s)"
    )
    model = parser.add_argument_group("how a model is sampled")
    model.add_argument(
        "--seeds",
        nargs="+",
        type=lambda word: values(int, word),
        default=(),
        help="one sample a seed, such as 0-9999 (default: the protocol's)",
    )
    model.add_argument(
        "--sampler",
        choices=["ddim", "heun", "dpmpp", "ddpm"],
        default="ddim",
        help="default: %(default)s",
    )
    model.add_argument("--steps", type=int, default=50, help="noise levels (default: %(default)s)")
    model.add_argument(
        "--batch-size",
        dest="batch",
        type=int,
        default=64,
        help="samples at once (default: %(default)s)",
    )
    model.add_argument(
        "--device", default="cpu", help="torch device to sample on (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=located,
        default=Path("runs/audit"),
        help="folder of audit.html, .json and .csv; running again resumes (default: %(default)s)",
    )
    parser.add_argument(
        "--cache",
        default="",
        metavar="DIR",
        help="folder where described features are kept (default: features in --out)",
    )
    parser.add_argument(
        "--fail-above",
        type=float,
        default=None,
        metavar="SHARE",
        help="exit 3 if more than this share is copied for sure, or nothing can be decided",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of torch (default: all cores)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read the sets and say what would be done and how long it takes",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the result as JSON on standard output, nothing else",
    )
    return parser
