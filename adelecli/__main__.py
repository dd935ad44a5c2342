"""`python -m adelecli` is `adele`: for whoever has several environments, or no folder of scripts on the path."""

from __future__ import annotations

from adelecli.start import main

if __name__ == "__main__":  # a worker process imports this file too
    main()
