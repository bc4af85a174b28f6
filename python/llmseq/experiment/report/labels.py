"""Where the labels of a scatter plot go, so that none covers another or a point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RADII = (8.0, 14.0, 22.0, 32.0, 44.0, 58.0, 76.0, 98.0)
_ANGLES = (0, 180, 90, 270, 30, 330, 150, 210, 60, 300, 120, 240)
_POINT = 6.0  # half the side of the square that a point keeps free
_PADDING = 2.0
_LIGHT = 0.25  # covering an obstacle counts less than covering a point or a label
_FARTHER = 0.6  # a pixel away counts as this area covered
_OUTSIDE = 1000.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def outside(self, bounds: Box) -> float:
        """How far it sticks out of ``bounds``, all sides together."""
        return (
            max(bounds.left - self.left, 0.0)
            + max(bounds.bottom - self.bottom, 0.0)
            + max(self.right - bounds.right, 0.0)
            + max(self.top - bounds.top, 0.0)
        )

    def nearest(self, point: tuple[float, float]) -> tuple[float, float]:
        """Give the place inside that is nearest to a point."""
        return (
            min(max(point[0], self.left), self.right),
            min(max(point[1], self.bottom), self.top),
        )

    def grown(self, by: float) -> Box:
        """Add a margin all round."""
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)


@dataclass(frozen=True, slots=True)
class Placement:
    """One label: its box, the side of the text that is next to its point, how far off it is."""

    box: Box
    align: Literal["left", "center", "right"]
    radius: float

    @property
    def far(self) -> bool:
        """Whether it needs a line to its point."""
        return self.radius > _RADII[1]

    @property
    def anchor(self) -> tuple[float, float]:
        """Where the text is held, so that a font of another width still starts at the point."""
        x = {
            "left": self.box.left,
            "center": (self.box.left + self.box.right) / 2,
            "right": self.box.right,
        }
        return x[self.align], (self.box.bottom + self.box.top) / 2


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    *,
    obstacles: Sequence[Box] = (),
) -> list[Placement]:
    """Put each label at the nearest free place around its point.

    Crowded points choose first. Where nothing near is free the least bad place is taken.

    Parameters
    ----------
    points, sizes
        Centre of each point, and width and height of its label, in pixels.
    bounds
        The area that labels stay in.
    obstacles
        What labels should rather not cover.

    Returns
    -------
    list of Placement
        In the order of ``points``.
    """
    taken = [Box(x, y, x, y).grown(_POINT) for x, y in points]
    placed: dict[int, Placement] = {}
    for number in sorted(range(len(points)), key=lambda index: _room(points, index)):

        def badness(choice: Placement) -> float:
            return (
                _OUTSIDE * choice.box.outside(bounds)
                + _FARTHER * choice.radius
                + sum(map(choice.box.overlap, taken))
                + _LIGHT * sum(map(choice.box.overlap, obstacles))
            )

        best = min(_candidates(points[number], sizes[number]), key=badness)
        placed[number] = best
        taken.append(best.box.grown(_PADDING))
    return [placed[number] for number in range(len(points))]


def _candidates(point: tuple[float, float], size: tuple[float, float]) -> Iterator[Placement]:
    x, y = point
    width, height = size
    for radius in _RADII:
        for angle in _ANGLES:
            across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            side = 0 if abs(across) < 0.1 else math.copysign(1, across)
            middle_x = x + across * radius + side * width / 2
            middle_y = y + up * (radius + height / 2)
            box = Box(
                middle_x - width / 2,
                middle_y - height / 2,
                middle_x + width / 2,
                middle_y + height / 2,
            )
            align: Literal["left", "center", "right"] = (
                "center" if side == 0 else "left" if side > 0 else "right"
            )
            yield Placement(box, align, radius)


def _room(points: Sequence[tuple[float, float]], index: int) -> tuple[float, int]:
    """How far the nearest three other points are, all together."""
    x, y = points[index]
    near = sorted(math.hypot(x - a, y - b) for i, (a, b) in enumerate(points) if i != index)
    return (sum(near[:3]), index)
