"""The step between two batches: optimisers, regularisation, and the vectors that they change."""
