"""What an audit is asked: the options of the command line, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The question of an audit; :meth:`check` refuses what cannot be answered.

    ``gen``, ``train``, ``test``, ``twin`` are paths or names of sets, empty where not given;
    ``descriptors`` are words for
    :func:`denoscope.describe.by_name`, empty for those of the ``protocol``. ``false_alarm`` 0 takes
    the protocol's. ``duplicates`` is the quantile below which training images are near-duplicates.
    ``planted`` counts training images that are copied with each perturbation. ``metrics`` are
    names, empty for all that the sets allow and that take minutes at most. ``seeds`` (empty: the
    protocol's), ``sampler``, ``steps``, ``batch`` and ``device`` say how a model given as ``gen``
    or ``twin`` is sampled. ``fail_above`` None never fails.
    """

    gen: str
    train: str
    test: str = ""
    twin: str = ""
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
    seed: int = 0
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
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(
                f"--out {self.out} is a file; name a folder, or one that does not exist yet"
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
