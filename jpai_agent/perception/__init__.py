"""From sensors to one `Scene`: pose, standing obstacles, movers, traffic lights, and the plan's image points found in the world.

`Perception` owns the belief. It feeds `PoseEstimator` with odometry and localiser, and one kind of `Surroundings` (odom frame)
with lidar and depth: of a robot in the yard `YardSurroundings` (`ObstacleGrid`, `MoverTracker`), of a car `StreetSurroundings`
(`RowLidar` takes scans apart, `StreetGrid` remembers what stands, `RoadUsers` follows what moves). `LightReader` reads traffic
lights where the road map says they are, and `grounding` finds image points in the depth frames that are kept.
"""

from jpai_agent.perception.perception import Perception

__all__ = ["Perception"]
