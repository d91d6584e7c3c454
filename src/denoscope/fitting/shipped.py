"""The networks that ship, and the one command that trains each of them:

    python -m denoscope.fitting.shipped fashion-mnist-unet --out FOLDER

Class-conditional U-Nets with EDM's preconditioning at the spread of the data; a share of the labels
is dropped, so that each serves without labels too (Ho and Salimans 2022). The command writes
``FOLDER/network.safetensors``; killed and given again it goes on from its last checkpoint and ends
with the same bits. Images that are held out are those that all studies hold out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from denoscope.data.sources import Source
from denoscope.data.splits import Split, cut
from denoscope.fitting.batches import Draws, draws
from denoscope.fitting.loop import training
from denoscope.fitting.loss import denoising_loss
from denoscope.fitting.recipe import Recipe
from denoscope.guidance import given
from denoscope.levels import log_normal
from denoscope.networks import Averaged, Fleet, Preconditioned, UNet, save
from denoscope.random import derive

LOOKED_AT = 1024
"""Held-out images on which the loss is told."""
TOLD, SAVED = 300.0, 60.0
"""Seconds between what is told, and between checkpoints."""
_NETWORK, _TRAINED, _HELD = range(3)  # places below a seed


@dataclass(frozen=True)
class Shipped:
    """How a network is trained: on which images, with how many ``held`` out; on patches of which
    side, with which share of the labels ``dropped``.
    """

    data: str
    held: int
    patch: int
    recipe: Recipe
    dropped: float = 0.15
    seed: int = 0

    @property
    def split(self) -> Split:
        """Which images are trained on, and which are not."""
        return Split(Source(self.data), None, self.held, 0, 0)

    @property
    def labels(self) -> Tensor:
        """The label of every image, (n,)."""
        if (labels := self.split.images().labels) is None:
            raise ValueError(f"--data {self.data}: these images have no labels")
        return labels

    def untrained(self) -> Fleet:
        """The network before training: a fleet of one."""
        net = UNet(
            self.split.images().shape,
            self.recipe.width,
            seed=derive(self.seed, _NETWORK),
            classes=int(self.labels.max()) + 1,
            patch=self.patch,
        )
        return Fleet([Preconditioned(net, "edm", self.split.spread())])

    def draws(self, rows: Tensor, place: int, batch: int) -> Draws:
        """Endless draws from ``rows`` of the images."""
        return draws(
            self.split.images().data,
            [rows],
            [derive(self.seed, place)],
            batch=batch,
            levels=log_normal(self.recipe.level_mean, self.recipe.level_std),
            labels=self.labels,
            dropped=self.dropped,
        )

    @torch.no_grad()
    def held_out_loss(self, net: nn.Module) -> float:
        """The loss of training on images that are not trained on."""
        rows = cut(self.split.images(), self.held)[1]
        x0, sigma, noise, label = next(self.draws(rows, _HELD, LOOKED_AT))
        return float(denoising_loss(given(net, label), x0, sigma, noise))

    def train(self, folder: Path) -> Path:
        """Trains or resumes in ``folder``, tells on stderr how it goes, and saves the average."""
        net = self.untrained()
        averaged = Averaged(net, self.recipe.ema)
        for now in training(
            net,
            self.draws(self.split.pool_rows(), _TRAINED, self.recipe.batch_size),
            steps=self.recipe.steps,
            lr=self.recipe.lr,
            rate="one_cycle",
            ema=averaged,
            checkpoint=folder / "training.safetensors",
            every=SAVED,
            report=TOLD,
        ):
            if now.stopped:
                raise ValueError(f"{now.stopped[0]}; lower --lr")
            print(
                f"step {now.step} of {now.steps}, {now.rate:.2f} a second, {now.seconds:.0f} s: "
                f"loss {float(now.loss):.4f}, held out {self.held_out_loss(averaged):.4f}",
                file=sys.stderr,
                flush=True,
            )
        assert isinstance(averaged.net, Fleet)
        return save(averaged.net.member(0), folder / "network.safetensors")


NETWORKS = {
    "digits-unet": Shipped("digits", 261, 1, Recipe(net="unet", width=32, steps=4000, lr=2e-3)),
    "fashion-mnist-unet": Shipped(
        "fashion_mnist",
        10_000,
        2,
        Recipe(net="unet", width=32, steps=48_000, batch_size=32, lr=1e-3, ema=0.999),
    ),
}


def main(words: Sequence[str] | None = None) -> None:
    """The command; what is wrong with its words or images is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="denoscope.fitting.shipped", description=__doc__)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and network")
    parser.add_argument("--data", help="these images instead, such as the folder of its IDX files")
    for name, kind in ("steps", int), ("width", int), ("lr", float):
        parser.add_argument(f"--{name}", type=kind, help="another number than the network's own")
    asked = parser.parse_args(words)
    numbers = {name: getattr(asked, name) for name in ("steps", "width", "lr")}
    try:
        shipped = NETWORKS[asked.name]
        recipe = replace(shipped.recipe, **{k: v for k, v in numbers.items() if v is not None})
        asked.out.mkdir(parents=True, exist_ok=True)
        print(replace(shipped, recipe=recipe, data=asked.data or shipped.data).train(asked.out))
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
