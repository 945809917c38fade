"""Views of arrays under another shape.

`reshape` does the same, but it is made for every case: compiling it took a twelfth of the first call of the training
loop, and each of the dozen calls in a step goes through a function of NumPy's.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import impl_ret_borrowed, make_array, populate_array

from ..tuning import MAX_VECTOR_WIDTH
from .llvm import require_inside


def _flat_type(array, n_dimensions, readonly):
    if array.layout != "C":
        raise TypingError(f"{array} is not C-contiguous")
    return types.Array(array.dtype, n_dimensions, "C", readonly=readonly)


def _array_at(context, builder, array_type, data, shape, strides, source):
    """LLVM code for an array in the memory of another one; strides in bytes."""
    result = make_array(array_type)(context, builder)
    populate_array(
        result,
        data=data,
        shape=shape,
        strides=strides,
        itemsize=_itemsize(context, array_type),
        meminfo=source.meminfo,
        parent=source.parent,
    )
    return impl_ret_borrowed(context, builder, array_type, result._getvalue())


def _itemsize(context, array_type):
    return context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))


def _view(context, builder, source_type, source_value, result_type, begin, shape):
    """LLVM code for a C-contiguous view of a C-contiguous array that begins at one of its elements."""
    source = make_array(source_type)(context, builder, source_value)
    element = context.get_data_type(source_type.dtype)
    strides, n_elements = [_itemsize(context, source_type)], shape[-1]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    for length in shape[:-1]:
        n_elements = builder.mul(n_elements, length)
    require_inside(context, builder, begin, n_elements, source.nitems)
    data = builder.gep(source.data, [begin], source_etype=element)
    return _array_at(context, builder, result_type, data, shape, strides, source)


def _matrix(array, readonly):
    result = _flat_type(array, 2, readonly)

    def code(context, builder, signature, arguments):
        value, begin, n_rows, n_columns = arguments
        return _view(context, builder, signature.args[0], value, result, begin, [n_rows, n_columns])

    return result(array, types.intp, types.intp, types.intp), code


@intrinsic
def matrix(typing_context, array, begin, n_rows, n_columns):
    """Elements of an array from a place on, row by row, as a matrix; nothing checks that it has so many."""
    return _matrix(array, readonly=not array.mutable)


@intrinsic
def read_only_matrix(typing_context, array, begin, n_rows, n_columns):
    """As `matrix`, a matrix that is not written to."""
    return _matrix(array, readonly=True)


@intrinsic
def read_only_rows(typing_context, array, begin, end):
    """Rows of a matrix, as a matrix that is not written to."""
    result = _flat_type(array, 2, readonly=True)

    def code(context, builder, signature, arguments):
        value, begin, end = arguments
        n_columns = builder.extract_value(make_array(array)(context, builder, value).shape, 1)
        shape = [builder.sub(end, begin), n_columns]
        return _view(context, builder, signature.args[0], value, result, builder.mul(begin, n_columns), shape)

    return result(array, types.intp, types.intp), code


def _span(array, begin, size, readonly):
    result = _flat_type(array, 1, readonly)

    def code(context, builder, signature, arguments):
        value, begin, size = arguments
        return _view(context, builder, signature.args[0], value, result, begin, [size])

    return result(array, types.intp, types.intp), code


@intrinsic
def span(typing_context, array, begin, size):
    """So many elements of an array from a place on, row by row, as a vector; nothing checks that it has so many."""
    return _span(array, begin, size, readonly=not array.mutable)


@intrinsic
def read_only_span(typing_context, array, begin, size):
    """As `span`, a vector that is not written to."""
    return _span(array, begin, size, readonly=True)


def _vector(array, readonly):
    result = _flat_type(array, 1, readonly)

    def code(context, builder, signature, arguments):
        source = make_array(signature.args[0])(context, builder, arguments[0])
        begin = context.get_constant(types.intp, 0)
        return _view(context, builder, signature.args[0], arguments[0], result, begin, [source.nitems])

    return result(array), code


@intrinsic
def vector(typing_context, array):
    """All elements of a matrix, row by row, as a vector."""
    return _vector(array, readonly=not array.mutable)


@intrinsic
def read_only_vector(typing_context, array):
    """All elements of a matrix, row by row, as a vector that is not written to.

    A kernel that is called with arrays of both kinds would be compiled for each combination.
    """
    return _vector(array, readonly=True)


@intrinsic
def read_only_strided(typing_context, array, m, n, row, column):
    """A C-contiguous array's elements as a matrix (m, n): [i, j] stands at place i · row + j · column."""
    result = types.Array(array.dtype, 2, "A", readonly=True)

    def code(context, builder, signature, arguments):
        value, m, n, row, column = arguments
        source = make_array(array)(context, builder, value)
        zero, one = (context.get_constant(types.intp, number) for number in (0, 1))
        last = builder.add(builder.mul(builder.sub(m, one), row), builder.mul(builder.sub(n, one), column))
        is_empty = builder.icmp_signed("==", builder.mul(m, n), zero)
        size = builder.select(is_empty, zero, builder.add(last, one))
        require_inside(context, builder, zero, size, source.nitems)
        strides = [builder.mul(step, _itemsize(context, array)) for step in (row, column)]
        return _array_at(context, builder, result, source.data, [m, n], strides, source)

    return result(array, types.intp, types.intp, types.intp, types.intp), code


