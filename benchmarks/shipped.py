"""How good a network that ships is (or another one, ``--model``, trained as it was): what its
samples without labels and its denoising say beside images that were held out.

    python benchmarks/shipped.py NAME [--model MODEL] [--data IMAGES] [--samples 1000]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from denoscope.fitting.closed_forms import ClosedForms, over_linear
from denoscope.fitting.shipped import NETWORKS
from denoscope.metrics import frechet
from denoscope.metrics.pool_descriptors import PoolDescriptors, real_distance
from denoscope.models import open_model
from denoscope.random import Seeds
from denoscope.sampling import sample

LEVELS = np.geomspace(0.02, 20.0, 13)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--samples", type=int, default=1000)
    asked = parser.parse_args()
    shipped, model = NETWORKS[asked.name], open_model(asked.model or asked.name)
    where = replace(shipped, data=asked.data or shipped.data).split
    noise = Seeds(range(asked.samples)).randn(model.shape)
    with torch.inference_mode():
        parts = [sample(model.denoiser, model.start(z), model.levels(18)) for z in noise.split(100)]
    made = torch.cat(parts).float().clamp(-1, 1)
    for name, value in (
        PoolDescriptors.of(where).copying(made, where.train(), where.unseen()).items()
    ):
        if name in ("glc", "nearness", "p_gen", "far"):
            print(f"{name}: {value}")
    distance, floor = (
        frechet(made.flatten(1), where.unseen().flatten(1)),
        real_distance(where, asked.samples),
    )
    print(f"Fréchet distance to held-out images: {distance}; of as many real ones: {floor}")
    print(f"ratio: {distance.value / floor.value:.2f}")
    if where.images().data[0].numel() <= 256:
        errors = list(ClosedForms(where, asked.samples, 18).beside(model.denoiser, LEVELS))
        print(f"denoising error over the best linear denoiser's: {over_linear(errors):.3f}")


if __name__ == "__main__":
    main()
