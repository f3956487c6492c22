"""Cut what is too long to be rehearsed in full."""

from __future__ import annotations

from dataclasses import replace

from jpai_agent.control import Program
from jpai_agent.control.road.segments import FollowVehicle
from jpai_agent.control.segments import Follow, Segment, Wait


def shortened(program: Program, longest_wait_s: float, longest_follow_s: float) -> tuple[Program, float]:
    """The program with long waits and follows cut to what is rehearsed of them, and the seconds cut off."""

    def shorter(segment: Segment) -> Segment:
        if isinstance(segment, Wait) and segment.duration_s > longest_wait_s:
            return replace(segment, duration_s=longest_wait_s)
        if isinstance(segment, (Follow, FollowVehicle)) and not 0.0 < segment.duration_s <= longest_follow_s:
            return replace(segment, duration_s=longest_follow_s)
        return segment

    segments = tuple(shorter(segment) for segment in program.segments)
    pairs = zip(program.segments, segments, strict=True)
    cut_s = sum(getattr(a, "duration_s", 0.0) - getattr(b, "duration_s", 0.0) for a, b in pairs)
    return replace(program, segments=segments), max(cut_s, 0.0)
