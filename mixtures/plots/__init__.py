"""Pictures: a fit over its data, and EM marks over posterior intervals. Matplotlib is imported when a picture is made."""

from .pictures import plot_cross_check, plot_fit

__all__ = ["plot_cross_check", "plot_fit"]
