"""Stub: none of our models generates text."""


class GenerationTesterMixin:
    pass
