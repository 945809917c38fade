"""Pieces of LLVM code that the intrinsics of this folder are put together from."""

import enum

from llvmlite import ir
from numba import types
from numba.core import cgutils, config

from .processor import masks_are_free

INDEX = ir.IntType(types.intp.bitwidth)
# What it points to is said where it is used: llvmlite gives up pointers that know it.
POINTER = ir.PointerType()
_LANE = ir.IntType(32)

BYTES = {"half": 2, "float": 4, "double": 8}
_SUFFIXES = {"half": "f16", "float": "f32", "double": "f64"}


def require(context, builder, condition, kind, message):
    """Raise an error of a kind where a condition does not hold."""
    with cgutils.if_unlikely(builder, builder.not_(condition)):
        context.call_conv.return_user_exc(builder, kind, (message,))


def require_inside(context, builder, begin, n, size):
    """Under NUMBA_BOUNDSCHECK, raise an IndexError unless n elements from `begin` on are elements of an array."""
    if not config.BOUNDSCHECK:
        return
    zero = ir.Constant(INDEX, 0)
    is_there = builder.and_(
        builder.icmp_signed(">=", begin, zero), builder.icmp_signed("<=", builder.add(begin, n), size)
    )
    is_inside = builder.or_(builder.icmp_signed("==", n, zero), is_there)
    require(
        context,
        builder,
        builder.and_(builder.icmp_signed(">=", n, zero), is_inside),
        IndexError,
        "elements outside of the array",
    )


def require_vector_inside(context, builder, array_type, arguments, count):
    """The same for the first n of some lanes; arguments are the array, its element and n, which may be any number."""
    if not config.BOUNDSCHECK:
        return
    array, begin, n, *_ = arguments
    if isinstance(array_type, types.BaseNamedTuple):
        array_type, array = array_type.types[0], builder.extract_value(array, 0)
    low, high = ir.Constant(INDEX, 0), ir.Constant(INDEX, count)
    n = builder.select(builder.icmp_signed("<", n, low), low, n)
    n = builder.select(builder.icmp_signed(">", n, high), high, n)
    require_inside(context, builder, begin, n, context.make_array(array_type)(context, builder, array).nitems)


def broadcast_in(builder, scalar, count):
    """A vector with a scalar in each of `count` lanes."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_LANE, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_LANE, count), [0] * count))


def first_elements(builder, n, count):
    """The mask that is true for the first n of `count` lanes."""
    places = ir.Constant(ir.VectorType(_LANE, count), list(range(count)))
    return builder.icmp_signed(">", broadcast_in(builder, builder.trunc(n, _LANE), count), places)


def permuted(builder, first, second, lanes):
    """A vector of lanes of two others, whose lanes are numbered through."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_LANE, len(lanes)), list(lanes)))


def address_of(context, builder, array_type, array, begin):
    """Where an array's element lies, and its LLVM type."""
    if isinstance(array_type, types.BaseNamedTuple):
        array_type, array, element = array_type.types[0], builder.extract_value(array, 0), ir.HalfType()
    else:
        element = context.get_data_type(array_type.dtype)
    data = context.make_array(array_type)(context, builder, array).data
    return element_at(builder, data, begin, element), element


def call(builder, name, result, *arguments):
    """Call one of LLVM's own functions."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)


def suffix(kind):
    """What the names of LLVM's functions end in, for a type of numbers or vectors."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{suffix(kind.element)}"
    return _SUFFIXES.get(str(kind), str(kind))


def bytes_of(element):
    """The size of a number of an LLVM type."""
    return BYTES.get(str(element)) or element.width // 8


def element_at(builder, pointer, i, kind):
    """The address of the i-th element of a kind, an LLVM type, from a pointer on."""
    place = builder.gep(pointer, [i], source_etype=kind)
    # Numba's arrays still have pointers that know what they point to, and llvmlite stores nothing else there.
    place.type = POINTER
    return place


