"""A robot to try the agent on, and the benchmark that judges what it does.

`robot` is a `SimRobot`: physics and noisy sensors (`sensors`) of a world built by `twin`, with other physical
parameters than the twin's; `cart` and `car` are the running gears, each behind its `driver`. `episode` and
`expectations` read suites, `runner` runs one episode: sensors to the agent, commands through a gate to the robot, the
true trajectory to a `trajectory.Recording`. `judge` holds a recording against the episode's expectations, with
`predicates` and `limits`; `bench` runs suites on several processes and `report` sums them up. Calls point downward
only: bench → runner → robot, judge → trajectory, episode. Only the judge sees the truth.
"""
