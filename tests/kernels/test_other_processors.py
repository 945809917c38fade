"""Processors that this machine is not: what is compiled for a 64-bit Arm, and products without SIMD registers."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from llvmlite import binding, ir

from fastgd.kernels.codegen import atomic, processor
from fastgd.kernels.codegen.processor import masks_are_free

ARM, RISC_V, X86 = "aarch64-unknown-linux-gnu", "riscv64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"


def processor_of(monkeypatch, triple, features):
    monkeypatch.setattr(processor, "get_process_triple", lambda: triple)
    monkeypatch.setattr(processor, "_features", lambda: features.split(","))


@pytest.mark.parametrize(
    ("triple", "features", "n_bytes", "expected"),
    [
        (X86, "+sse2,+avx,+avx512f", 64, True),
        (X86, "+sse2,+avx,+avx512f", 4, True),
        (X86, "+sse2,+avx", 32, False),
        (ARM, "+neon", 16, False),
        (ARM, "+neon,+sve", 16, True),
        (ARM, "+neon,+sve", 4, False),
        (ARM, "+neon,+sve", 32, False),
        (RISC_V, "+d", 16, False),
    ],
)
def test_where_masks_are_free(triple, features, n_bytes, expected, monkeypatch):
    processor_of(monkeypatch, triple, features)
    assert masks_are_free(n_bytes) == expected


def machine_of(triple, features):
    """LLVM's compiler for another machine."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"LLVM was built without {triple}")
    return target.create_target_machine(cpu="generic", features=features, opt=3)


def assembly_of(code, features="+neon", triple=ARM):
    """What LLVM code becomes on another machine, a line for each label and instruction."""
    machine = machine_of(triple, features)
    module = binding.parse_assembly(re.sub(r"(?m)^target (triple|datalayout).*$", "", code))
    module.triple, module.data_layout = triple, str(machine.target_data)
    lines = [re.split("//|#", line)[0].strip() for line in machine.emit_assembly(module).splitlines()]
    return [line for line in lines if line.endswith(":") or (line and not line.startswith("."))]


class Context:
    """As much of Numba's as intrinsics without arguments need."""

    @staticmethod
    def get_dummy_value():
        return None


@pytest.mark.parametrize(
    ("triple", "expected"),
    [(ARM, "llvm.aarch64.isb"), (X86, "llvm.x86.sse2.pause"), (RISC_V, None)],
)
def test_waiting_pauses_the_processor(triple, expected, monkeypatch):
    processor_of(monkeypatch, triple, "")
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "wait")
    builder = ir.IRBuilder(function.append_basic_block())
    _, code = atomic.pause._defn(None)
    code(Context, builder, None, ())
    builder.ret_void()
    assert re.findall(r"call .*@\"?([\w.]+)", str(module)) == ([expected] if expected else [])
    if triple == ARM:
        assert "isb" in assembly_of(str(module))


CODE = """
import sys
import numpy as np
from fastgd import kernels
from fastgd.kernels.codegen import processor

triple, features, *names = sys.argv[1:]
processor.get_process_triple = lambda: triple
processor._features = lambda: features.split(",")
for name in names:
    kernel = getattr(kernels, name)
    kernel.pointer(np.float32)
    print(*kernel._dispatcher.inspect_llvm().values(), "; of one kernel")
"""
# Its masked loads are left as they are until the code is made for another machine.
NEWEST = "+sse2,+avx,+avx2,+fma,+f16c,+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd"
BRANCH = re.compile(r"(b\.\w+|b|cbn?z|tbn?z|j[a-z]+)\s+(?:.*,\s*)?(\.\w+)$")


def loops_in(lines):
    """The instructions of each innermost loop: from a label to a branch back to it."""
    labels = {line[:-1]: i for i, line in enumerate(lines) if line.endswith(":")}
    jumps = [(i, BRANCH.match(line)) for i, line in enumerate(lines)]
    spans = [(labels[jump[2]], i) for i, jump in jumps if jump and labels.get(jump[2], i) < i]
    inner = [span for span in spans if not any(span != s and span[0] <= s[0] and s[1] <= span[1] for s in spans)]
    return [[line for line in lines[begin : end + 1] if not line.endswith(":")] for begin, end in inner]


def n_products(loop):
    """How often a vector is multiplied and added."""
    return sum(line.startswith("fmla") for line in loop)


def n_branches(loop):
    return sum(bool(re.match(r"b\.|cbn?z|tbn?z", line)) for line in loop)


def code_for(processor, cpu_name, cpu_features, names, cache):
    """LLVM's code of some kernels as it is for a processor, a triple and its features, compiled by way of another."""
    environment = {"NUMBA_CPU_NAME": cpu_name, "NUMBA_CPU_FEATURES": cpu_features, "NUMBA_CACHE_DIR": str(cache)}
    environment["NUMBA_BOUNDSCHECK"] = "0"  # Checks are branches.
    command = [sys.executable, "-c", CODE, *processor, *names]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("; of one kernel")[:-1]


