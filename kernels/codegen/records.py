"""Records of four numbers, one for each row of a table, taken four rows at a time:

    a, b, c, d = load_records(table, rows, p, n)         SIMD vectors: the first numbers of rows[p], rows[p + 1], ...
    store_records(table, rows, p, n, (a, b, c, d))

A record is one load and one store, of a single line of the cache, and the arithmetic is that of vectors. A table is
C-contiguous, (n_rows, 4). Of n rows below four, the last one stands for those beyond it: they hold the same numbers,
which are stored again.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .llvm import INDEX, broadcast_in, bytes_of, call, element_at, permuted, require_inside, suffix
from .simd import SIMDVector

#: How many numbers a record has, and how many of them are taken at a time.
RECORD = 4


def _vector_of(number):
    return SIMDVector(number, RECORD * number.bitwidth // 8)


def _transposed(builder, rows):
    """Four vectors of four as those of their first, second, ... elements."""
    low = [permuted(builder, a, b, [0, 4, 1, 5]) for a, b in (rows[:2], rows[2:])]
    high = [permuted(builder, a, b, [2, 6, 3, 7]) for a, b in (rows[:2], rows[2:])]
    return [permuted(builder, *pair, halves) for pair in (low, high) for halves in ([0, 1, 4, 5], [2, 3, 6, 7])]


def _addresses(context, builder, types_given, values):
    """Where the records of four rows lie."""
    table_type, rows_type = types_given[:2]
    table, rows = (
        context.make_array(kind)(context, builder, value) for kind, value in zip(types_given[:2], values, strict=False)
    )
    p, n = values[2:4]
    index = context.get_data_type(rows_type.dtype)
    element = context.get_data_type(table_type.dtype)
    last = builder.sub(n, ir.Constant(INDEX, 1))
    addresses = []
    for k in range(RECORD):
        number = ir.Constant(INDEX, k)
        number = builder.select(builder.icmp_signed("<", number, last), number, last)
        place = builder.add(p, number)
        require_inside(context, builder, place, ir.Constant(INDEX, 1), rows.nitems)
        row = builder.load(element_at(builder, rows.data, place, index), align=bytes_of(index), typ=index)
        row = builder.sext(row, INDEX) if index.width < INDEX.width else row
        begin = builder.mul(row, ir.Constant(INDEX, RECORD))
        require_inside(context, builder, begin, ir.Constant(INDEX, RECORD), table.nitems)
        addresses.append(element_at(builder, table.data, begin, element))
    return addresses


@intrinsic
def in_records(typing_context, number):
    """The number, for each of four records."""
    vector = _vector_of(number)

    def code(context, builder, signature, arguments):
        return broadcast_in(builder, arguments[0], RECORD)

    return vector(number), code


@intrinsic
def load_records(typing_context, table, rows, p, n):
    """The records of rows[p], ..., rows[p + n - 1], up to four, as four vectors.

    table : (n_rows, 4)          rows : (n_entries,) of signed integers          n : int, at least 1
    """
    vector = _vector_of(table.dtype)

    def code(context, builder, signature, arguments):
        kind = context.get_value_type(vector)
        addresses = _addresses(context, builder, signature.args, arguments)
        loaded = [builder.load(address, align=bytes_of(kind.element), typ=kind) for address in addresses]
        return context.make_tuple(builder, signature.return_type, _transposed(builder, loaded))

    return types.UniTuple(vector, RECORD)(table, rows, types.intp, types.intp), code


@intrinsic
def store_records(typing_context, table, rows, p, n, vectors):
    """Store four vectors as the records of rows; arguments as for `load_records`."""

    def code(context, builder, signature, arguments):
        addresses = _addresses(context, builder, signature.args, arguments)
        columns = [builder.extract_value(arguments[4], k) for k in range(RECORD)]
        for address, record in zip(addresses, _transposed(builder, columns), strict=True):
            builder.store(record, address, align=bytes_of(record.type.element))
        return context.get_dummy_value()

    return types.void(table, rows, types.intp, types.intp, vectors), code


@intrinsic
def square_root(typing_context, vector):
    """The square root of each element."""

    def code(context, builder, signature, arguments):
        kind = arguments[0].type
        return call(builder, f"llvm.sqrt.{suffix(kind)}", kind, arguments[0])

    return vector(vector), code


@intrinsic
def where_not_zero(typing_context, condition, vector):
    """The elements of a vector where those of another are not zero, or NaN; zero elsewhere."""

    def code(context, builder, signature, arguments):
        zero = ir.Constant(arguments[0].type, None)
        return builder.select(builder.fcmp_unordered("!=", arguments[0], zero), arguments[1], zero)

    return vector(condition, vector), code
