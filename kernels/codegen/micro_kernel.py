"""The innermost loops of matrix products and of transposing: pieces of matrices that stay in registers."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .llvm import (
    INDEX,
    POINTER,
    Locality,
    address_of,
    broadcast_in,
    bytes_of,
    call,
    element_at,
    forbid_unrolling,
    load_first,
    load_part,
    permuted,
    prefetch_at,
    store_part,
    suffix,
)
from .processor import fuses
from .simd import SIMDVector

_BYTE = ir.IntType(8)


def _index(number):
    return ir.Constant(INDEX, number)


def _sums_of_products(builder, vector, shape, a, panel, k):
    """LLVM code for Σ_k of MR rows by NR columns; what follows it goes behind the loop.

    shape : MR, and NR in vectors
    a : its address, where its rows begin from there, and the step from column to column, in bytes
    panel : its address, and the step from row to row, in elements
    """
    (a_address, a_rows, a_step), (panel_address, panel_row) = a, panel
    (mr, nr_vectors), element, count = shape, vector.element, vector.count
    zeros, plus_product = ir.Constant(vector, None), f"llvm.{'fma' if fuses() else 'fmuladd'}.{suffix(vector)}"
    before = builder.block
    loop, after = builder.append_basic_block("products"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    p = builder.phi(INDEX)
    p.add_incoming(_index(0), before)
    sums = [[builder.phi(vector) for _ in range(nr_vectors)] for _ in range(mr)]
    column = element_at(builder, a_address, builder.mul(p, a_step), _BYTE)
    line = element_at(builder, panel_address, builder.mul(p, panel_row), element)
    b = [
        builder.load(element_at(builder, line, _index(v * count), element), align=bytes_of(element), typ=vector)
        for v in range(nr_vectors)
    ]
    results = []
    for i in range(mr):
        number = builder.load(element_at(builder, column, a_rows[i], _BYTE), align=bytes_of(element), typ=element)
        numbers = broadcast_in(builder, number, count)
        results.append([call(builder, plus_product, vector, numbers, b[v], sums[i][v]) for v in range(nr_vectors)])
        for v in range(nr_vectors):
            sums[i][v].add_incoming(zeros, before)
            sums[i][v].add_incoming(results[i][v], loop)
    following = builder.add(p, _index(1))
    p.add_incoming(following, loop)
    # Twice as long, the loop would have more addresses than registers for them.
    forbid_unrolling(builder.cbranch(builder.icmp_signed("<", following, k), loop, after))
    builder.position_at_end(after)
    return results


def micro_kernel_of(mr, nr_vectors):
    """The intrinsic micro_kernel(a, panel, panel_row, c, bias, accumulate) for up to MR rows and NR columns of c.

    c = a b + bias,  or c += a b,  where NR is `nr_vectors` SIMD vectors and all MR · NR sums stay in registers.

    a : (m, k), m from 1 to MR          panel : int, the address of b's first row
    panel_row : int, how many elements further the next one begins; NR of each row are read
    c : (m, n), each row in one piece, modified in place; n up to NR, and more than all vectors but the last hold
    bias : (n,), or (0,)          accumulate : bool
    """

    def micro_kernel(typing_context, a, panel, panel_row, c, bias, accumulate):
        def code(context, builder, signature, arguments):
            a_array, c_array, bias_array = (
                context.make_array(kind)(context, builder, value)
                for kind, value in ((a, arguments[0]), (c, arguments[3]), (bias, arguments[4]))
            )
            m, k = cgutils.unpack_tuple(builder, a_array.shape)
            n = builder.extract_value(c_array.shape, 1)
            a_row, a_step = cgutils.unpack_tuple(builder, a_array.strides)
            c_row = builder.extract_value(c_array.strides, 0)
            element = context.get_data_type(c.dtype)
            vector = ir.VectorType(element, SIMDVector(c.dtype).count)
            a_address, c_address, bias_address = (
                element_at(builder, array.data, _index(0), element) for array in (a_array, c_array, bias_array)
            )
            # Where there are fewer rows, the last one is computed again and again: its result is the same.
            a_rows, c_rows = [_index(0)], [c_address]
            for i in range(1, mr):
                exists = builder.icmp_signed("<", _index(i), m)
                a_rows.append(builder.add(a_rows[-1], builder.select(exists, a_row, _index(0))))
                step = builder.select(exists, c_row, _index(0))
                c_rows.append(element_at(builder, c_rows[-1], step, _BYTE))

            # The rows of c lie apart: while the products add up, they come from wherever they are. To prefetch a row's
            # other lines as well takes longer than to wait for them.
            for row in c_rows:
                prefetch_at(builder, row, Locality.L1)

            shift_address = builder.bitcast(cgutils.alloca_once(builder, vector, nr_vectors), POINTER)

            def pointer(begin, v):
                return element_at(builder, begin, _index(v * vector.count), element)

            def rest(size, v):
                return builder.sub(size, _index(v * vector.count))

            for v in range(nr_vectors):
                (shift,) = load_first(builder, [pointer(bias_address, v)], vector, rest(bias_array.nitems, v))
                builder.store(shift, pointer(shift_address, v), align=bytes_of(element))
            # The multipliers wait for the end: it is short where it loads from one address, whatever stands there.
            before_rows = [builder.select(arguments[5], row, shift_address) for row in c_rows]

            panel_address = builder.inttoptr(arguments[1], POINTER), arguments[2]
            sums = _sums_of_products(builder, vector, (mr, nr_vectors), (a_address, a_rows, a_step), panel_address, k)

            def write(n_whole):
                """Write the vectors, of which so many are whole."""
                for v in range(nr_vectors):
                    # All of a column of vectors is read before any is written, as rows may be the same.
                    pointers = [pointer(row, v) for row in before_rows]
                    if v < n_whole:
                        before = [builder.load(place, align=bytes_of(element), typ=vector) for place in pointers]
                    else:
                        before = load_part(builder, pointers, vector, rest(n, v))
                    for i, row in enumerate(c_rows):
                        value = builder.fadd(before[i], sums[i][v])
                        if v < n_whole:
                            builder.store(value, pointer(row, v), align=bytes_of(element))
                        else:
                            store_part(builder, value, pointer(row, v), rest(n, v))

            # Most are whole, and a load or store of all lanes takes less than one of the first.
            is_whole = builder.icmp_signed(">=", n, _index(nr_vectors * vector.count))
            with builder.if_else(is_whole) as (whole, part):
                with whole:
                    write(nr_vectors)
                with part:
                    write(nr_vectors - 1)
            return context.get_dummy_value()

        return types.void(a, types.intp, types.intp, c, bias, types.boolean), code

    return intrinsic(micro_kernel)


@intrinsic
def no_micro_kernel(typing_context, a, panel, panel_row, c, bias, accumulate):
    """In the place of one that is never called, and would take as long to compile as the others."""

    def code(context, builder, signature, arguments):
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp, c, bias, types.boolean), code


@intrinsic
def transpose_block(typing_context, source, begin, row_length, n_rows, n_columns, target, target_begin, target_row):
    """Copy a tile of at most as many rows and columns as lanes, column by column.

    target[target_begin + j · target_row + i] = source[begin + i · row_length + j], for as many i and j as there are
    lanes: those from n_columns on write zeros, and those from n_rows on what the last row has.
    """
    count = SIMDVector(target.dtype).count

    def code(context, builder, signature, arguments):
        source_value, begin, row_length, n_rows, n_columns, target_value, target_begin, target_row = arguments
        address, element = address_of(context, builder, source, source_value, begin)
        vector = ir.VectorType(element, count)
        pointers = []
        last = builder.sub(n_rows, _index(1))
        for i in range(count):
            # Where there are fewer rows, the last one stands in for those beyond.
            row = builder.select(builder.icmp_signed(">", n_rows, _index(i)), _index(i), last)
            pointers.append(element_at(builder, address, builder.mul(row_length, row), element))
        rows = load_first(builder, pointers, vector, n_columns)
        size = count // 2
        while size:
            # Of every block of 2 · size rows and columns, the upper right and the lower left quarter change places.
            left = [lane if lane & size == 0 else count + lane - size for lane in range(count)]
            right = [lane + size if lane & size == 0 else count + lane for lane in range(count)]
            for i in (i for i in range(count) if i & size == 0):
                upper, lower = rows[i], rows[i + size]
                rows[i], rows[i + size] = (permuted(builder, upper, lower, lanes) for lanes in (left, right))
            size //= 2
        address, _ = address_of(context, builder, target, target_value, target_begin)
        for j in range(count):
            place = element_at(builder, address, builder.mul(target_row, _index(j)), element)
            builder.store(rows[j], place, align=bytes_of(element))
        return context.get_dummy_value()

    integer = types.intp
    return types.void(source, integer, integer, integer, integer, target, integer, integer), code
