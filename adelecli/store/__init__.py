"""The store: corrected label volumes as OME-Zarr 0.5, published one whole case at a time.

    collection     make or open a store, read cases from it                (create_store, open_store, Store)
    publication    write one case beside the store, check it, rename it in (publish_case, Draft)
    verification   re-hash everything, months later                        (verify_store, Finding)

What must hold: a case that can be seen is whole and is what was computed. So nothing is ever written in place, a lost
file is never read as background, and nothing that is not ours is ever deleted. Importing this room does not import
zarr.
"""
