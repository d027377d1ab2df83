"""Processor of RMI with context."""

from ..rmi.processing_rmi import RmiProcessor


class ContextRmiProcessor(RmiProcessor):
    """RMI's: words and images are prepared alike."""


__all__ = ["ContextRmiProcessor"]
