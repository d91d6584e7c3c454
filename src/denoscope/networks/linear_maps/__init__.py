"""The linear diffusion model: one affine map per noise level, trained in closed form, by gradient
descent, or on the denoising loss.

Merger and Goldt 2025: ``eps_theta(x_t, t) = W_t (x_t + b_t)`` predicts the noise in ``x_t = sqrt(y)
x0 + sqrt(1 - y) eps``, ``y = abar_t`` of a variance-preserving schedule with T levels, and is
trained on ``sum_t E|eps - eps_theta|^2 + gamma_t |W_t|_F^2``. The loss knows of the data only
mean_0 and cov_0; with ``C_t = y cov_0 + (1 - y + gamma_t) I`` its optimum is ``b_t = -sqrt(y)
mean_0``, ``W_t = sqrt(1-y) C_t^-1``.

In the coordinates of this library (x = x_t / sqrt(y), sigma^2 = (1 - y) / y) the map is the
denoiser ``D(x, sigma) = x - Q_t (x - m_t)`` with the share of noise ``Q_t = sqrt(1-y) W_t`` and
``m_t = -b_t / sqrt(y)``. Where the model is that of a Gaussian of variance lam along a mode, ``q =
sigma^2 / (lam + sigma^2)``: lam = the mode's variance at the optimum, + gamma where the ridge is
``gamma abar_t``.
"""

from denoscope.networks.linear_maps.course import (
    Course,
    expected_descent,
    expected_flow,
    falling_schedule,
    recorded_descent,
    recorded_steps,
)
from denoscope.networks.linear_maps.gradient import Descent, descend, largest_rate
from denoscope.networks.linear_maps.model import LinearMaps

__all__ = [
    "Course",
    "Descent",
    "LinearMaps",
    "descend",
    "expected_descent",
    "expected_flow",
    "falling_schedule",
    "largest_rate",
    "recorded_descent",
    "recorded_steps",
]
