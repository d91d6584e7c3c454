"""What can be seen to be wrong with a question before much is computed: options that nothing would
use, and sets too small to say anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from denoscope.audit.asked import Asked
from denoscope.audit.sets.inputs import Given

_TRAIN, _CONTROL = 3, 4


def check_used(asked: Asked, descriptors: Sequence[str], models: Collection[str]) -> None:
    """A ValueError if an option is given that nothing uses: then something else was meant.
    ``models`` are the roles that are sampled from one.
    """
    if asked.seeds and not models:
        raise ValueError(
            "--seeds says how a model is sampled, and neither --gen nor --twin is one: "
            "leave it out, or take a part as SET[0:500]"
        )
    if asked.sscd and all(word.partition(":")[0] != "sscd" for word in descriptors):
        raise ValueError(
            "--sscd names a network that no descriptor runs: add --descriptor pixels pca sscd"
        )


def check_control(asked: Asked, given: Given) -> None:
    """A ValueError if the training or the test set is too small to be compared with, or holds
    features where images were to be changed.
    """
    if given.images is None:
        for name in ("resize", "range"):
            if getattr(asked, name):
                raise ValueError(
                    f"--{name} changes images, and --{given.role} holds features: leave it out"
                )
    least = _TRAIN if given.role == "train" and asked.test else _CONTROL
    if len(given) < least:
        word = "row" if given.images is None else "image"
        raise ValueError(
            f"--{given.role} has {len(given)} {word}{'' if len(given) == 1 else 's'}: at "
            f"least {least} are needed, and hundreds to see a few copies"
        )


def check_pairs(role: str, seeds: Sequence[int], found: Mapping[str, Given]) -> None:
    """A ValueError if a model would be sampled for nothing: more or fewer rows than those that are
    there, which its samples must be paired with.
    """
    other = {"gen": "twin", "twin": "gen"}[role]
    if other in found and len(found[other]) != len(seeds):
        raise ValueError(
            f"--{other} has {len(found[other])} rows and --{role} is sampled with "
            f"{len(seeds)} seeds: give a seed for each row (--seeds)"
        )
