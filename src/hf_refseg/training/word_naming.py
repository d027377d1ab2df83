"""A first stage for models that start from nothing: learn what the words for things and attributes look like.

Sentences alone teach a random network slowly: until its features tell a star from a moon no word helps, and until words
matter no feature is asked for. Rows with `instances` say category and attributes of every object, so backbone, visual
projection and word embeddings are first fitted to make (normalized feature) . (embedding of a word) large in the cells
of the objects which that word names. The study behind the photo checkpoint does the same with COCO's categories.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from transformers.utils import logging

from ..data.schema import decode_mask

logger = logging.get_logger(__name__)

# Length of every embedding afterwards, so that words the stage did not see are not drowned by those it did.
WORD_NORM = 4.0


@dataclass
class WordNaming:
    """
    `stages.naming` of a recipe.

    Args:
        steps: number of optimizer steps; a few hundred.
        batch_size: images of a step.
        learning_rate: the highest of the one-cycle schedule.
        rise: share of the steps in which the rate rises to it; then it falls to 0.
        adam_beta2: of AdamW.

    Raises:
        ValueError: `rise` is no share, or `adam_beta2` not below 1.
    """

    steps: int = 300
    batch_size: int = 16
    learning_rate: float = 3e-3
    rise: float = 0.3
    adam_beta2: float = 0.999

    def __post_init__(self):
        if not 0 <= self.rise <= 1:
            raise ValueError(f"naming.rise is {self.rise}; it is a share of the steps, from 0 to 1")
        if not 0 <= self.adam_beta2 < 1:
            raise ValueError(f"naming.adam_beta2 is {self.adam_beta2}; it is at least 0 and below 1")


def named_parameters(model) -> set[str]:
    """The names of the parameters that the stage trains."""
    embeddings = model.get_input_embeddings().weight
    return {
        name
        for name, parameter in model.named_parameters()
        if name.startswith(("backbone.", "visual_projection.")) or parameter is embeddings
    }


def name_words(
    model,
    processor,
    rows: Sequence[dict],
    naming: WordNaming,
    seed: int = 0,
    channels_last: bool = False,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
) -> list[str]:
    """Fit `model.backbone`, `model.visual_projection` and the embeddings to the instances of `rows`.

    Args:
        rows: of one size each image and not resized by the processor; with the optional field `instances`.
        naming: how long and how fast.
        channels_last: layout of the images, see `RefSegTrainingArguments`.
        device: where the model is trained, and stays.
        num_workers: processes that prepare the next steps meanwhile; 0: none. Same numbers.

    Returns:
        The words that were learned: those of the vocabulary among the categories and attributes of the instances.

    Raises:
        ValueError: rows without instances, or a model whose feature and embedding sizes differ.
    """
    if not rows[0].get("instances"):
        raise ValueError("naming words needs rows with the optional field instances, as RefShapes has them")
    embeddings = model.get_input_embeddings()
    if model.config.visual_size != embeddings.embedding_dim:
        raise ValueError(
            f"naming words multiplies features and embeddings: visual_size is {model.config.visual_size}, "
            f"word_embedding_size {embeddings.embedding_dim}; make them equal"
        )
    vocabulary = processor.tokenizer.get_vocab()
    instances = [instance for index in range(min(len(rows), 200)) for instance in rows[index]["instances"]]
    words = sorted({word for instance in instances for word in names_of(instance)} & vocabulary.keys())
    model.to(device)
    ids = torch.tensor([vocabulary[word] for word in words], device=device)
    categories = {instance["category"] for instance in instances}
    is_category = torch.tensor([word in categories for word in words], device=device)
    bias = nn.Parameter(torch.zeros(len(words), device=device))
    parameters = [*model.backbone.parameters(), *model.visual_projection.parameters(), embeddings.weight, bias]
    rate, betas = naming.learning_rate, (0.9, naming.adam_beta2)
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, betas=betas, weight_decay=0.01, fused=True)
    rise = 0.0 if naming.steps * naming.rise == 1 else naming.rise  # a rise of one step: OneCycleLR divides by zero
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=naming.steps, pct_start=rise)
    chosen = np.random.default_rng(seed).integers(len(rows), size=(naming.steps, naming.batch_size))
    batches = NamingBatches(rows, processor.image_processor, words, chosen, grid_stride(model, processor, rows[0]))
    normalize_embeddings(model)
    model.train()
    # A generator of its own: the order of what is trained afterwards must not depend on this stage.
    loader = DataLoader(batches, batch_size=None, num_workers=num_workers, generator=torch.Generator())
    progress = tqdm(loader, "naming words")
    for pixels, target in progress:
        pixels = pixels.to(device)
        if channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        maps = model.visual_projection(model.backbone(pixels).feature_maps[-1])  # (B, 3, H, W) -> (B, V, h, w)
        visual = F.normalize(maps, dim=1).movedim(1, -1)  # (B, V, h, w) -> (B, h, w, V)
        logits = visual @ embeddings.weight[ids].T + bias  # (B, h, w, V) -> (B, h, w, W)
        loss = naming_loss(logits, target.to(device), is_category)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    logger.info(f"named {len(words)} words, last loss {loss.item():.3f}")
    normalize_embeddings(model)
    return words


def names_of(instance: dict) -> list[str]:
    """The words that name an instance: its category and its attributes."""
    return [instance["category"], *instance["attributes"]]


class NamingBatches(Dataset):
    """
    What each step of the stage learns from: images (B, 3, H, W) and the words for what is in their cells (B, h, w, W).

    Args:
        chosen: (steps, B) which of the rows.
        stride: pixels per cell.
    """

    def __init__(self, rows: Sequence[dict], image_processor, words: Sequence[str], chosen: np.ndarray, stride: int):
        self.rows, self.image_processor, self.words = rows, image_processor, words
        self.chosen, self.stride = chosen, stride

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = [self.rows[index] for index in self.chosen[step].tolist()]
        images = self.image_processor([row["image"] for row in rows], return_tensors="pt")
        return images["pixel_values"], torch.stack([word_map(row, self.words, self.stride) for row in rows])


@torch.no_grad()
def grid_stride(model, processor, row: dict) -> int:
    """Pixels of an image per cell of the feature map."""
    pixels = processor.image_processor(row["image"], return_tensors="pt")["pixel_values"].to(model.device)
    return pixels.shape[-1] // model.eval().backbone(pixels).feature_maps[-1].shape[-1]


def word_map(row: dict, words: Sequence[str], stride: int) -> torch.Tensor:
    """Which words name the object in each cell: (h, w, W) of 0 and 1; all 0 in the background."""
    height, width = (len(range(0, row[side], stride)) for side in ("height", "width"))
    names = np.zeros((height, width, len(words)), np.float32)
    for instance in row["instances"]:
        mask = decode_mask(instance["mask"])[::stride, ::stride]  # (H, W) -> (h, w)
        names[mask] = [word in names_of(instance) for word in words]
    return torch.from_numpy(names)


def naming_loss(logits: torch.Tensor, target: torch.Tensor, is_category: torch.Tensor) -> torch.Tensor:
    """Objects and background weigh the same, however many cells they have.

    In the background no word is right: the mean cross-entropy of all. Of its attributes an object may have any number:
    their mean cross-entropy. Of the categories it has exactly one, and they compete for it: asked for each by itself a
    network first learns that "star" is seldom right, and after 250 steps on RefShapes told the eight shapes apart no
    better than by chance; so asked, after 300 steps, in 98 of 100 cells.

    Args:
        logits, target: (..., W), the target of 0 and 1.
        is_category: (W,) bool.
    """
    on_object = target.amax(-1) > 0  # (..., W) -> (...)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    background, attributes = loss[~on_object], loss[on_object][:, ~is_category]
    category = target[on_object][:, is_category]  # (M, W) -> (M, K)
    has_category = category.sum(-1) > 0  # not where its category is no word of the vocabulary
    categories = -(logits[on_object][:, is_category].log_softmax(-1) * category).sum(-1)[has_category]
    # The mean over nothing is 0: a scene without objects, a vocabulary without attributes.
    means = [part.sum() / max(part.numel(), 1) for part in (background, attributes, categories)]
    return means[0] + means[1] + 0.5 * means[2]


@torch.no_grad()
def normalize_embeddings(model) -> None:
    """Give every embedding the length `WORD_NORM`, but the padding's, which stays as it is."""
    embeddings = model.get_input_embeddings()
    padding = embeddings.weight[model.config.pad_token_id].clone()
    embeddings.weight.copy_(WORD_NORM * F.normalize(embeddings.weight, dim=-1))
    embeddings.weight[model.config.pad_token_id] = padding
