"""From sensors to one `Scene`: pose, standing obstacles, movers, and the plan's image points found in the world.

`Perception` owns the belief. It feeds `PoseEstimator` with odometry and localiser, `ObstacleGrid` (odom frame) with
depth and lidar, `MoverTracker` with what moved, and grounds targets in the depth frames that it has kept.
"""

from jpai_agent.perception.perception import Perception

__all__ = ["Perception"]
