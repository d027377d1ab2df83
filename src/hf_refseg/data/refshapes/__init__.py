"""RefShapes: drawn scenes with referring expressions, generated from a seed.

Read `scene` (which shapes there are), `drawing` (how they look), `dialects` (which expressions are used), `lexicon`
(their words), `dataset` (the rows). What expressions mean and how they are worded: `hf_refseg.data.expressions`.
"""

from .dataset import RefShapes

__all__ = ["RefShapes"]
