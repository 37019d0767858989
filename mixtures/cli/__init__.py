"""The command line: `mixtures check`, `mixtures fit`, `mixtures datasets`."""

from .app import main, run

__all__ = ["main", "run"]
