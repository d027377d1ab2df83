"""A system as two ONNX graphs, and running them: many expressions reuse what was computed of one photo.

`exporting` writes them (`hf-refseg export onnx`), `weights` stores their weights in fewer bytes, `running` runs them.
"""
