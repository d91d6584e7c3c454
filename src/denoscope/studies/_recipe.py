"""How the networks of the main job are trained and sampled: the options that every study with such
networks has.
"""

from __future__ import annotations

from dataclasses import dataclass

from denoscope.study import Study, option


@dataclass(frozen=True, kw_only=True)
class Recipe(Study):
    """Images, training and sampling of one cell, beside the axes of its study."""

    data: str = option(
        "digits",
        "image set: digits, fashion_mnist, emoji, faces, molrg (true denoiser known), or "
        "a folder, .npz or .zip of images",
    )
    steps: int = option(8000, "training steps")
    batch_size: int = option(64, "images a training step")
    lr: float = option(4e-3, "peak learning rate of the one-cycle schedule")
    ema: float = option(0.999, "decay of the averaged weights that are sampled")
    level_mean: float = option(-0.6, "mean of log sigma in training")
    level_std: float = option(1.4, "standard deviation of log sigma in training")
    samples: int = option(1000, "samples drawn from each model, from the same noises")
    solver_steps: int = option(18, "steps of Heun's method")
    held: int = option(261, "images held out from every model")
    skip_bad: bool = option(False, "leave out images that cannot be read, and count them")
    resize: int = option(0, "make every image this many pixels wide and high; 0 keeps them")
    range: tuple[float, ...] = option((), "LOW HIGH: the range of floating-point arrays")
