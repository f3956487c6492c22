"""The loop that ties language, model, perception, twin and execution together, without ROS.

`Agent` holds the dialogue: it hears instructions, has them planned, grounded and rehearsed, and hands what passed to the
`Executor`, which runs the rehearsed program and asks for a new rehearsal when the scene has changed. Slow work (a plan, a
look, a rehearsal) goes through a `Worker`, so that the same agent runs against simulated time and on a robot. What happens
is told to an observer as the events of `events`; records, nodes and benchmarks listen there.
"""
