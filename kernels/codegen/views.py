"""Views of contiguous arrays under another shape.

`reshape` does the same, but it is made for every case: compiling it took a twelfth of the first call of the training
loop, and each of the dozen calls in a step goes through a function of NumPy's.
"""

from numba import types
from numba.core.cgutils import raw_memcpy
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import impl_ret_borrowed, make_array, populate_array

from .llvm import require_inside


def _flat_type(array, n_dimensions, readonly):
    if array.layout != "C":
        raise TypingError(f"{array} is not C-contiguous")
    return types.Array(array.dtype, n_dimensions, "C", readonly=readonly)


def _view(context, builder, source_type, source_value, result_type, begin, shape):
    """LLVM code for a C-contiguous view of a C-contiguous array that begins at one of its elements."""
    source = make_array(source_type)(context, builder, source_value)
    element = context.get_data_type(source_type.dtype)
    size = context.get_constant(types.intp, context.get_abi_sizeof(element))
    strides, n_elements = [size], shape[-1]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    for length in shape[:-1]:
        n_elements = builder.mul(n_elements, length)
    require_inside(context, builder, begin, n_elements, source.nitems)
    result = make_array(result_type)(context, builder)
    populate_array(
        result,
        data=builder.gep(source.data, [begin], source_etype=element),
        shape=shape,
        strides=strides,
        itemsize=size,
        meminfo=source.meminfo,
        parent=source.parent,
    )
    return impl_ret_borrowed(context, builder, result_type, result._getvalue())


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
def copy(typing_context, source, target):
    """target = source, two vectors of one dtype and size in different memory; a loop would cost more to compile."""

    def code(context, builder, signature, arguments):
        given, result = (
            make_array(kind)(context, builder, value) for kind, value in zip(signature.args, arguments, strict=True)
        )
        require_inside(context, builder, context.get_constant(types.intp, 0), given.nitems, result.nitems)
        raw_memcpy(builder, result.data, given.data, given.nitems, given.itemsize)
        return context.get_dummy_value()

    return types.void(source, target), code


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