def forbid_unrolling(branch):
    """Keep LLVM from repeating the body of the loop that ends with this branch."""
    module = branch.module
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    # What LLVM knows a loop by refers to itself first; the number keeps it apart from other loops' until then.
    loop = module.add_metadata([option, ir.Constant(INDEX, id(branch))])
    loop.operands = loop, option
    branch.set_metadata("llvm.loop", loop)


class Locality(enum.IntEnum):
    """The cache into which a line is prefetched, as LLVM numbers them."""

    L2 = 2
    L1 = 3


def prefetch_at(builder, address, locality):
    """Prefetch the line at an address, to read it."""
    reading, data = 0, 1
    how = [ir.Constant(ir.IntType(32), number) for number in (reading, locality, data)]
    call(builder, "llvm.prefetch.p0", ir.VoidType(), builder.bitcast(address, POINTER), *how)


def _masked_load(builder, pointer, vector, mask, others=None):
    """Load the lanes that the mask names; the memory of the others is not touched.

    vector : the type of what lies there          others : what those are then, lanes; zero where none are given
    """
    alignment = ir.Constant(_LANE, bytes_of(vector.element))
    others = others or ir.Constant(vector, None)
    return call(builder, f"llvm.masked.load.{suffix(vector)}.p0", vector, pointer, alignment, mask, others)


def _masked_store(builder, values, pointer, mask):
    """Store the lanes that the mask names."""
    alignment = ir.Constant(_LANE, bytes_of(values.type.element))
    call(builder, f"llvm.masked.store.{suffix(values.type)}.p0", ir.VoidType(), values, pointer, alignment, mask)


def _either(builder, condition, yes, no):
    """What one of two pieces of code gives, values of the same types, by a condition."""
    results, blocks = [], []
    with builder.if_else(condition) as branches:
        for branch, code in zip(branches, (yes, no), strict=True):
            with branch:
                results.append(code())
                blocks.append(builder.block)
    phis = []
    for values in zip(*results, strict=True):
        phi = builder.phi(values[0].type)
        for value, block in zip(values, blocks, strict=True):
            phi.add_incoming(value, block)
        phis.append(phi)
    return phis


def load_part(builder, pointers, vector, n):
    """As `load_first`, under a mask, whatever n is."""
    mask = first_elements(builder, n, vector.count)
    return [_masked_load(builder, pointer, vector, mask) for pointer in pointers]


def load_first(builder, pointers, vector, n):
    """Load the first n lanes of a vector from each pointer on, zero in the lanes beyond, whose memory is not touched.

    n : below one it stands for none, above the count of lanes for all
    """
    element, count = vector.element, vector.count
    if masks_are_free(count * bytes_of(element)):
        return load_part(builder, pointers, vector, n)

    def whole():
        return [builder.load(pointer, align=bytes_of(element), typ=vector) for pointer in pointers]

    def part():
        return load_part(builder, pointers, vector, n)

    def none():
        return [ir.Constant(vector, None) for _ in pointers]

    is_whole, is_part = (builder.icmp_signed(">=", n, ir.Constant(INDEX, least)) for least in (count, 1))
    return _either(builder, is_whole, whole, lambda: _either(builder, is_part, part, none))


def store_part(builder, values, pointer, n):
    """As `store_first`, under a mask, whatever n is."""
    _masked_store(builder, values, pointer, first_elements(builder, n, values.type.count))


def store_first(builder, values, pointer, n):
    """Store the first n lanes; n as in `load_first`."""
    element, count = values.type.element, values.type.count
    if masks_are_free(count * bytes_of(element)):
        store_part(builder, values, pointer, n)
        return
    is_whole, is_part = (builder.icmp_signed(">=", n, ir.Constant(INDEX, least)) for least in (count, 1))
    with builder.if_else(is_whole) as (then, otherwise):
        with then:
            builder.store(values, pointer, align=bytes_of(element))
        with otherwise, builder.if_then(is_part):
            store_part(builder, values, pointer, n)
