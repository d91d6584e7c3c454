"""Denoising is subspace clustering, with the exact constants: in expectation, by Monte Carlo, and
where it is not; bounds on recovery.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from rates import sigmas
from scipy.integrate import quad
from torch import Tensor
from zoo import bases, normal

from denoscope.distributions import MoLRG
from denoscope.fitting import min_snr, snr
from denoscope.geometry.equivalence import departures
from denoscope.levels import scheduled
from denoscope.networks import Subspaces
from denoscope.random import generator
from denoscope.schedule import OU, VE, VP, VPSDE, Flow, Schedule, SubVP
from denoscope.theory import molrg

CONTINUOUS = {"vpsde": VPSDE(), "subvp": SubVP(), "ve": VE(), "flow": Flow(), "ou": OU(2.0)}
WEIGHTS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "flat": None,
    "snr": snr,
    "min snr": min_snr,
}


def level(sigma: float) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float64)


def expected(net: Subspaces, x: Tensor, sigma: float, assignment: Tensor) -> Tensor:
    """E |D(x + sigma n) - x|^2 of every point with no randomness: the 2n points +-sqrt(n) e_j
    integrate a quadratic in n exactly.
    """
    n = x.shape[-1]
    corners = math.sqrt(n) * torch.cat([torch.eye(n), -torch.eye(n)]).double()
    noisy = x + sigma * corners[:, None]
    return (net(noisy, level(sigma), assignment.expand(2 * n, -1)) - x).square().sum(-1).mean(0)


# ---- the loss at a level


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.8, 3.0, 40.0])
@pytest.mark.parametrize(
    ("dims", "joint"), [((2, 2, 2), True), ((3, 3), False), ((1, 2, 4), False), ((5,), True)]
)
def test_the_loss_of_a_level_is_exactly_affine_in_the_captured_energy(
    dims: tuple[int, ...], joint: bool, sigma: float
):
    net, x = Subspaces(8, dims, joint=joint, seed=3), 1.5 * normal(7, 8) + 0.3
    for chosen in (
        net.assign(x),
        torch.arange(7) % len(dims),
    ):  # of the clean points, and an arbitrary one
        with torch.no_grad():
            captured = net.energies(x).gather(1, chosen[:, None])[:, 0]
            want = molrg.expected_loss(
                x.square().sum(1), captured, torch.tensor(dims)[chosen], sigma
            )
            got = expected(net, x, sigma, chosen)
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11 * (1 + sigma**2))


@pytest.mark.parametrize("sigma", [0.2, 1.0, 5.0])
def test_the_loss_of_a_level_by_monte_carlo(sigma: float):
    D = MoLRG.random(12, [2, 3, 4], seed=1)
    x = D.labelled([5, 5, 5], generator(4), perturbation=0.1).points
    found = departures(
        MoLRG.random(12, [2, 3, 4], orthogonal=False, seed=9).bases, x, [sigma], draws=4000, seed=2
    )
    error = found.clean.std(ddof=1) / math.sqrt(4000)
    assert abs(found.clean.mean() - found.exact[0]) < sigmas() * error
    assert error < 0.02 * found.exact[0]


def test_g_and_h_are_their_definitions_at_every_size_of_sigma():
    sigma = np.array([0.0, 1e-9, 0.3, 1.0, 7.0, 1e5])
    np.testing.assert_allclose(
        molrg.gain(sigma), (1 + 2 * sigma**2) / (1 + sigma**2) ** 2, rtol=1e-13
    )
    np.testing.assert_allclose(molrg.cost(sigma), sigma**2 / (1 + sigma**2) ** 2, rtol=1e-13)
    assert molrg.gain(1e200) == molrg.cost(1e200) == 0.0
    assert molrg.cost(1.0) == pytest.approx(0.25)
    assert isinstance(molrg.gain(torch.tensor([1.0])), Tensor)


# ---- the loss of a schedule


@pytest.mark.filterwarnings(
    "ignore::scipy.integrate.IntegrationWarning"
)  # the reference's own accuracy: 1e-8, compared at 1e-7
@pytest.mark.parametrize("schedule", CONTINUOUS.values(), ids=CONTINUOUS.keys())
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS.keys())
def test_the_constants_of_continuous_time_are_the_integrals(
    schedule: Schedule, weight: Callable[[Tensor], Tensor] | None
):
    got = molrg.scheduled_constants(schedule, weight)
    start, end = (float(schedule.quantile(torch.tensor(u).double())) for u in (0.0, 1.0))

    def integrand(log_t: float, part: Callable[[float], float]) -> float:
        t = math.exp(log_t)  # in log time, where no weight has a narrow peak
        sigma = float(schedule.sigma(t))
        return t * part(sigma) * (1.0 if weight is None else float(weight(level(sigma))))

    for value, part in zip(
        got,
        (
            lambda s: 1.0,
            lambda s: (1 + 2 * s**2) / (1 + s**2) ** 2,
            lambda s: s**2 / (1 + s**2) ** 2,
        ),
    ):
        low = math.log(max(start, 1e-12))
        want = quad(integrand, low, math.log(end), args=(part,), limit=500, epsabs=0, epsrel=1e-8)[
            0
        ] / (end - start)
        assert value == pytest.approx(want, rel=1e-7)
    assert got.gain > 0


@pytest.mark.parametrize("schedule", [VP.linear(), VP.cosine(77), VP([0.4])])
def test_the_constants_of_discrete_time_are_the_means_over_its_steps(schedule: VP):
    sigma = schedule.sigma(torch.arange(len(schedule))).numpy()
    got = molrg.scheduled_constants(schedule, snr)
    np.testing.assert_allclose(got, molrg.constants(sigma, sigma**-2.0 / len(sigma)), rtol=1e-12)
    np.testing.assert_allclose(
        molrg.scheduled_constants(schedule), molrg.constants(sigma), rtol=1e-12
    )
    np.testing.assert_allclose(
        got.gain, (sigma**-2.0 * (1 + 2 * sigma**2) / (1 + sigma**2) ** 2).mean(), rtol=1e-12
    )


@pytest.mark.parametrize("schedule", [VPSDE(), Flow(), VP.cosine(200)])
def test_the_constants_are_those_of_the_levels_that_training_draws(schedule: Schedule):
    sigma = scheduled(schedule)(200_000, generator(3)).double()
    for value, part in zip(
        molrg.scheduled_constants(schedule, min_snr), (1.0, molrg.gain(sigma), molrg.cost(sigma))
    ):
        drawn = min_snr(sigma) * part
        assert abs(float(drawn.mean()) - value) < sigmas(3) * float(drawn.std()) / math.sqrt(
            len(sigma)
        )


@pytest.mark.parametrize("weight", [None, snr])
def test_the_loss_over_levels_is_the_stated_function_of_the_clustering_objective(
    weight: Callable[[Tensor], Tensor] | None,
):
    schedule, x = (
        VP.linear(40),
        MoLRG.random(10, [2, 2, 2], noise=0.05, seed=5).sample(30, generator(1)),
    )
    constants, all_sigma = (
        molrg.scheduled_constants(schedule, weight),
        schedule.sigma(torch.arange(40)),
    )
    losses, objectives = [], []
    for seed in range(6):
        net = Subspaces(10, [2, 2, 2], seed=seed)
        chosen = net.assign(x)
        with torch.no_grad():
            each = [
                expected(net, x, float(s), chosen).mean()
                * (1.0 if weight is None else float(weight(s)))
                for s in all_sigma
            ]
            objectives.append(float(net.energies(x).max(1).values.mean()))
            losses.append(float(torch.stack(each).mean()))
            assert float(net.integrated_loss(x, constants)) == pytest.approx(losses[-1], rel=1e-10)
        assert molrg.integrated_loss(
            x.square().sum(1), objectives[-1], 2, constants
        ) == pytest.approx(losses[-1], rel=1e-10)
    slope, offset = np.polyfit(objectives, losses, 1)
    np.testing.assert_allclose(np.polyval([slope, offset], objectives), losses, rtol=1e-9)
    assert slope == pytest.approx(-constants.gain, rel=1e-7)
    assert offset == pytest.approx(
        constants.total * float(x.square().sum(1).mean()) + 2 * constants.cost, rel=1e-7
    )
    assert np.argsort(losses).tolist() == np.argsort(objectives)[::-1].tolist()


def test_with_unequal_dimensions_more_captured_energy_can_lose_more():
    x = torch.zeros(20, 5).double()
    x[:, 0], x[:, 1] = 1.0, 0.1 * normal(20)
    eye = torch.eye(5).double()
    small = Subspaces.from_bases(
        [eye[:, :1], eye[:, 2:5]]
    )  # the points lie near the one-dimensional subspace
    large = Subspaces.from_bases(
        [eye[:, 4:5], eye[:, :3]]
    )  # they lie wholly in the three-dimensional one
    constants = molrg.scheduled_constants(VPSDE())
    with torch.no_grad():
        objective = [float(net.energies(x).max(1).values.mean()) for net in (small, large)]
        loss = [float(net.integrated_loss(x, constants)) for net in (small, large)]
        exact = [
            sum(float(expected(net, x, s, net.assign(x)).mean()) for s in (0.5, 1.0, 2.0))
            for net in (small, large)
        ]
    assert objective[1] > objective[0]
    assert loss[1] > loss[0]
    assert exact[1] > exact[0]


# ---- where the equivalence ends


def test_noisy_assignment_and_soft_weights_depart_from_the_clustering_loss_as_noise_grows():
    D = MoLRG.random(48, [4, 4], seed=2)
    x = D.labelled([10, 10], generator(1)).points
    found = departures(D.bases, x, [0.01, 0.1, 1.0, 3.0, 30.0], draws=400)
    wrong, argmax, soft = (part.mean(1) for part in (found.wrong, found.argmax, found.soft))
    error = [part.std(1, ddof=1) / 20 for part in (found.wrong, found.argmax, found.soft)]
    assert wrong[0] == 0
    assert abs(argmax[0]) < 1e-12
    assert abs(soft[0]) < 1e-3 * found.exact[0]
    assert wrong[2] > sigmas() * error[0][2] > 0
    assert argmax[2] > sigmas() * error[1][2]  # a wrong subspace loses more
    assert (np.diff(wrong) >= -sigmas(4) * np.hypot(error[0][1:], error[0][:-1])).all()
    assert abs(wrong[-1] - 0.5) < 0.1  # at large noise the assignment is a coin
    assert abs(soft[2]) > sigmas() * error[2][2]
    off = (found.clean.mean(1) - found.exact) / (found.clean.std(1, ddof=1) / 20)
    assert (abs(off) < sigmas(5)).all()


def test_the_departure_of_soft_weights_is_zero_for_one_subspace_and_repeats_by_seed():
    x = normal(6, 5)
    one = departures(bases(5, 2), x, [0.3, 2.0], draws=10)
    assert not one.argmax.any()
    np.testing.assert_allclose(one.soft, 0, atol=1e-14)
    pair = departures(bases(5, 2, 2), x, [0.3, 2.0], draws=10, seed=1)
    np.testing.assert_array_equal(
        pair.soft, departures(bases(5, 2, 2), x, [0.3, 2.0], draws=10, seed=1).soft
    )
    assert (pair.soft != departures(bases(5, 2, 2), x, [0.3, 2.0], draws=10, seed=2).soft).all()


# ---- how many samples


@pytest.mark.parametrize(
    ("n", "d", "count"), [(10, 3, 1), (7, 5, 3), (12, 6, 0), (9, 4, 4), (9, 4, 11)]
)
def test_the_error_floor_is_reached_by_a_minimiser_that_captures_everything(
    n: int, d: int, count: int
):
    truth = torch.linalg.qr(normal(n, d)).Q
    x = normal(count, d, seed=1) @ truth.T
    span = torch.linalg.qr(x.T).Q[:, : min(count, d)]
    inside = torch.linalg.qr(torch.cat([span, truth], 1)).Q[
        :, span.shape[1] : d
    ]  # what of the truth the points do not show
    outside = torch.linalg.svd(truth).U[:, d:]
    free = d - span.shape[1]
    worst = torch.cat([span, outside[:, :free], inside[:, : max(0, free - (n - d))]], 1)
    torch.testing.assert_close(worst.T @ worst, torch.eye(d).double(), atol=1e-10, rtol=0)
    torch.testing.assert_close(
        worst @ (worst.T @ x.T), x.T
    )  # a minimiser: it captures every point wholly
    distance = float(torch.linalg.norm(worst @ worst.T - truth @ truth.T))
    assert distance == pytest.approx(molrg.error_floor(d, count, n), abs=1e-7)


def test_bounds_have_their_form_and_their_ends():
    assert molrg.upper_bound(4, 9, 0.0) == 0
    assert molrg.upper_bound(4, 3, 0.5) == math.inf
    assert molrg.upper_bound(5, 9, 0.3, c1=2.0) == pytest.approx(0.6 / (3 - 2))
    assert (
        molrg.lower_bound(6, 2, 48, 0.0)
        == molrg.error_floor(6, 2, 48)
        == pytest.approx(math.sqrt(8))
    )
    assert molrg.lower_bound(9, 2, 48, 0.5, c1=2.0) == pytest.approx(math.sqrt(14) - 1 / (3 - 1))
    assert molrg.lower_bound(6, 2, 48, 1e9) == molrg.lower_bound(6, 6, 48, 0.0) == 0
    assert molrg.largest_distance(6, 48) == pytest.approx(math.sqrt(12))
    np.testing.assert_allclose(molrg.error_floor([2, 6], 1, [48, 7]), [math.sqrt(2), math.sqrt(2)])
    bound = molrg.upper_bound(4, np.arange(4, 40), 0.1)
    assert (np.diff(bound) < 0).all()


def test_failure_probabilities_fall_with_the_samples_and_are_probabilities():
    assert molrg.failure_probability(4, 3) == 1
    assert molrg.failure_probability(4, 20, c2=0.5) == pytest.approx(2**-17 + math.exp(-10))
    pair = molrg.failure_probability(4, [200, 300], c2=0.5)
    assert pair == pytest.approx(8 / 500, rel=1e-6)
    assert molrg.failure_probability(4, [200, 3]) == 1
    values = [molrg.failure_probability(3, [count, count]) for count in (3, 10, 40, 160)]
    assert all(0 <= low <= high <= 1 for low, high in zip(values[1:], values))


@pytest.mark.parametrize("perturbation", [0.01, 0.05])
def test_the_upper_bound_with_a_moderate_constant_holds_for_principal_subspaces(
    perturbation: float,
):
    n, d, worst = 48, 4, 0.0
    for seed in range(200):
        D = MoLRG.random(n, [d], seed=seed)
        drawn = D.labelled(4 + seed % 12, generator(seed, 1), perturbation=perturbation)
        found = torch.linalg.svd(drawn.points.T).U[:, :d]
        distance = float(torch.linalg.norm(found @ found.T - D.bases[0] @ D.bases[0].T))
        worst = max(
            worst,
            distance
            / float(molrg.upper_bound(d, 4 + seed % 12, float(drawn.perturbations.norm()))),
        )
    assert 0.1 < worst < 10, "the bound has the right scale: its constant is neither tiny nor huge"


MISTAKES = {
    "sigma must lie": lambda: molrg.gain(-1.0),
    "levels": lambda: molrg.constants([1.0, math.nan]),
    "weights must have the shape": lambda: molrg.constants([1.0, 2.0], [1.0]),
    "weights must not all be 0": lambda: molrg.constants([1.0, 2.0], [0.0, 0.0]),
    "d must be at most n": lambda: molrg.error_floor(5, 1, 4),
    "count must": lambda: molrg.lower_bound(5, 0, 9, 0.0),
    "c1 must": lambda: molrg.upper_bound(5, 6, 0.1, c1=-1.0),
    "counts must": lambda: molrg.failure_probability(3, [4, 0]),
    "draws must": lambda: departures(bases(5, 2), normal(3, 5), [1.0], draws=1),
}


@pytest.mark.parametrize(("message", "mistake"), MISTAKES.items())
def test_mistakes_are_named_in_one_line(message: str, mistake: Callable[[], object]):
    with pytest.raises(ValueError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)
