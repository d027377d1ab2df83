"""
Speed and memory of LSTM-CNN and RMI on this machine, beside the original programs: `python benchmarks/speed.py`.

The models have the published sizes and random weights. R and D differ in their weights alone. The originals' figures of
another machine are wall medians of TensorFlow 2.15 on two cores, with 15 % noise; side_by_side.py tells how to measure
an original in the same run.
"""

from side_by_side import Row, run


def rmi(words: int, expressions: int = 1) -> dict:
    return {"model": "rmi", "size": 320, "words": words, "expressions": expressions}


def lstm_cnn(model: str, size: int, words: int) -> dict:
    return {"model": model, "size": size, "words": words, "expressions": 1}


ROWS = [
    Row("R+RMI, 4 words", rmi(4), original_ms=1227, target=1.5),
    Row("R+RMI, 20 words", rmi(20), original_ms=2497, target=2.3),
    Row("R+RMI, ten expressions of 4 words", rmi(4, 10), original_ms=10 * 1227, target=8.0),
    Row("D+RMI, 4 words", rmi(4), original_ms=1183, target=1.5),
    Row("D+RMI, 20 words", rmi(20), original_ms=2748, target=2.3),
    Row("D+RMI, ten expressions of 4 words", rmi(4, 10), original_ms=10 * 1183, target=8.0),
    Row("R+LSTM, 4 words", lstm_cnn("liu", 320, 4), original_ms=793),
    Row("R+LSTM, 20 words", lstm_cnn("liu", 320, 20), original_ms=783),
    Row("R+LSTM at 512x512, 20 words", lstm_cnn("liu", 512, 20)),
    Row("LSTM-CNN (Hu) at 512x512, 20 steps", lstm_cnn("hu", 512, 20), original_ms=1062),
    Row("R+RMI, training step of 8, frozen backbone", {**rmi(8, 8), "training": True}),
]


def build(name: str):
    from hf_refseg import LstmCnnConfig, LstmCnnForReferringSegmentation, RmiConfig, RmiForReferringSegmentation

    if name == "rmi":
        return RmiForReferringSegmentation(RmiConfig())
    config = LstmCnnConfig.liu_baseline() if name == "liu" else LstmCnnConfig()
    return LstmCnnForReferringSegmentation(config)


def prepare(row: dict):
    """One forward, or one step of training where each expression has an image of its own."""
    import torch

    torch.manual_seed(0)
    model = build(row["model"]).eval()
    training, size, expressions = row.get("training", False), row["size"], row["expressions"]
    images = expressions if training else 1
    inputs = {
        "pixel_values": torch.randn(images, 3, size, size) * 60,
        "input_ids": torch.zeros(expressions, 20, dtype=torch.long),
    }
    inputs["input_ids"][:, 20 - row["words"] :] = torch.randint(4, 1000, (expressions, row["words"]))
    if not training:
        return torch.inference_mode()(lambda: model(**inputs))

    model.train()
    model.backbone.requires_grad_(False)
    inputs["labels"] = (torch.rand(images, size, size) > 0.8).float()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2.5e-4)

    def step():
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()

    return step


if __name__ == "__main__":
    run(__doc__, __file__, ROWS, repeats=10)
