"""Memory whose next page may not be touched, on Linux: a read beyond its end kills the process."""

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

_kept = []


def at_the_end(array):
    """A copy of the array that ends where the protected page begins."""
    pages = -(-array.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    last = ctypes.c_void_p(address + pages * mmap.PAGESIZE)
    assert libc.mprotect(last, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0, ctypes.get_errno()
    copy = np.frombuffer(memory, array.dtype, array.size, pages * mmap.PAGESIZE - array.nbytes)
    copy = copy.reshape(array.shape)
    copy[...] = array
    _kept.append(memory)
    return copy


def assert_protected():
    """Raise an AssertionError unless a read beyond the end kills a process."""
    array = at_the_end(np.ones(5))
    child = os.fork()
    if child == 0:
        _ = ctypes.c_double.from_address(array.ctypes.data + array.nbytes).value
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "the page is not protected"


def run_with_protected_memory(program):
    """Run a program that imports this file in a process of its own, to its end."""
    program = f"import sys; sys.path.insert(0, sys.argv[1])\n{program}\nprint('at its end')"
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "at its end\n"), done.stderr
