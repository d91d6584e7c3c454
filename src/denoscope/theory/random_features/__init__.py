"""Why a score network does not memorize at once: random features trained on noised data, where
everything has a closed form.

The model is ``s_A(x) = A sigma(W x/sqrt(d))/sqrt(p)``, W (p, d) standard normal and frozen, sigma
odd, A trained by denoising at one time t of the Ornstein-Uhlenbeck process, ``x_t = e^{-t} x_0 +
sqrt(D) xi`` with ``D = 1 - e^{-2t}``: loss ``E |sqrt(D) s_A(x_t) + xi|^2/d`` over n training points
with m noises each (m = inf: the noise is averaged exactly), plus ``D ridge |A|^2/(p d)``.
Everything is in the limit of large d at fixed ``psi_p = p/d`` and ``psi_n = n/d``, for Gaussian
data whose covariance has the eigenvalues ``spectrum``.

The feature matrix U, the second moment of the features over the training set, sets the pace: under
gradient flow its mode of eigenvalue u is learned within ``psi_p/(2 D u)``. For psi_p far above
psi_n far above 1, its spectrum falls into a bulk of order psi_p, the population's (what there is to
learn), and a bulk of order psi_p/psi_n, the training points' own (what there is to memorize), so
memorization comes later by a factor of order psi_n.

Sources: Bonnaire, Urfin, Biroli and Mezard 2025 (arXiv 2505.17638); George, Veiga and Macris 2025
(arXiv 2502.00336); for finite m Urfin, Bonnaire, Biroli and Mezard 2026.
"""

from denoscope.theory.random_features.activation import ActivationConstants as ActivationConstants
from denoscope.theory.random_features.activation import constants as constants
from denoscope.theory.random_features.bulks import atom as atom
from denoscope.theory.random_features.bulks import density as density
from denoscope.theory.random_features.bulks import generalization_bulk as generalization_bulk
from denoscope.theory.random_features.bulks import generalization_time as generalization_time
from denoscope.theory.random_features.bulks import memorization_bulk as memorization_bulk
from denoscope.theory.random_features.bulks import memorization_time as memorization_time
from denoscope.theory.random_features.bulks import relaxation_time as relaxation_time
from denoscope.theory.random_features.bulks import support as support
from denoscope.theory.random_features.curves import Losses as Losses
from denoscope.theory.random_features.curves import losses as losses
