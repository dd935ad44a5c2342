"""Files <-> arrays with their geometry: find and pair cases, read and write NIfTI and rasters, read class names.

    geometry   where voxels lie, and the exact way to the canonical (RAS+) grid and back
    cases      which mask belongs to which image
    reading    one door to every format; what is damaged, ambiguous or not a label is refused with its file and its
    reason writing    atomic, in the source's own geometry and header naming     class tables and channel names from
    labels.json and dataset.json nifti, rasters, damage   what the doors above share

This room knows neither models nor stores (`runtime`, `store`); `pipeline` joins them.
"""
