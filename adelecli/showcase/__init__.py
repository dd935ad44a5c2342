"""The demo: a phantom, the whole programme run on it, and pictures of what came out."""
