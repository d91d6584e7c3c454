"""Linear diffusion models, wholly and exactly: optimum, losses, dynamics, sampled laws, and how
many samples are enough.

The model predicts the noise of ``x_t = sqrt(abar) x0 + sqrt(1 - abar) eps`` by W (x_t + b), one
affine map per level. Conventions of every name here: losses are summed over the d dimensions,
covariances are 1/N, the true law comes first and the suffix 0 marks the training set, ``ridge`` is
gamma_t itself and ``k = 2 eta tau`` the training time of gradient flow. Numpy or torch in, the same
kind out, float64. Merger and Goldt 2025.
"""

from denoscope.theory.linear.cross_validation import Observed as Observed
from denoscope.theory.linear.cross_validation import observed as observed
from denoscope.theory.linear.cross_validation import observed_best_c as observed_best_c
from denoscope.theory.linear.cross_validation import observed_best_ridge as observed_best_ridge
from denoscope.theory.linear.divergences import expected_kl as expected_kl
from denoscope.theory.linear.divergences import expected_kl_limit as expected_kl_limit
from denoscope.theory.linear.divergences import kl as kl
from denoscope.theory.linear.divergences import kl_along as kl_along
from denoscope.theory.linear.divergences import kl_from_losses as kl_from_losses
from denoscope.theory.linear.dynamics import affine_descent as affine_descent
from denoscope.theory.linear.dynamics import affine_flow as affine_flow
from denoscope.theory.linear.dynamics import best_stopping as best_stopping
from denoscope.theory.linear.dynamics import descent_loss as descent_loss
from denoscope.theory.linear.dynamics import descent_weights as descent_weights
from denoscope.theory.linear.dynamics import early_stopped as early_stopped
from denoscope.theory.linear.dynamics import flow_weights as flow_weights
from denoscope.theory.linear.dynamics import mode_stopping as mode_stopping
from denoscope.theory.linear.emergence import emergence_exponent as emergence_exponent
from denoscope.theory.linear.emergence import noise_emergence_times as noise_emergence_times
from denoscope.theory.linear.emergence import stopped_law as stopped_law
from denoscope.theory.linear.equivalents import Equivalents as Equivalents
from denoscope.theory.linear.equivalents import Traces as Traces
from denoscope.theory.linear.equivalents import deterministic as deterministic
from denoscope.theory.linear.equivalents import kappa as kappa
from denoscope.theory.linear.equivalents import traces as traces
from denoscope.theory.linear.equivalents import unseen_variance as unseen_variance
from denoscope.theory.linear.expectations import expected_numbers as expected_numbers
from denoscope.theory.linear.expectations import sampled_floors as sampled_floors
from denoscope.theory.linear.kurtosis import any_law_kl as any_law_kl
from denoscope.theory.linear.kurtosis import any_law_samples as any_law_samples
from denoscope.theory.linear.kurtosis import kurtosis_factor as kurtosis_factor
from denoscope.theory.linear.kurtosis import kurtosis_units as kurtosis_units
from denoscope.theory.linear.laws import abars as abars
from denoscope.theory.linear.laws import ddim_law as ddim_law
from denoscope.theory.linear.laws import ddim_mean as ddim_mean
from denoscope.theory.linear.laws import ddpm_law as ddpm_law
from denoscope.theory.linear.laws import ddpm_mean as ddpm_mean
from denoscope.theory.linear.laws import ddpm_moments as ddpm_moments
from denoscope.theory.linear.laws import ode_law as ode_law
from denoscope.theory.linear.laws import ode_mean as ode_mean
from denoscope.theory.linear.laws import realised_c as realised_c
from denoscope.theory.linear.laws import sde_law as sde_law
from denoscope.theory.linear.laws import sde_mean as sde_mean
from denoscope.theory.linear.laws import slide_betas as slide_betas
from denoscope.theory.linear.learning import convolution_weights as convolution_weights
from denoscope.theory.linear.learning import denoiser_variance as denoiser_variance
from denoscope.theory.linear.learning import denoiser_weights as denoiser_weights
from denoscope.theory.linear.learning import emergence_times as emergence_times
from denoscope.theory.linear.learning import fourier_variances as fourier_variances
from denoscope.theory.linear.learning import two_layer_variance as two_layer_variance
from denoscope.theory.linear.learning import two_layer_weights as two_layer_weights
from denoscope.theory.linear.learning import weight_times as weight_times
from denoscope.theory.linear.optimum import Modes as Modes
from denoscope.theory.linear.optimum import bayes_loss as bayes_loss
from denoscope.theory.linear.optimum import bayes_loss_of as bayes_loss_of
from denoscope.theory.linear.optimum import best_ridge as best_ridge
from denoscope.theory.linear.optimum import gap as gap
from denoscope.theory.linear.optimum import losses as losses
from denoscope.theory.linear.optimum import modes as modes
from denoscope.theory.linear.optimum import optimal as optimal
from denoscope.theory.linear.optimum import optimal_bias as optimal_bias
from denoscope.theory.linear.optimum import test_loss as test_loss
from denoscope.theory.linear.optimum import train_loss as train_loss
from denoscope.theory.linear.oracle import oracle_variances as oracle_variances
from denoscope.theory.linear.sizes import best_c as best_c
from denoscope.theory.linear.sizes import expected_best_ridge as expected_best_ridge
from denoscope.theory.linear.sizes import samples_for_gap as samples_for_gap
from denoscope.theory.linear.sizes import samples_needed as samples_needed
from denoscope.theory.linear.stopping import Stopping as Stopping
from denoscope.theory.linear.stopping import compare_stopping as compare_stopping
from denoscope.theory.linear.stopping import expect_stopping as expect_stopping
from denoscope.theory.linear.transport import FlowMap as FlowMap
from denoscope.theory.linear.transport import flow_distance as flow_distance
from denoscope.theory.linear.transport import flow_map as flow_map
from denoscope.theory.spectra import covariance_error as covariance_error
from denoscope.theory.spectra import disjoint_agreement as disjoint_agreement
from denoscope.theory.spectra import participation_ratio as participation_ratio
from denoscope.theory.spectra import power_law as power_law
