"""Pure functions on label arrays: the classes, the correction rule, the measures, the noise families.

Why this room exists: training, batch correction and evaluation must agree on what a label is, when it changes and how a
change is counted, so each of these is written once, here. What must hold: numpy in, numpy out; no file, no model, no
clock; no input is ever modified; the only randomness comes from the generator that the caller passes.
"""
