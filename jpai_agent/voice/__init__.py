"""Spoken Japanese in and out, on this computer alone.

Hearing: `audio` gives blocks of sound, `activity` cuts utterances out of them, a `recogniser` writes down what was said and
`spotter` hears stop words by themselves; `hearing` is all of these over blocks. Speaking: `reading` says how a text is read
aloud, `synthesis` makes sound of it, `speaker` plays it, `own_voice` tells it from people's. No ROS, and no torch unless a
recogniser of the user's own needs it.
"""
