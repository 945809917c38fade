"""The compiler's side: options and cache, kernels called through pointers, SIMD vectors, views, atomics, alignment.

All that fastgd knows of the insides of Numba and LLVM stands in this folder.
"""
