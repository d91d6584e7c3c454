"""Directions as a file: safetensors with the model and the noise level that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from denoscope.apply.edit import Directions
from denoscope.files import harmless, located
from denoscope.networks.archive import read_tensors, write_tensors

KIND = "directions"
UNKNOWN = {"angle": None, "reason": "no gap"}
"""Of a vector that may be turned into its neighbours'."""


@dataclass(frozen=True, eq=False)
class Kept:
    """``names`` and unit ``vectors`` (k, c, h, w) with the ``numbers`` of those that are singular
    vectors, found at ``sigma`` inside the ``mask`` (c, h, w) of an image of a ``model``.
    """

    names: list[str]
    vectors: Tensor
    numbers: Directions
    mask: Tensor
    sigma: float
    model: str
    image: str
    words: list[str]
    tolerance: float
    project: int

    @property
    def spectral(self) -> list[dict[str, float | str | None]]:
        """Of each direction its singular ``value``, the ``gap`` to the nearest other one and the
        ``angle`` to the true vector at most; None with a ``reason`` where there is none.
        """
        none = {"value": None, "gap": None, "angle": None, "reason": "no singular vector"}
        found: list[dict[str, float | str | None]] = []
        for value, gap, angle in zip(self.numbers.values, self.numbers.gap, self.numbers.angle):
            one: dict[str, float | str | None] = {"value": float(value), "gap": float(gap)}
            known = float(angle) <= 1.001 * self.tolerance
            found.append(one | ({"angle": float(angle)} if known else UNKNOWN))
        return found + [dict(none) for _ in self.names[len(found) :]]

    @property
    def warnings(self) -> list[str]:
        """What is said of directions that may be turned into one another, if there are any."""
        each = zip(self.names, self.spectral)
        turned = [name for name, own in each if own.get("reason") == UNKNOWN["reason"]]
        said = "singular values without a gap, so that such vectors may be turned into one another"
        return [f"{', '.join(turned)}: {said}"] if turned else []

    def write(self, file: Path) -> Path:
        about = {"names": self.names, "sigma": self.sigma, "model": self.model, "image": self.image}
        about |= {"mask": self.words, "tolerance": self.tolerance, "project": self.project}
        tensors = {"vectors": self.vectors, "mask": self.mask}
        numbers = {name: part for name, part in self.numbers._asdict().items() if name != "vectors"}
        return write_tensors(file, {**tensors, **numbers}, {"kind": KIND, **about})

    def check(self, model: str, shape: tuple[int, ...]) -> None:
        """A ValueError unless they belong to the model of that fingerprint."""
        if self.model != model or tuple(self.vectors.shape[1:]) != tuple(shape):
            raise ValueError(
                f"--apply: these directions were found with another model ({brief(self.model)}, "
                f"not {brief(model)}): find new ones with --mask"
            )


def brief(fingerprint: str) -> str:
    """The first digits of a model's hash, and its label if it has one."""
    sha256, comma, label = harmless(fingerprint).partition(",")
    return f"sha256 {sha256[:12]}{comma}{label}"


def read(word: str) -> Kept:
    """What :meth:`Kept.write` wrote; another file is a ValueError."""
    file = located(word)
    try:
        tensors, about = read_tensors(file)
    except FileNotFoundError:
        raise ValueError(f"--apply {harmless(word)}: there is no such file") from None
    except ValueError as error:
        raise ValueError(f"--apply {harmless(error, 2000)}") from error
    if about.get("kind") != KIND:
        raise ValueError(f"--apply {harmless(word)} holds no directions of `denoscope edit`")
    try:
        vectors = tensors["vectors"]
        numbers = Directions(vectors[: len(tensors["values"])], *map(tensors.__getitem__, NUMBERS))
        return Kept(
            list(map(str, about["names"])), vectors, numbers, tensors["mask"].bool(),
            float(about["sigma"]), str(about["model"]), str(about["image"]),
            list(map(str, about["mask"])), float(about["tolerance"]), int(about["project"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"--apply {harmless(word)} is incomplete: {harmless(error)}") from error


NUMBERS = ("values", "gap", "residual")
