"""Stores that go past the caches, for what another processor reads next.

A line of the cache that another processor holds has to be fetched and taken from it before it is written to, unless the
whole line is replaced at once.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..tuning import LINE_BYTES
from .llvm import address_of, require_inside


@intrinsic
def store_line(typing_context, source, begin, out):
    """Copy a line of the cache from place `begin` of a vector of bytes to the same place of another, a line's begin."""

    def code(context, builder, signature, arguments):
        line = ir.VectorType(ir.IntType(8), LINE_BYTES)
        n_bytes = context.get_constant(types.intp, LINE_BYTES)
        for kind, array in ((signature.args[0], arguments[0]), (signature.args[2], arguments[2])):
            size = context.make_array(kind)(context, builder, array).nitems
            require_inside(context, builder, arguments[1], n_bytes, size)
        given, _ = address_of(context, builder, signature.args[0], arguments[0], arguments[1])
        place, _ = address_of(context, builder, signature.args[2], arguments[2], arguments[1])
        value = builder.load(given, typ=line)
        value.align = 1
        store = builder.store(value, place)
        store.align = LINE_BYTES
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(source, types.intp, out), code


@intrinsic
def finish_stores(typing_context):
    """Have all stores before arrive before those that come after."""

    def code(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), code
