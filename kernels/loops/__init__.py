"""The training loops: of a network and of a single neuron, row by row and in batches."""
