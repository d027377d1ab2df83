"""MobileNetV2 with the DeepLabV3 head as an `AutoBackbone` citizen."""
