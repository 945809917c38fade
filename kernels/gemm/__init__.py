"""Products of matrices: blocked, with few rows, transposed."""
