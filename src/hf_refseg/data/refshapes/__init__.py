"""RefShapes: drawn scenes with referring expressions, generated from a seed.

Read `scene` (which shapes there are), `drawing` (how they look), `semantics` (what expressions mean), `dialects` (which
expressions are used), `wording` (their words), `dataset` (the rows).
"""

from .dataset import RefShapes

__all__ = ["RefShapes"]