@intrinsic
def submatrix(typing_context, matrix, i, j, m, n):
    """matrix[i : i + m, j : j + n] of a strided matrix; slices, which may have steps, take longer to compile."""

    def code(context, builder, signature, arguments):
        value, i, j, m, n = arguments
        source = make_array(matrix)(context, builder, value)
        strides = cgutils.unpack_tuple(builder, source.strides)
        for begin, size, length in zip((i, j), (m, n), cgutils.unpack_tuple(builder, source.shape), strict=True):
            require_inside(context, builder, begin, size, length)
        offset = builder.add(*(builder.mul(begin, step) for begin, step in zip((i, j), strides, strict=True)))
        data = builder.gep(source.data, [offset], source_etype=ir.IntType(8))
        return _array_at(context, builder, matrix, data, [m, n], strides, source)

    return matrix(matrix, *[types.intp] * 4), code


@intrinsic
def row_of(typing_context, matrix, i):
    """matrix[i] of a strided matrix whose rows are each in one piece, as a vector that is not written to."""
    result = types.Array(matrix.dtype, 1, "C", readonly=True)

    def code(context, builder, signature, arguments):
        source = make_array(matrix)(context, builder, arguments[0])
        n_rows, n_columns = cgutils.unpack_tuple(builder, source.shape)
        require_inside(context, builder, arguments[1], context.get_constant(types.intp, 1), n_rows)
        offset = builder.mul(arguments[1], builder.extract_value(source.strides, 0))
        data = builder.gep(source.data, [offset], source_etype=ir.IntType(8))
        return _array_at(context, builder, result, data, [n_columns], [_itemsize(context, matrix)], source)

    return result(matrix, types.intp), code


@intrinsic
def copy(typing_context, source, target):
    """target = source, two vectors of one dtype and size in different memory; a loop would cost more to compile."""

    def code(context, builder, signature, arguments):
        given, result = (
            make_array(kind)(context, builder, value) for kind, value in zip(signature.args, arguments, strict=True)
        )
        require_inside(context, builder, context.get_constant(types.intp, 0), given.nitems, result.nitems)
        cgutils.raw_memcpy(builder, result.data, given.data, given.nitems, given.itemsize)
        return context.get_dummy_value()

    return types.void(source, target), code


@intrinsic
def struct_view(typing_context, dtype, memory):
    """The record of a structured dtype that begins where a vector does; its fields may be assigned."""
    record = dtype.dtype

    def code(context, builder, signature, arguments):
        array = make_array(signature.args[1])(context, builder, arguments[1])
        element_bytes = context.get_abi_sizeof(context.get_data_type(memory.dtype))
        begin, n_elements = (context.get_constant(types.intp, n) for n in (0, -(-record.size // element_bytes)))
        require_inside(context, builder, begin, n_elements, array.nitems)
        return builder.bitcast(array.data, context.get_value_type(record))

    return record(dtype, memory), code


@intrinsic
def address(typing_context, array, i):
    """Where the i-th element of a C-contiguous array lies in memory."""

    def code(context, builder, signature, arguments):
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        element = context.get_data_type(signature.args[0].dtype)
        return builder.ptrtoint(
            builder.gep(data, [arguments[1]], source_etype=element), context.get_value_type(types.intp)
        )

    return types.intp(array, types.intp), code


@intrinsic
def element(typing_context, vector, i):
    """vector[i] for i from 0 to its size; a negative i does not count from the end, which costs instructions."""

    def code(context, builder, signature, arguments):
        array_type = signature.args[0]
        array = make_array(array_type)(context, builder, arguments[0])
        require_inside(context, builder, arguments[1], context.get_constant(types.intp, 1), array.nitems)
        # Of the pointer's own type, which Numba asks what it points to.
        element = context.get_data_type(array_type.dtype)
        place = builder.gep(array.data, [arguments[1]], source_etype=element)
        return context.unpack_value(builder, array_type.dtype, place)

    return vector.dtype(vector, types.intp), code


@intrinsic
def stack_vector(typing_context, number):
    """A vector of the dtype of `number` on the stack, as long as any SIMD vector; it lasts as long as the kernel."""
    result = types.Array(number, 1, "C")

    def code(context, builder, signature, arguments):
        memory = cgutils.alloca_once(builder, ir.ArrayType(context.get_data_type(number), MAX_VECTOR_WIDTH))
        array = make_array(result)(context, builder)
        length, size = context.get_constant(types.intp, MAX_VECTOR_WIDTH), _itemsize(context, result)
        data = builder.bitcast(memory, array.data.type)
        populate_array(array, data=data, shape=[length], strides=[size], itemsize=size, meminfo=None, parent=None)
        return array._getvalue()

    return result(number), code
