"""Data sets larger than memory whose rows may be shuffled: read chunk by chunk, of which few are held.

`chunked.py` is the data set of dense rows and `sparse_chunks.py` that of sparse ones; `npy_shards.py`, `sliced.py` and
`sparse_files.py` are what they read from, `shards.py` finds the shards of a folder, `chunk_shuffle.py` is the order.
"""
