"""What expressions about COCO's categories need to know: words for people, and which things are easily confused."""

from hf_refseg.data.coco_categories import NOUNS

# Words for people that say more than "person": they name the same pixels, but which person only the annotator knows.
PERSON_WORDS: tuple[str, ...] = (
    *("man", "woman", "boy", "girl", "guy", "lady", "child", "kid", "baby", "player", "rider", "skater", "skier"),
    *("surfer", "snowboarder", "skateboarder", "driver", "cook", "chef", "pitcher", "batter", "biker", "worker"),
)

# A category may be called absent only where nothing of its group is in the photo. Figures that are published depend on
# these groups, so they stay as they are; those that training draws from (data/photos/lexicon.py) have grown.
LOOK_ALIKES: tuple[frozenset[str], ...] = (
    frozenset({"car", "truck", "bus", "train"}),
    frozenset({"bicycle", "motorcycle"}),
    frozenset({"dog", "cat", "bear", "teddy bear"}),
    frozenset({"horse", "cow", "sheep", "zebra"}),
    frozenset({"backpack", "handbag", "suitcase"}),
    frozenset({"skis", "snowboard", "skateboard", "surfboard"}),
    frozenset({"sports ball", "frisbee", "kite"}),
    frozenset({"bottle", "wine glass", "cup", "bowl", "vase"}),
    frozenset({"fork", "knife", "spoon", "toothbrush", "scissors"}),
    frozenset({"banana", "apple", "orange", "carrot", "broccoli"}),
    frozenset({"sandwich", "hot dog", "pizza", "donut", "cake"}),
    frozenset({"chair", "couch", "bench", "bed"}),
    frozenset({"dining table", "bench", "bed"}),
    frozenset({"potted plant", "vase", "broccoli"}),
    frozenset({"tv", "laptop", "cell phone", "remote", "keyboard", "mouse", "microwave"}),
    frozenset({"microwave", "oven", "toaster", "refrigerator"}),
    frozenset({"sink", "toilet", "bowl"}),
    frozenset({"traffic light", "stop sign", "parking meter", "fire hydrant"}),
    frozenset({"clock", "frisbee"}),
    frozenset({"baseball bat", "tennis racket"}),
    frozenset({"baseball glove", "handbag"}),
)


def look_alikes(category: str) -> frozenset[str]:
    """The COCO categories that could be taken for `category`, itself included."""
    return frozenset({category}).union(*(group for group in LOOK_ALIKES if category in group))


def absent_categories(present: set[str] | frozenset[str]) -> list[str]:
    """Categories of which neither they nor a look-alike is in `present`, in COCO's order."""
    return [category for category in NOUNS if not look_alikes(category) & set(present)]
