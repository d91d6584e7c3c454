"""Protocols: everything a copy rate depends on beside the sets, fixed under a name and a version.

Of other people's protocols the fixed thresholds are known too. They are reported as published,
never as calibrated: on small images most real held-out images pass them, and they belong to one
network, resize and normalisation.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from denoscope.references import references


@dataclass(frozen=True)
class Published:
    """A fixed similarity above which ``cites`` call a sample a copy, with ``words`` on whose."""

    threshold: float
    words: str
    cites: str


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "rpgl-2024": Published(
            0.6,
            "fixed at 0.6 for sscd_disc_large at 320x320 (Zhang et al. 2024), not calibrated here",
            "zhang2024",
        ),
        "dcr-2023": Published(
            0.5,
            "fixed at 0.5 for SSCD at 224x224 of 256 (Somepalli et al. 2023), not calibrated here",
            "somepalli2023",
        ),
    }
)
"""Published fixed thresholds of SSCD by preprocessing."""


def published(identity: Mapping[str, Any]) -> Published | None:
    """The published threshold that goes with a descriptor's identity, None where none does."""
    return PUBLISHED.get(str(identity.get("preprocessing")))


@dataclass(frozen=True)
class Protocol:
    """What is fixed: ``descriptors`` (words of :func:`denoscope.describe.by_name`, the first
    decides), the ``false_alarm`` rate of calibrated
    thresholds, ``thresholds`` that were published for a descriptor, ``seeds`` first to last of
    generated samples, ``normalisation`` in words, and ``cites``, keys of references.
    """

    name: str
    version: int
    descriptors: tuple[str, ...]
    normalisation: str
    false_alarm: float = 0.01
    thresholds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    first_seed: int = 0
    last_seed: int = 9999
    cites: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of generated samples."""
        return tuple(range(self.first_seed, self.last_seed + 1))

    def json(self) -> dict[str, Any]:
        """All of it as JSON holds it."""
        return {
            "name": self.name,
            "version": self.version,
            "descriptors": list(self.descriptors),
            "normalisation": self.normalisation,
            "false_alarm": self.false_alarm,
            "published_thresholds": dict(self.thresholds),
            "seeds": f"{self.first_seed}-{self.last_seed}",
            "references": [work.text() for work in references(self.cites)],
        }


DEFAULT = "denoscope-1"
"""The protocol of an audit that names none."""
_OWN = Protocol(
    DEFAULT,
    1,
    ("pixels", "pca"),
    "images in [-1, 1] as they are prepared; thresholds calibrated on held-out images",
    last_seed=1999,
    cites=("yoon2023",),
)
_RPGL = Protocol(
    "rpgl-2024",
    1,
    ("sscd:rpgl-2024",),
    "to 320x320 whatever the proportions, ImageNet mean and std",
    thresholds=MappingProxyType({"sscd": PUBLISHED["rpgl-2024"].threshold}),
    cites=("zhang2024", "pizzi2022"),
)
_DCR = Protocol(
    "dcr-2023",
    1,
    ("sscd:dcr-2023",),
    "short side to 256, middle 224x224, mean 0.5, std 0.5",
    thresholds=MappingProxyType({"sscd-dcr-2023": PUBLISHED["dcr-2023"].threshold}),
    cites=("somepalli2023", "pizzi2022"),
)
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {item.name: item for item in (_OWN, _RPGL, _DCR)}
)
"""All protocols by name."""


def protocol(name: str) -> Protocol:
    """The protocol of this name; another one is a ValueError that names the nearest."""
    if name not in PROTOCOLS:
        close = difflib.get_close_matches(name, PROTOCOLS, 1, 0.0)[0]
        raise ValueError(
            f"there is no protocol {name!r}: did you mean {close!r}? All: {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]
