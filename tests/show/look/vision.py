"""How colors differ: contrast as WCAG 2 has it, and what is left of a difference for who
sees two kinds of cones.

Source: Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of
Color Vision Deficiency", table 1 (severity 1); Ottosson 2020, "A perceptual color space for
image processing" (OKLab).
"""

import torch
from torch import Tensor

DEFICIENCIES = {
    "none": torch.eye(3),
    "protanopia": torch.tensor(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": torch.tensor(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": torch.tensor(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip
TO_CONES = torch.tensor(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
TO_LAB = torch.tensor(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip


def linear(color: str) -> Tensor:
    """Red, green and blue light of "#rrggbb", from 0 to 1."""
    sent = torch.tensor([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return torch.where(sent <= 0.04045, sent / 12.92, ((sent + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    """How bright a color is, from 0 to 1."""
    return float(linear(color) @ torch.tensor([0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    """WCAG's ratio, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def over(fill: str, ground: str, opacity: float) -> str:
    """What is seen of a fill that lets its ground through."""
    parts = zip(channels(fill), channels(ground), strict=True)
    return "#" + "".join(
        f"{round(opacity * a + (1 - opacity) * b):02x}" for a, b in parts
    )


def channels(color: str) -> list[int]:
    """Red, green and blue as they are written."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def difference(one: str, other: str, seen_by: Tensor) -> float:
    """The distance in OKLab of two colors as someone sees them."""
    return float((oklab(one, seen_by) - oklab(other, seen_by)).norm())


def oklab(color: str, seen_by: Tensor) -> Tensor:
    """Lightness and two hues."""
    cones = TO_CONES @ (seen_by @ linear(color)).clamp(0, 1)
    return TO_LAB @ cones ** (1 / 3)
