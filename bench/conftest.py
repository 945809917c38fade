import os

# One thread for every library: BLAS spreads a product over threads only when it is large, which would compare
# different numbers of processors from workload to workload.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
