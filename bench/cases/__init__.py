"""What is timed: each kernel, and whole epochs, in fastgd, in NumPy and in plain Python, and how ratios are taken."""
