"""Zero arrays with the names and shapes of the original checkpoints, small where the converters allow it."""

import numpy as np

VOCAB_SIZE, EMBEDDING, LSTM, HIDDEN = 6, 8, 12, 16
CELL = "multi_rnn_cell/cell_0/basic_lstm_cell"


def resnet_shapes(scope: str) -> dict[str, tuple[int, ...]]:
    """ResNet-101 of R+ ("ResNet") or D+ ("DeepLab"), whose sizes are fixed."""
    shapes = {}

    def batch_norm(name: str, channels: int):
        shapes.update({f"{name}/{part}": (channels,) for part in ("beta", "gamma", "mean", "variance")})
        if scope == "DeepLab":
            shapes[f"{name}/factor"] = (1,)

    shapes[f"{scope}/group_1/conv1/DW"] = (7, 7, 3, 64)
    batch_norm(f"{scope}/group_1/bn_conv1", 64)
    channels = 64
    for group, (depth, out) in enumerate(zip((3, 4, 23, 3), (256, 512, 1024, 2048), strict=True), start=2):
        for unit in range(depth):
            blocks = {
                "block_1": (1, 1, channels, out // 4),
                "block_2": (3, 3, out // 4, out // 4),
                "block_3": (1, 1, out // 4, out),
            }
            if unit == 0:
                blocks["block_add"] = (1, 1, channels, out)
            for block, shape in blocks.items():
                shapes[f"{scope}/group_{group}_{unit}/{block}/conv/DW"] = shape
                batch_norm(f"{scope}/group_{group}_{unit}/{block}/bn", shape[-1])
            channels = out
    return shapes


def rmi_arrays(scope: str = "ResNet") -> dict[str, np.ndarray]:
    """A checkpoint of R+RMI or D+RMI."""
    projection = "ResNet/fc1000" if scope == "ResNet" else "text_objseg/conv0"
    shapes = {
        **resnet_shapes(scope),
        f"{projection}/DW": (1, 1, 2048, 1000),
        f"{projection}/biases": (1000,),
        "text_objseg/embedding": (VOCAB_SIZE, EMBEDDING),
        f"text_objseg/RNN/WLSTM/{CELL}/kernel": (EMBEDDING + LSTM, 4 * LSTM),
        f"text_objseg/RNN/WLSTM/{CELL}/bias": (4 * LSTM,),
        f"text_objseg/RNN/ALSTM/{CELL}/kernel": (1000 + EMBEDDING + LSTM + 8 + HIDDEN, 4 * HIDDEN),
        f"text_objseg/RNN/ALSTM/{CELL}/bias": (4 * HIDDEN,),
        "text_objseg/conv2/DW": (1, 1, HIDDEN, 1),
        "text_objseg/conv2/biases": (1,),
    }
    if scope == "DeepLab":
        for branch in range(4):
            shapes[f"DeepLab/fc1_voc12/conv{branch}/DW"] = (3, 3, 2048, 21)
            shapes[f"DeepLab/fc1_voc12/conv{branch}/biases"] = (21,)
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
