"""Processor of MAttNet (Yu et al., CVPR 2018)."""

from transformers import TokenizersBackend

from ...processing.region_processor import RegionProcessor
from ...processing.tokenization import build_blank_split_tokenizer
from ..mask_rcnn.image_processing_mask_rcnn import MaskRcnnImageProcessor


class MAttNetProcessor(RegionProcessor):
    """The detector's images (600 / 1000 pixels); expressions split at blanks and padded behind."""

    default_image_processor = MaskRcnnImageProcessor
    padding_side = "right"

    @classmethod
    def tokenizer_from_vocabulary(cls, vocabulary: list[str], **options) -> TokenizersBackend:
        """The tokenizer of MAttNet's code, which splits at blanks only, for its vocabulary: <PAD> first.

        Args:
            vocabulary: one word per id; <pad> and <unk> may be written in small letters, as other systems have them.
            options: of `build_blank_split_tokenizer`.

        Raises ValueError where <PAD> is not the first word.
        """
        words = [word.upper() if word in ("<pad>", "<unk>") else word for word in vocabulary]
        return build_blank_split_tokenizer({word: index for index, word in enumerate(words)}, **options)


__all__ = ["MAttNetProcessor"]
