"""Referring image segmentation: five published systems as Hugging Face citizens."""

__version__ = "0.1.0"

from .auto import register

register()
