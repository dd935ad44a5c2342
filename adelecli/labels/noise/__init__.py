"""Simulated annotation noise: one file per family, all reached through ``registry.corrupt_labels``.

Why: whether labels were cleaned can only be measured where the truth is known. What must hold: every family is a pure
function of labels and generator, works slice by slice on indices [Z, Y, X], and leaves ignored voxels as they are. Its
name says nothing about its strength: report the measured foreground label mIoU beside it.
"""
