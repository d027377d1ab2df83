"""How each paper's own evaluation code counted, as data: the same metric name hides six different numbers.

Every row was read from the code that produced the published tables. A protocol never changes what a mask is; it says
at which size masks are compared, from which probability on a pixel is foreground, and how the intersections and unions
are averaged.
"""

from dataclasses import dataclass


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
        precision_targeted_only (`bool`): `Pr@X` is the share among samples that have a target.
    """

    name: str
    source: str
    unit: str = "sentence"
    inclusive: bool = True
    empty_union_iou: float = 0.0
    union_epsilon: float = 0.0
    probability_threshold: float = 0.5
    size: tuple[int, int] | None = None
    precision_targeted_only: bool = False


# hu2016 and RMI threshold the logit with >= 1e-9, so a probability of exactly 0.5 is background, as with "> 0.5".
# cris evaluates every sentence on its test splits, but only the first one of each referent on its val splits.
# grefcoco: a sample without target scores 1 if the prediction is empty too; else 0, and its area enters the union.
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("hu2016", "text_objseg exp_test_referit_seg.py; TF-phrasecut main.py (RMI)"),
        Protocol("mattnet", "MAttNet eval_masks.py"),
        Protocol("phrasecut", "PhraseCutDataset utils/evaluator.py", unit="phrase", inclusive=False),
        Protocol("lavt", "LAVT-RIS test.py: target squashed to 480 x 480", size=(480, 480)),
        Protocol(
            "cris",
            "CRIS.pytorch engine.py: reports the mean IoU",
            inclusive=False,
            union_epsilon=1e-6,
            probability_threshold=0.35,
        ),
        Protocol("grefcoco", "ReLA refer_evaluation.py", empty_union_iou=1.0, precision_targeted_only=True),
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
