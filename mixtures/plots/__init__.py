"""Pictures: a fit over its data, and EM marks over posterior intervals. Matplotlib is imported when a picture is made."""

from .choice import plot_selection
from .pictures import plot_cross_check, plot_fit

__all__ = ["plot_cross_check", "plot_fit", "plot_selection"]
