"""The picture of what the words did, drawn as RMI's paper does."""

from ..rmi.plotting_rmi import plot_explanation

__all__ = ["plot_explanation"]
