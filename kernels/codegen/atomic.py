"""What threads tell one another: numbers in memory that they read and write whole and in order."""

import os

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .llvm import INDEX, call, element_at
from .processor import is_arm64, is_x86

_GIVE_WAY = "SwitchToThread" if os.name == "nt" else "sched_yield"
_WHOLE_SYSTEM = 15
_ALIGNMENT = types.intp.bitwidth // 8


def _place(context, builder, array_type, array, i):
    return element_at(builder, context.make_array(array_type)(context, builder, array).data, i, INDEX)


@intrinsic
def load_acquire(typing_context, array, i):
    """array[i], an int64; what another thread wrote before it released this number is seen after."""

    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(place, "acquire", _ALIGNMENT, typ=INDEX)

    return types.int64(array, types.intp), code


@intrinsic
def store_release(typing_context, array, i, value):
    """array[i] = value, an int64; who acquires it sees all that this thread wrote before."""

    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature.args[0], *arguments[:2])
        # llvmlite has this one for pointers alone that know what they point to.
        place = builder.inttoptr(builder.ptrtoint(place, INDEX), INDEX.as_pointer())
        builder.store_atomic(arguments[2], place, "release", _ALIGNMENT)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), code


@intrinsic
def add_and_fetch(typing_context, array, i, value):
    """array[i] += value, an int64, in one piece, acquired and released; returns the result."""

    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature.args[0], *arguments[:2])
        return builder.add(builder.atomic_rmw("add", place, arguments[2], "acq_rel"), arguments[2])

    return types.int64(array, types.intp, types.int64), code


@intrinsic
def pause(typing_context):
    """Leave the processor's units to the other thread of its core for a moment, where it has such an instruction."""

    def code(context, builder, signature, arguments):
        if is_x86():
            call(builder, "llvm.x86.sse2.pause", ir.VoidType())
        elif is_arm64():
            # Its `yield` does nothing on most cores; this one waits until the instructions before it are done.
            call(builder, "llvm.aarch64.isb", ir.VoidType(), ir.Constant(ir.IntType(32), _WHOLE_SYSTEM))
        return context.get_dummy_value()

    return types.void(), code


@intrinsic
def yield_processor(typing_context):
    """Leave the processor to another thread that waits for it, if there is one."""

    def code(context, builder, signature, arguments):
        function_type = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, _GIVE_WAY), [])
        return context.get_dummy_value()

    return types.void(), code
