"""The passes of a network's layers, forward and backward, and the losses."""
