"""Training images moved at random: mirrored, and shifted by whole pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Images left to right with probability 1/2 (``mirror``), and moved by up to ``shift`` pixels
    along either side, all moves alike; the edge is repeated where nothing is left.
    """

    mirror: bool = False
    shift: int = 0

    def __bool__(self) -> bool:
        return self.mirror or self.shift > 0

    def drawn(self, size: tuple[int, ...], draw: torch.Generator) -> Tensor:
        """Moves (*size, 3): down, right, and 1 where mirrored."""
        ends = ((-self.shift, self.shift), (-self.shift, self.shift), (0, int(self.mirror)))
        each = [torch.randint(low, high + 1, size, generator=draw) for low, high in ends]
        return torch.stack(each, -1)

    def __call__(self, x: Tensor, moves: Tensor) -> Tensor:
        """Images (*b, c, h, w) after their ``moves`` (*b, 3)."""
        down, right, mirrored = moves[..., None].unbind(-2)
        height, width = x.shape[-2:]
        rows = (torch.arange(height) - down).clamp(0, height - 1)
        columns = (torch.arange(width) - right).clamp(0, width - 1)
        columns = torch.where(mirrored > 0, width - 1 - columns, columns)
        x = x.gather(-2, rows[..., None, :, None].expand(x.shape))
        return x.gather(-1, columns[..., None, None, :].expand(x.shape))


AS_THEY_ARE = Augmentation()
"""No move at all."""
