"""The twin: a MuJoCo copy of the scene in which plans are rehearsed.

`worlds` builds MjSpecs (the yard for simulator and training, a light twin for rehearsal), `appearance` makes objects
look like what they are, `scenery` is floor, walls, sky and light, `render` turns a model into colour, depth and object
masks. `rehearse` runs a program in perturbed copies of the light twin and gives a `verdict`: `perturb` draws what
differs, `physics` steps the bodies, `crowd` walks the people, `judge` looks at what was recorded with the distances of
`gaps`. `changes` says when a changed scene voids a verdict, `config` reads config/rehearsal.yaml, `bench` times it.
"""
