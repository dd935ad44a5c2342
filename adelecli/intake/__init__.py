"""Cases of every kind, from files and from zarr, as both training and the pipeline read them."""