@pytest.mark.slow
@pytest.mark.skipif(not binding.get_process_triple().startswith("x86_64"), reason="compiles for another x86")
def test_activations_store_whole_vectors_with_avx2(tmp_path):
    """AMD's processors take up to 42 operations for a store under a mask: networks took up to a half longer."""
    names = "relu_forward", "relu_backward", "leaky_relu_forward", "leaky_relu_backward"
    avx2 = "+sse2,+avx,+avx2,+fma,+f16c"
    codes = code_for((X86, avx2), "x86-64-v3", avx2, names, tmp_path)
    for name, code in zip(names, codes, strict=True):
        loops = loops_in(assembly_of(code, avx2, X86))
        assert loops, name
        # The elements at the end, fewer than a vector's, are stored so, but to a place that no loop moves.
        stores = [line for loop in loops for line in loop if re.match(r"vmaskmov\w+\s+%\w+, %\w+, \S*\(.*,4\)", line)]
        assert not stores, name


@pytest.mark.skipif(
    not binding.get_process_triple().startswith("x86_64"), reason="compiles for the newest x86 on the way"
)
@pytest.mark.parametrize("features", ["+neon", pytest.param("+neon,+sve", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "n_most"), [("gemm_nt_small", 6), ("gemm_small", 4)])
def test_few_row_products_take_no_branch_for_each_lane(name, n_most, features, tmp_path):
    """As masked loads, the loops took 17 branches in 90 instructions for four products, and 9 in 20 for two."""
    (code,) = code_for((ARM, features), "x86-64-v4", NEWEST, (name,), tmp_path)
    loops = [loop for loop in loops_in(assembly_of(code, features)) if n_products(loop) >= 2]
    fastest = min(loops, key=lambda loop: len(loop) / n_products(loop))
    assert n_branches(fastest) <= 2
    assert len(fastest) <= n_most * n_products(fastest)


@pytest.mark.slow
@pytest.mark.skipif(
    not binding.get_process_triple().startswith("x86_64"), reason="compiles for the newest x86 on the way"
)
@pytest.mark.parametrize("name", ["tanh_forward", "sigmoid_forward"])
def test_smooth_activations_call_nothing(name, tmp_path):
    """They are vectors' own operations: no function of a library for each number."""
    environment = {"NUMBA_CPU_NAME": "x86-64-v4", "NUMBA_CPU_FEATURES": NEWEST, "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["NUMBA_BOUNDSCHECK"] = "0"  # What raises an error is called.
    command = [sys.executable, "-c", CODE, ARM, "+neon", name]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = assembly_of(done.stdout)
    assert not [line for line in lines if re.match(r"blr?\s", line)]
    assert n_products(lines) >= 8
    assert [line for line in lines if re.match(r"fdiv\s+v", line)]


TRAIN = """
import sys
import numba
import numpy as np
from llvmlite import binding

# Numba goes on to compile for the processor that there is.
numba.njit(lambda: 0)()
triple, path = sys.argv[1:]
binding.get_process_triple = lambda: triple
import fastgd as gd
from fastgd import kernels
from fastgd.kernels.gemm import reference

def trained(n_outputs, batch_size):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((70, 11)), rng.standard_normal((70, n_outputs))
    model = gd.Model([gd.Linear(11, 20), gd.ReLU(), gd.Linear(20, n_outputs)], dtype="float64", seed=0)
    gd.Trainer(model, optimizer=gd.SGD(0.01), batch_size=batch_size).fit(X, y, epochs=2)
    return model.parameters

np.save(path, np.concatenate([trained(n, size) for n in (1, 3, 9) for size in (1, 16, None)]))
plain = [getattr(reference, name).pointer(np.float64) for name in ("gemm", "gemv", "gemv", "gemm_small", "ger")]
for n_workers in (1, 2):
    row, rows = (kernels.products(np.float64, n, 9, (1, 3, 600), n_workers) for n in (1, 9))
    print([rows.gemm, row.gemv, row.gemm_nt_small, row.gemm_small, row.ger] == plain)
"""


@pytest.mark.slow
def test_training_without_simd_registers(tmp_path):
    """Plain loops in the place of every product; only rounding differs."""
    results = []
    for triple, is_plain in ((RISC_V, True), (binding.get_process_triple(), False)):
        path = tmp_path / f"{triple}.npy"
        environment = os.environ | ({"NUMBA_CACHE_DIR": str(tmp_path)} if is_plain else {})
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, triple, path], env=environment, capture_output=True, text=True
        )
        assert done.stdout.split() == [str(is_plain)] * 2, done.stderr
        results.append(np.load(path))
    np.testing.assert_allclose(*results, rtol=0, atol=1e-12)
