"""Tiny sweeps of every study that together test all its claims and draw all its figures. They run
once for all tests: ask the fixture ``tiny`` for their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from denoscope import MLP, Preconditioned, grid, save
from denoscope.studies.capacity_by_noise import CapacityByNoise
from denoscope.studies.dimension_scaling import METHODS, DimensionScaling
from denoscope.studies.disjoint_halves import DisjointHalves
from denoscope.studies.dynamical_regimes import DynamicalRegimes
from denoscope.studies.editing import Editing
from denoscope.studies.gaussian_emergence import GaussianEmergence
from denoscope.studies.jacobian_rank import JacobianRank
from denoscope.studies.leading_directions import LeadingDirections
from denoscope.studies.linear_dynamics import LinearDynamics
from denoscope.studies.linear_generalization import LinearGeneralization
from denoscope.studies.linear_vs_network import LinearVsNetwork
from denoscope.studies.local_linearity import LocalLinearity
from denoscope.studies.local_score import LocalMachines
from denoscope.studies.memorization_time import MemorizationTime
from denoscope.studies.molrg_network import MolrgNetwork
from denoscope.studies.molrg_recovery import MolrgRecovery
from denoscope.studies.multistage import StagedTraining
from denoscope.studies.noise_intervals import NoiseIntervals
from denoscope.studies.phase_transition import PhaseTransition
from denoscope.studies.random_feature_training import RandomFeatureTraining
from denoscope.studies.remedies import Remedies
from denoscope.studies.reproducibility import Reproducibility
from denoscope.studies.score_gap import ScoreGap
from denoscope.studies.trajectories import Trajectories
from denoscope.studies.watermark import Watermark
from denoscope.study import Study

SMALL: dict[str, Any] = {"width": 8, "steps": 40, "samples": 20, "solver_steps": 4, "held": 60}
Sweeps = Mapping[str, Sequence[Study]]
"""Cells by the name of their sweep."""


def networks(folder: Path) -> None:
    """Two untrained networks of digits, ``net8.safetensors`` and ``net64.safetensors``."""
    torch.manual_seed(0)
    for width in (8, 64):
        save(Preconditioned(MLP((1, 8, 8), width)), folder / f"net{width}.safetensors")


def phase_transition(given: Sequence[str]) -> Sweeps:
    """Networks that go from copying to generalizing; noises enough for remainders."""
    small = {"steps": 300, "lr": 1e-2, "batch_size": 32, "samples": 330, "solver_steps": 6}
    axes: dict[str, Any] = {"n": [2, 6, 256], "width": [16, 32], "subset": [0, 1], "seed": [0, 1]}
    return {"digits": grid(PhaseTransition, held=80, **axes, **small)}


def disjoint_halves(given: Sequence[str]) -> Sweeps:
    return {
        "digits": grid(DisjointHalves, n=[8, 100], subset=[0, 1], seed=[0, 1], **SMALL),
        "molrg": grid(DisjointHalves, data="molrg", n=[8, 100], subset=[0, 1], **SMALL),
        "given": grid(DisjointHalves, **{**SMALL, "model": given, "n": 0}),
    }


def molrg_network(given: Sequence[str]) -> Sweeps:
    """Networks that go from copying to generalizing."""
    small = {"n": 12, "width": 32, "steps": 300, "lr": 1e-2, "batch_size": 32, "samples": 150}
    return {"mixtures": grid(MolrgNetwork, d=[2, 3], n_k=[2, 8, 48], seed=[0, 1], **small)}


def molrg_recovery(given: Sequence[str]) -> Sweeps:
    small = {"n": 12, "trials": 3, "starts": 8, "keep": 3, "steps": 20, "fewest": 2, "most": 5}
    axes = {"k": [1, 2], "d": [2, 3], "noise": [0.01, 0.1], "method": ["clustering", "training"]}
    return {"mixtures": grid(MolrgRecovery, **axes, **small)}


def linear_generalization(given: Sequence[str]) -> Sweeps:
    small: dict[str, Any] = {"draws": 3, "steps": 40, "d": 12}
    powers = grid(LinearGeneralization, data=["power0", "power2"], n=[4, 12, 60, 120], **small)
    images = grid(LinearGeneralization, data="digits", n=[8, 64, 300, 600], **small)
    return {"all": [*powers, *images]}


def linear_dynamics(given: Sequence[str]) -> Sweeps:
    small: dict[str, Any] = {"draws": 3, "steps": 120, "samples": 40, "abar": (0.95, 0.6)}
    power = grid(LinearDynamics, data="power2", d=12, n=[6, 30], **small)
    return {"all": [*power, *grid(LinearDynamics, data="digits", d=12, n=6, **small)]}


def leading_directions(given: Sequence[str]) -> Sweeps:
    sizes = [5, 12, 60, 400]
    return {"both": grid(LeadingDirections, data=["power1", "digits"], n=sizes, draws=3, d=12)}


def score_gap(given: Sequence[str]) -> Sweeps:
    return {
        "digits": grid(ScoreGap, n=8, seed=[0, 1], **SMALL) + grid(ScoreGap, n=96, **SMALL),
        "molrg": grid(ScoreGap, data="molrg", n=[8, 96], **SMALL),
        "given": grid(ScoreGap, **{**SMALL, "model": given, "n": 0}),
    }


def jacobian_rank(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {**SMALL, "samples": 8, "points": 4}
    return {
        "digits": grid(JacobianRank, n=[16, 200], seed=[0, 1], **few),
        "molrg": grid(JacobianRank, data="molrg", n=[16, 64], **{**few, "points": 6}),
        "given": grid(JacobianRank, **{**few, "model": given, "n": 0}),
    }


def local_linearity(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {**SMALL, "samples": 8, "held": 24}
    cells = grid(LocalLinearity, n=8, seed=[0, 1], **few) + grid(LocalLinearity, n=96, **few)
    return {
        "digits": cells,
        "molrg": grid(LocalLinearity, data="molrg", n=8, **few),
        "given": grid(LocalLinearity, **{**few, "model": given, "n": 0}),
    }


def trajectories(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {**SMALL, "samples": 12, "held": 24}
    cells = grid(Trajectories, n=8, seed=[0, 1], **few) + grid(Trajectories, n=96, **few)
    return {
        "digits": cells,
        "molrg": grid(Trajectories, data="molrg", n=8, **few),
        "given": grid(Trajectories, **{**few, "model": given, "n": 0, "image": "digits"}),
    }


def editing(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"images": 4, "directions": 2, "solver_steps": 3}
    return {"given": grid(Editing, model=given[0], data="digits", time=[0.2, 0.4], **few)}


def watermark(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"images": 16, "pairs": 160, "solver_steps": 4, "time": [0.3, 1.0]}
    axes: dict[str, Any] = {"carrier": ["all", "low", "high", "null", "replaced"]}
    cells = [c for model in ("gaussian", given[0]) for c in grid(Watermark, model=model,
             data="digits", **axes, **few)]  # fmt: skip
    return {"digits": cells}


def linear_vs_network(given: Sequence[str]) -> Sweeps:
    small = {"width": 8, "steps": 60, "samples": 60, "solver_steps": 6, "held": 80}
    return {"digits": grid(LinearVsNetwork, n=[16, 200], seed=[0, 1], **small)}


def gaussian_emergence(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"steps": 60, "samples": 12, "solver_steps": 4}
    few |= {"snapshots": 4, "first": 5}
    axes: dict[str, Any] = {"n": [16, 200], "width": [4, 8], "subset": [0, 1]}
    return {
        "digits": grid(GaussianEmergence, **axes, **few),
        "molrg": grid(GaussianEmergence, data="molrg", n=[16, 200], width=4, **few),
        "given": grid(GaussianEmergence, model=given, n=0, **few),
    }


def memorization_time(given: Sequence[str]) -> Sweeps:
    """Networks that copy before they end."""
    few: dict[str, Any] = {"per_image": 70, "samples": 60, "solver_steps": 9, "snapshots": 6}
    few |= {"first": 2, "held": 100, "batch_size": 32, "lr": 1e-2, "ema": 0.9}
    axes: dict[str, Any] = {"n": [8, 16], "width": [32, 64], "subset": [0, 1], "seed": [0, 1]}
    return {"digits": grid(MemorizationTime, **axes, **few)}


def remedies(given: Sequence[str]) -> Sweeps:
    """One strength of each remedy, on networks that copy before they end."""
    few: dict[str, Any] = {"n": 8, "steps": 150, "samples": 40, "solver_steps": 4, "snapshots": 3}
    few |= {"first": 30, "held": 80, "batch_size": 16, "lr": 1e-2, "ema": 0.9, "width": 32}
    words = ["none", "all", "decay:1", "dropout:0.3", "width:4", "shift:1", "mirror", "rare:0.1"]
    return {"digits": grid(Remedies, remedy=words, subset=[0, 1], **few)}


def random_feature_training(given: Sequence[str]) -> Sweeps:
    axes: dict[str, Any] = {"features": [1, 2, 4, 8], "per_d": [2, 3], "noises": [0, 1]}
    return {"all": grid(RandomFeatureTraining, **axes, d=12, draws=3)}


def dynamical_regimes(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {**SMALL, "n": 6, "many": 96, "path_steps": 8}
    return {"both": grid(DynamicalRegimes, data=["digits", "mixture"], seed=[0, 1], **few)}


def noise_intervals(given: Sequence[str]) -> Sweeps:
    axes: dict[str, Any] = {"n": [20, 0], "amplitude": [0.5, 1.0]}
    return {"digits": grid(NoiseIntervals, **axes, pairs=6, times=24)}


def multistage(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"width": 4, "steps": 32, "snapshots": 3, "samples": 70}
    few |= {"solver_steps": 3, "held": 80, "batch_size": 16}
    arms = ["unified", "experts", "multistage", "published"]
    sizes = grid(StagedTraining, n=[16, 256], arm=arms, seed=[0, 1], **few)
    again = grid(StagedTraining, n=256, arm="multistage", policy="uniform", seed=[0, 1], **few)
    return {"digits": [*sizes, *again, *grid(StagedTraining, n=256, lr=[1e-2], seed=[0, 1], **few)]}


def capacity_by_noise(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"net": "mlp", "reference": 16, "steps": 60, "samples": 80}
    few |= {"solver_steps": 4, "held": 80, "batch_size": 32, "n": 256}
    return {"digits": grid(CapacityByNoise, width=[2, 4, 16], seed=[0, 1, 2], **few)}


def local_score(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"n": 6, "width": 4, "steps": 30, "samples": 8, "solver_steps": 3}
    few |= {"calibrated": 2, "held": 20}
    return {"digits": grid(LocalMachines, net=["conv", "unet", "mlp"], **few)}


def dimension_scaling(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"draws": 2, "largest": 256, "probes": 32, "compared": 16, "steps": 8}
    few |= {"width": 8, "batch_size": 8, "level": 0.3}
    axes: dict[str, Any] = {"d": [1, 2, 4], "n": [12, 24, 48], "clusters": [1, 2]}
    return {"mixtures": grid(DimensionScaling, method=list(METHODS), **axes, **few)}


def reproducibility(given: Sequence[str]) -> Sweeps:
    few: dict[str, Any] = {"solver_steps": 4, "held": 80, "batch_size": 32, "lr": 1e-2}
    makers = ["edm", "eps", "consistency", "distilled"]
    axes: dict[str, Any] = {"n": [6, 96], "width": 16, "subset": [0, 1, 2, 3]}
    models = ["", *(f"{name}={path}" for name, path in zip("AB", given))]
    return {
        "digits": grid(
            Reproducibility, maker=makers, model=models, steps=100, samples=330, **axes, **few
        ),
        "molrg": grid(
            Reproducibility,
            data="molrg",
            n=[8, 64],
            width=8,
            subset=[0, 1, 2, 3],
            steps=40,
            samples=60,
            **few,
        ),
    }


STUDIES: Mapping[str, Callable[[Sequence[str]], Sweeps]] = {
    "phase_transition": phase_transition,
    "disjoint_halves": disjoint_halves,
    "jacobian_rank": jacobian_rank,
    "local_linearity": local_linearity,
    "molrg_network": molrg_network,
    "molrg_recovery": molrg_recovery,
    "linear_dynamics": linear_dynamics,
    "linear_generalization": linear_generalization,
    "leading_directions": leading_directions,
    "score_gap": score_gap,
    "linear_vs_network": linear_vs_network,
    "gaussian_emergence": gaussian_emergence,
    "memorization_time": memorization_time,
    "remedies": remedies,
    "random_feature_training": random_feature_training,
    "dynamical_regimes": dynamical_regimes,
    "local_score": local_score,
    "capacity_by_noise": capacity_by_noise,
    "multistage": multistage,
    "noise_intervals": noise_intervals,
    "dimension_scaling": dimension_scaling,
    "trajectories": trajectories,
    "editing": editing,
    "watermark": watermark,
    "reproducibility": reproducibility,
}


def sweeps(study: str, nets: Path) -> Sweeps:
    """The sweeps of a study; ``nets`` is a folder of :func:`networks`."""
    return STUDIES[study]([str(nets / f"net{width}.safetensors") for width in (8, 64)])
