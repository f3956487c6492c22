"""Colours of the pictures and videos, in one place."""

from __future__ import annotations

from jpai_agent.record.text import Color

PAGE: Color = (246, 247, 249)
CARD: Color = (255, 255, 255)
EDGE: Color = (223, 227, 233)
INK: Color = (24, 32, 45)
SOFT_INK: Color = (71, 82, 99)
MUTED: Color = (124, 135, 152)
ACCENT: Color = (24, 92, 197)
ACCENT_PALE: Color = (229, 238, 252)
GOOD: Color = (20, 126, 82)
GOOD_PALE: Color = (226, 244, 235)
BAD: Color = (192, 38, 44)
BAD_PALE: Color = (252, 232, 232)
WARN: Color = (176, 98, 8)
WARN_PALE: Color = (253, 241, 222)

FLOOR: Color = (250, 251, 252)
GRID: Color = (237, 240, 244)
WALL: Color = (150, 160, 174)
OBSTACLE: Color = (201, 208, 218)
OBSTACLE_EDGE: Color = (136, 147, 163)
MOVER: Color = (226, 112, 18)
ROLLOUT: Color = (66, 133, 244)
PLANNED: Color = (24, 32, 45)
DRIVEN: Color = (24, 92, 197)
TRUTH: Color = (192, 38, 44)
PLACE: Color = (96, 108, 126)
GROUND: Color = (238, 242, 236)
PAVEMENT: Color = (228, 225, 218)
ASPHALT: Color = (206, 211, 219)
MARKING: Color = (255, 255, 255)
STOP_SIGN: Color = (206, 84, 84)

BAR: Color = (17, 23, 33)
BAR_INK: Color = (244, 246, 249)
BAR_SOFT: Color = (186, 197, 213)
BAR_EDGE: Color = (44, 53, 68)
