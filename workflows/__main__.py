"""Run the command line as ``python -m manyfit.workflows``."""

from .cli import main

if __name__ == "__main__":
    main()
