import os

# One thread for every library: they spread a product over threads only when it is large, each from another size on.
os.environ.setdefault("OMP_NUM_THREADS", "1")
