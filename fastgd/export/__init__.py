"""Models for other programs: `model.to_onnx`, `model.to_c`, `model.to_torch` and `gd.Model.from_torch`.

`methods.py` has these methods; `onnx.py`, `c.py` and `torch.py` do the work of each.
"""
