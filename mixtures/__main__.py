"""`python -m mixtures` is the command `mixtures`."""

from .cli import main

if __name__ == "__main__":
    main()
