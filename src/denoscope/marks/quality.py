"""How near images are: peak signal-to-noise ratio and structural similarity (scikit-image) of 8-bit
images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from denoscope.data.images import to_uint8


def psnr_ssim(image: Tensor, other: Tensor) -> tuple[float | None, float | None]:
    """PSNR in dB (None for equal images) and SSIM (None below 3 pixels) of two images (c, h, w) in
    [-1, 1] as 8-bit files hold them.
    """
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    except ImportError as error:
        raise ImportError(
            "PSNR and SSIM need scikit-image: pip install 'denoscope[data]'"
        ) from error
    one, two = (to_uint8(part).cpu().numpy() for part in (image, other))
    window = min(7, (min(one.shape[1:]) - 1) // 2 * 2 + 1)
    ssim: Any = None
    if window >= 3:
        ssim = structural_similarity(one, two, win_size=window, channel_axis=0, data_range=255)
        ssim = float(ssim)
    if np.array_equal(one, two):
        return None, ssim
    return float(peak_signal_noise_ratio(one, two, data_range=255)), ssim
