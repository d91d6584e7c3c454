"""What is asked of the samples of a network that may copy: copies, and how good they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from denoscope.metrics.copying import excess
from denoscope.readings import Quantity, Reading
from denoscope.studies._subject import Subject
from denoscope.studies._trained import Trained

JUDGED = {
    "copies": Quantity("copies", "share", tip="samples that are copies by the 1/3 rule"),
    "excess": Quantity("excess copies", "share", tip="beyond those of held-out images"),
    "quality": Quantity(
        "Fréchet distance", "over its floor", form=".3g", tip="floor: as many real images"
    ),
}


def judged(cell: Trained, subject: Subject) -> Iterator[Reading]:
    """Copies and quality of the samples that a subject has, one number each; of samples that are
    not finite one that is not.
    """
    made, split = subject.samples(), subject.data
    if not made.isfinite().all():
        yield Reading("copies", {}, math.nan)
        return
    gen, train, test = (x.flatten(1) for x in (made, split.train(), split.unseen()))
    yield Reading("copies", {}, subject.copies().double().mean().item())
    yield Reading("excess", {}, excess(gen, train, test).value)
    yield Reading("quality", {}, cell.quality(made))
