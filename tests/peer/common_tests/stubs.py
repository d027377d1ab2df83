"""What the tests of a transformers release import and the release leaves out: empty versions, in one file."""

# Values that differ from the defaults of every configuration.
config_common_kwargs = {
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["BertModel"],
    "id2label": {0: "label"},
    "label2id": {"label": "0"},
    "problem_type": "regression",
}


class GenerationTesterMixin:
    """None of our models generates text."""


class ExportTesterMixin:
    """Our own export test is in tests/models/model_tester.py."""


def url_to_local_path(url: str, return_url_if_not_found: bool = True) -> str:
    """transformers' cache of test pictures: addresses stay addresses, and tests that load one are skipped."""
    return url
