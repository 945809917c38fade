"""Tiles of matrices in registers: the inner loops of matrix products and of transposing."""

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once
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
    permuted,
    prefetch_at,
    store_first,
    suffix,
)
from .processor import fuses
from .simd import SIMDVector


def _index(number):
    return ir.Constant(INDEX, number)


def _sums_of_products(builder, vector, shape, a, panel, k):
    """LLVM code for Σ_k of a tile, by rows and vectors; what follows it goes behind the loop.

    shape : rows, and registers across
    a : its address, the places of the tile's rows from there, and the step from product to product
    panel : its address, and the step from row to row
    """
    (a_address, a_places, a_step), (panel_address, panel_step) = a, panel
    (n_rows, n_vectors), element, count = shape, vector.element, vector.count
    zeros, plus_product = ir.Constant(vector, None), f"llvm.{'fma' if fuses() else 'fmuladd'}.{suffix(vector)}"
    before = builder.block
    loop, after = builder.append_basic_block("products"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    p = builder.phi(INDEX)
    p.add_incoming(_index(0), before)
    sums = [[builder.phi(vector) for _ in range(n_vectors)] for _ in range(n_rows)]
    column = element_at(builder, a_address, builder.mul(p, a_step), element)
    line = element_at(builder, panel_address, builder.mul(p, panel_step), element)
    lanes = [
        builder.load(element_at(builder, line, _index(v * count), element), align=bytes_of(element), typ=vector)
        for v in range(n_vectors)
    ]
    results = []
    for i in range(n_rows):
        place = element_at(builder, column, a_places[i], element)
        numbers = broadcast_in(builder, builder.load(place, typ=element), count)
        results.append([call(builder, plus_product, vector, numbers, lanes[v], sums[i][v]) for v in range(n_vectors)])
        for v in range(n_vectors):
            sums[i][v].add_incoming(zeros, before)
            sums[i][v].add_incoming(results[i][v], loop)
    following = builder.add(p, _index(1))
    p.add_incoming(following, loop)
    # Twice as long, the loop would have more addresses than registers for them.
    forbid_unrolling(builder.cbranch(builder.icmp_signed("<", following, k), loop, after))
    builder.position_at_end(after)
    return results


def micro_kernel_of(most_rows, n_vectors):
    """The intrinsic for the product of a tile of so many rows by n_vectors of lanes.

    c[c_begin + i · c_row + j] = before + Σ_k a[a_begin + i · a_row + k · a_step] panel[k · panel_step + j]

    for i to n_rows and j to n_columns, where before = c[...] if it adds, else bias[bias_begin + j], or zero where the
    bias has no elements; what lies beyond is neither read nor written.

    a_place : (a_begin, a_row, a_step)          c_place : (c_begin, c_row)
    panel_place : (its address, panel_step); its rows fill the lanes
    shape : (n_rows, n_columns), 1 or more          accumulate : bool
    """

    def gemm(typing_context, a, a_place, panel_place, k, c, c_place, shape, bias, bias_begin, accumulate):
        count = SIMDVector(c.dtype).count

        def code(context, builder, signature, arguments):
            a_value, a_place, panel_place, k, c_value, c_place, shape, bias_value, bias_begin, accumulate = arguments
            a_begin, a_row, a_step = (builder.extract_value(a_place, i) for i in range(3))
            c_begin, c_row = (builder.extract_value(c_place, i) for i in range(2))
            n_rows, n_columns = (builder.extract_value(shape, i) for i in range(2))
            a_address, element = address_of(context, builder, a, a_value, a_begin)
            c_address, _ = address_of(context, builder, c, c_value, c_begin)
            vector = ir.VectorType(element, count)
            panel_address = builder.inttoptr(builder.extract_value(panel_place, 0), POINTER)
            panel = panel_address, builder.extract_value(panel_place, 1)
            # Where there are fewer rows, the last one is computed again and again: its result is the same.
            a_places, c_places = [_index(0)], [c_address]
            for i in range(1, most_rows):
                exists = builder.icmp_signed("<", _index(i), n_rows)
                a_places.append(builder.add(a_places[-1], builder.select(exists, a_row, _index(0))))
                step = builder.select(exists, c_row, _index(0))
                c_places.append(element_at(builder, c_places[-1], step, element))

            # The rows of c lie apart: while the products add up, they come from wherever they are. To ask for a row's
            # other lines as well takes longer than to wait for them.
            for place in c_places:
                prefetch_at(builder, place, Locality.FIRST_CACHE)

            bias_size = context.make_array(bias)(context, builder, bias_value).nitems
            has_bias = builder.icmp_signed(">", bias_size, _index(0))
            bias_address, _ = address_of(context, builder, bias, bias_value, bias_begin)
            shift_address = builder.bitcast(alloca_once(builder, vector, n_vectors), POINTER)

            def pointer(place, v):
                return element_at(builder, place, _index(v * count), element)

            def rest(v):
                return builder.sub(n_columns, _index(v * count))

            for v in range(n_vectors):
                n_shift = builder.select(has_bias, rest(v), _index(0))
                (shift,) = load_first(builder, [pointer(bias_address, v)], vector, n_shift)
                builder.store(shift, pointer(shift_address, v), align=bytes_of(element))
            # The multipliers wait for a tile's end: it is short where it loads from one address, whatever stands there.
            before_places = [builder.select(accumulate, place, shift_address) for place in c_places]

            form = most_rows, n_vectors
            sums = _sums_of_products(builder, vector, form, (a_address, a_places, a_step), panel, k)

            def write(is_whole):
                for v in range(n_vectors):
                    # All of a column of registers is read before any is written, as rows may be the same.
                    pointers = [pointer(place, v) for place in before_places]
                    if is_whole:
                        before = [builder.load(place, align=bytes_of(element), typ=vector) for place in pointers]
                    else:
                        before = load_first(builder, pointers, vector, rest(v))
                    for i, place in enumerate(c_places):
                        value = builder.fadd(before[i], sums[i][v])
                        if is_whole:
                            builder.store(value, pointer(place, v), align=bytes_of(element))
                        else:
                            store_first(builder, value, pointer(place, v), rest(v))

            # Most tiles are whole, and a load or store of all lanes takes less than one of the first.
            is_whole = builder.icmp_signed(">=", n_columns, _index(n_vectors * count))
            with builder.if_else(is_whole) as (whole, part):
                with whole:
                    write(is_whole=True)
                with part:
                    write(is_whole=False)
            return context.get_dummy_value()

        two, three = types.UniTuple(types.intp, 2), types.UniTuple(types.intp, 3)
        integer = types.intp
        return types.void(a, three, two, integer, c, two, two, bias, integer, types.boolean), code

    return intrinsic(gemm)


@intrinsic
def transpose_tile(typing_context, source, begin, row_length, n_rows, n_columns, target, target_begin, target_row):
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
