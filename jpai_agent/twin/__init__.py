"""The twin: a MuJoCo copy of the scene in which plans are rehearsed.

`worlds` builds MjSpecs (yard and street for simulator and training, a light twin for rehearsal). `appearance` makes
objects look like what they are, by `painter`; `appearance_street` and `appearance_landmarks` are the street's. `scenery` is
the yard's floor, walls, sky and light; `street` the roads with signs and paint, `street_scenery` weather, houses and trees
(both laid on `sheet`s coloured from one `atlas`, with words of `lettering`), `lights` what traffic lights show. `render`
turns a model into colour, depth and object masks.

`rehearse` runs a program in perturbed copies of the light twin and gives a `verdict`: `perturb` draws what
differs, `physics` steps the bodies, `crowd` walks the people, `judge` looks at what was recorded with the distances of
`gaps`. `changes` says when a changed scene voids a verdict, `config` reads config/rehearsal.yaml, `bench` times it.

A car is rehearsed by `road_rehearse`, without MuJoCo: `road_car` is a reduced car shown against the full one,
`road_futures` draws what others may do and `road_traffic` plays it, `road_signals` are the lights. `road_judge` holds what
was recorded to the rules on the `road_ground`, `road_contacts` to gaps and times to contact. `road_changes`, `road_config`
(config/rehearsal_car.yaml) and `road_bench` are the car's own.
"""
