"""The table people read is the table the code counts by."""

from pathlib import Path

from hf_refseg.metrics import PROTOCOLS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()


def test_the_page_prints_every_protocol_as_it_is():
    for protocol in PROTOCOLS.values():
        sign = ">=" if protocol.inclusive else ">"
        size = "original size" if protocol.size is None else "{} x {}".format(*protocol.size)
        row = (
            f"| `{protocol.name}` | {protocol.unit} | IoU {sign} X | {protocol.empty_union_iou:.0f} | {size} | "
            f"probability > {protocol.probability_threshold} | {protocol.box_rule} | {protocol.source} |"
        )
        assert row in PAGE, row
