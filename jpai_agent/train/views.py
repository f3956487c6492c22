"""What is known of a rendered frame: which object is where in the picture and how well it is seen."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("", "ahead", "oncoming", "unsure")

CLEAR_PIXELS = 40  # of a 320×240 picture: from here on an object counts as plainly visible
HIDDEN_PIXELS = 5  # up to here it counts as not there; between the two nobody can say
CLEAR_SHARE = 0.14  # least share of its own outline in the picture plane that must be seen
NEAR_SHARE = 0.07  # enough where it is large in the picture all the same
NEAR_PIXELS = 2500


@dataclass(frozen=True)
class ObjectView:
    """An object as the front camera sees it.

    Attributes:
        kind, color, size: As in `world.objects`; size is medium where the kind has only one.
        forward_m, left_m: Centre in base_link. heading_rad: relative to the robot.
        pixels: Visible pixels of a 320×240 picture. share: of the outline of its solid, occluded and cut-off parts
            included.
        box: (x0, y0, x1, y1) around what is visible, point: (x, y) on a visible pixel near its middle, both 0..1000
            over the image; zeros where nothing is visible.
        role: Of a vehicle on the car's own road: "ahead" in the car's lane, "oncoming" in the other one, "unsure" where one
            could argue, "" for all else.
    """

    kind: str
    color: str
    size: str
    forward_m: float
    left_m: float
    heading_rad: float
    pixels: int
    share: float
    box: tuple[int, int, int, int]
    point: tuple[int, int]
    role: str = ""

    @property
    def clear(self) -> bool:
        """Plainly visible."""
        return self.pixels >= CLEAR_PIXELS and (
            self.share >= CLEAR_SHARE or (self.share >= NEAR_SHARE and self.pixels >= NEAR_PIXELS))

    @property
    def hidden(self) -> bool:
        """Not in the picture. What is neither clear nor hidden is a sliver that no label should rest on."""
        return self.pixels <= HIDDEN_PIXELS


@dataclass(frozen=True)
class FrameRecord:
    """One frame of a shard: its index there, its objects, those that are not visible too, and whose camera it is of."""

    index: int
    objects: tuple[ObjectView, ...]
    robot: str = "cart"
