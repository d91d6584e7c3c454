"""Contract suites: the laws that denoisers, samplers and metrics obey, for this library's tests and
for those of its users.

``from denoscope.laws import denoiser, metric, sampler``; each law is a function ``check_...`` that
raises an AssertionError with a telling message.
"""
