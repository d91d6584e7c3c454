"""What an audit is asked: the options of the command line, and what can be seen to be wrong with
them before much is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from denoscope.audit.sets.inputs import InputSet

Words: TypeAlias = str | tuple[str, ...]
_TRAIN, _CONTROL = 3, 4  # rows that are needed of a training set beside a control, of a control


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """The question of an audit; :meth:`check` refuses what cannot be answered.

    ``gen``, ``train``, ``test``, ``twin`` are paths or names of sets, empty where not given; in
    Python also arrays: images (n, c, h, w) in [-1, 1], features (n, k). ``descriptors`` are words
    for :func:`denoscope.describe.by_name`, empty for those of the ``protocol``. ``false_alarm`` 0
    takes the protocol's. ``duplicates`` is the quantile below which training images are
    near-duplicates. ``planted`` counts training images that are copied with each perturbation.
    ``metrics`` are names, empty for all that the sets allow and that take minutes at most.
    ``seeds`` (empty: the protocol's), ``sampler``, ``steps``, ``batch``, ``device`` and ``label``
    (classes or all) say how a model given as ``gen`` or ``twin`` is sampled. ``prepare`` says how
    files become images, in the words of :class:`~denoscope.data.prepare.Preparation`, for all sets;
    ``prepare_train`` and the others say it for one, a test set following the training set and a
    twin the samples; ``resize`` is the word ``resize:N`` for all. ``flips`` compares with mirrored
    training images too, ``grid`` (RxC) cuts samples into cells, ``by_class`` compares within
    classes. ``fail_above`` None never fails.
    """

    gen: str | Any
    train: str | Any
    test: str | Any = ""
    twin: str | Any = ""
    out: Path = Path("runs/audit")
    descriptors: tuple[str, ...] = ()
    protocol: str = "denoscope-1"
    sscd: str = ""
    false_alarm: float = 0.0
    duplicates: float = 0.01
    planted: int = 300
    metrics: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    sampler: str = "ddim"
    steps: int = 50
    batch: int = 64
    device: str = "cpu"
    label: tuple[str, ...] = ()
    seed: int = 0
    prepare: Words = ()
    prepare_train: Words = ()
    prepare_test: Words = ()
    prepare_gen: Words = ()
    prepare_twin: Words = ()
    flips: bool = False
    grid: str = ""
    by_class: bool = False
    resize: int = 0
    range: tuple[float, ...] = ()
    skip_bad: bool = False
    cache: str = ""
    fail_above: float | None = None

    def check(self) -> None:
        """A ValueError naming the flag that is wrong."""
        for name in ("gen", "train"):
            if not getattr(self, name):
                raise ValueError(
                    f"--{name} is missing: a folder, an .npz, a .zip or a set's name such as digits"
                )
        if not 0 <= self.false_alarm < 1:
            raise ValueError(f"--false-alarm {self.false_alarm:g}: must lie between 0 and 1")
        if not 0 <= self.duplicates <= 0.5:
            raise ValueError(
                f"--duplicates {self.duplicates:g}: a quantile between 0 (exact copies "
                "only) and 0.5"
            )
        if self.fail_above is not None and not 0 <= self.fail_above < 1:
            raise ValueError(f"--fail-above {self.fail_above:g}: a share between 0 and 1")
        for flag, value, least in (
            ("planted", self.planted, 20),
            ("steps", self.steps, 1),
            ("batch-size", self.batch, 1),
        ):
            if value < least:
                raise ValueError(f"--{flag} {value}: must be at least {least}")
        if self.resize < 0:
            raise ValueError(f"--resize {self.resize}: must be at least 1")
        if self.range and not self.range[0] < self.range[1]:
            raise ValueError(
                f"--range {self.range[0]:g} {self.range[1]:g}: the first number must be "
                "the smaller one"
            )


def check_used(options: AuditOptions, descriptors: Sequence[str], models: Collection[str]) -> None:
    """A ValueError if an option is given that nothing uses: then something else was meant.
    ``models`` are the roles that are sampled from one.
    """
    if options.seeds and not models:
        raise ValueError(
            "--seeds says how a model is sampled, and neither --gen nor --twin is one: "
            "leave it out, or take a part as SET[0:500]"
        )
    if options.label and not models:
        raise ValueError(
            "--label says what a model is asked for, and neither --gen nor --twin is one: leave it "
            "out"
        )
    if options.sscd and all(word.partition(":")[0] != "sscd" for word in descriptors):
        raise ValueError(
            "--sscd names a network that no descriptor runs: add --descriptor pixels pca sscd"
        )


def check_control(options: AuditOptions, one: InputSet) -> None:
    """A ValueError if the training or the test set is too small to be compared with, or holds
    features where images were to be changed.
    """
    if one.images is None:
        for name in ("resize", "range"):
            if getattr(options, name):
                raise ValueError(
                    f"--{name} changes images, and --{one.role} holds features: leave it out"
                )
    least = _TRAIN if one.role == "train" and options.test else _CONTROL
    if len(one) < least:
        word = "row" if one.images is None else "image"
        raise ValueError(
            f"--{one.role} has {len(one)} {word}{'' if len(one) == 1 else 's'}: at "
            f"least {least} are needed, and hundreds to see a few copies"
        )


def check_pairs(role: str, seeds: Sequence[int], found: Mapping[str, InputSet]) -> None:
    """A ValueError if a model would be sampled for nothing: more or fewer rows than those that are
    there, which its samples must be paired with.
    """
    other = {"gen": "twin", "twin": "gen"}[role]
    if other in found and len(found[other]) != len(seeds):
        raise ValueError(
            f"--{other} has {len(found[other])} rows and --{role} is sampled with "
            f"{len(seeds)} seeds: give a seed for each row (--seeds)"
        )
