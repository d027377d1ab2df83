"""RefShapes: drawn scenes with referring expressions, generated from a seed.

Read `scene` (what there is), `drawing` (how it looks), `semantics` (what expressions mean), `dialects` (which are
asked for), `wording` (how they are said), `dataset` (the rows).
"""

from .dataset import RefShapes

__all__ = ["RefShapes"]
