"""The twin: a MuJoCo copy of the scene in which plans are rehearsed.

`worlds` builds MjSpecs (the yard for simulator and training, a light twin for rehearsal), `appearance` makes objects
look like what they are, `scenery` is floor, walls, sky and light, `render` turns a model into colour, depth and object
masks. Rehearsal and its verdict stand on top of these.
"""
