"""How each paper's own evaluation code counted, as data: the same metric name hides six different numbers.

Every row was read from the code that produced the published tables. A protocol never changes what a mask is; it says
which sentences are asked, at which size masks are compared, from which probability on a pixel is foreground, how the
intersections and unions are averaged, and what makes a box right. docs/metrics.md prints the table.
"""

from dataclasses import dataclass

from ..data.splits import spellings


@dataclass(frozen=True)
class Protocol:
    """One way of counting.

    Args:
        name (`str`): what `RefSegMetric(protocol=...)` takes and what travels with every reported number.
        source (`str`): the evaluation code this row was read from.
        unit (`str`): what one added sample is: a `"sentence"` or a `"phrase"` (the union of all its instances).
        inclusive (`bool`): `Pr@X` counts samples of IoU >= X (`True`) or IoU > X (`False`).
        empty_union_iou (`float`): the IoU of a sample whose prediction and target are both empty. Where the original
            divides by zero, the nan fails every `Pr@X`, so the sample is wrong: 0.
        union_epsilon (`float`): what the original adds to the union of every sample before dividing.
        probability_threshold (`float`): the mask probability above which a pixel is foreground; for whoever makes
            the masks.
        size (`tuple[int, int]`, *optional*): (height, width) to which both masks are resized (nearest pixel, aspect
            ratio not kept) before they are compared; `None`: they are compared at the original size of the image.
        knows_no_target (`bool`): the protocol has a rule for samples without target: they are right (IoU 1) if the
            prediction says so, else 0 with the predicted area in the union; `Pr@X` is the share among samples that
            have a target; gIoU, cIoU, N-acc and T-acc are reported. Without it such samples (no original ever met
            one) follow the formula: IoU 0 and the predicted area in the union, `empty_union_iou` where it is empty.
        box_rule (`str`): what box numbers mean, see [`hf_refseg.metrics.boxes`]: `"single"`, `"union"`, `"matched"`.
        first_sentence_splits (`tuple[str, ...]`): splits on which only the first sentence of a referent is asked.
    """

    name: str
    source: str
    unit: str = "sentence"
    inclusive: bool = True
    empty_union_iou: float = 0.0
    union_epsilon: float = 0.0
    probability_threshold: float = 0.5
    size: tuple[int, int] | None = None
    knows_no_target: bool = False
    box_rule: str = "single"
    first_sentence_splits: tuple[str, ...] = ()

    def sentences(self, row: dict) -> list[dict]:
        """The sentences of a row of `hf_refseg.data` that are asked: all, or on some splits of some protocols one."""
        return row["sentences"][:1] if row["split"] in self.first_sentence_splits else row["sentences"]


# hu2016 and RMI threshold the logit with >= 1e-9, so a probability of exactly 0.5 is background, as with "> 0.5".
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("hu2016", "text_objseg exp_test_referit_seg.py; TF-phrasecut main.py (RMI)"),
        Protocol("mattnet", "MAttNet eval_masks.py, eval_dets.py"),
        Protocol("phrasecut", "PhraseCutDataset utils/evaluator.py", unit="phrase", inclusive=False, box_rule="union"),
        Protocol("lavt", "LAVT-RIS test.py: target squashed to 480 x 480", size=(480, 480)),
        Protocol(
            "cris",
            "CRIS.pytorch engine.py: reports the mean IoU",
            inclusive=False,
            union_epsilon=1e-6,
            probability_threshold=0.35,
            first_sentence_splits=tuple(spellings("val")),
        ),
        Protocol(
            "grefcoco",
            "ReLA refer_evaluation.py; boxes: gRefCOCO mdetr/datasets/refexp.py",
            empty_union_iou=1.0,
            knows_no_target=True,
            box_rule="matched",
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        ValueError: for an unknown name, listing the known ones.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown metric protocol {name!r}: choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
