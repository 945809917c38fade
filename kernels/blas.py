"""The product of matrices of a BLAS, SciPy's, as Numba calls it for `np.dot`, with its factors alpha and beta.

`np.dot` has neither: adding its result to a wide layer's weights took a quarter of a step on two processors.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .llvm import INDEX

_CHARACTER, _POINTER = ir.IntType(8), ir.IntType(8).as_pointer()


@intrinsic
def general_product(typing_context, a, a_strides, b, b_strides, n_products, c, alpha, beta):
    """c = beta c + alpha a b,  for a (m, n_products), b (n_products, n).

    a, a_strides, b, b_strides, c : as for `product.multiply`, which reads c where beta is zero just as little
    """
    number = c.dtype
    kind = ir.Constant(_CHARACTER, ord("s" if number == types.float32 else "d"))

    def code(context, builder, signature, arguments):
        a_value, a_strides, b_value, b_strides, n_products, c_value, alpha, beta = arguments
        result = context.make_array(c)(context, builder, c_value)
        m, n = cgutils.unpack_tuple(builder, result.shape)

        def larger(left, right):
            return builder.select(builder.icmp_signed(">", left, right), left, right)

        def operand(array_type, value, strides, rows):
            """Where it lies; whether it lies column by column, as BLAS says it; and how far apart its lines are."""
            step, other = cgutils.unpack_tuple(builder, strides)
            lies_by_columns = builder.icmp_signed("==", step, ir.Constant(INDEX, 1))
            how = builder.select(lies_by_columns, ir.Constant(_CHARACTER, ord("t")), ir.Constant(_CHARACTER, ord("n")))
            # Of a single line, nobody knows how far the next one is.
            apart = builder.select(lies_by_columns, larger(other, rows), step)
            data = context.make_array(array_type)(context, builder, value).data
            return how, builder.bitcast(data, _POINTER), apart

        def slot(value):
            return builder.bitcast(cgutils.alloca_once_value(builder, value), _POINTER)

        # For BLAS, matrices lie column by column: it is told cᵀ = beta cᵀ + alpha bᵀ aᵀ.
        first_how, first, first_apart = operand(b, b_value, b_strides, n_products)
        second_how, second, second_apart = operand(a, a_value, a_strides, m)
        operands = [slot(alpha), first, first_apart, second, second_apart, slot(beta)]
        passed = [kind, first_how, second_how, n, m, n_products, *operands, builder.bitcast(result.data, _POINTER), n]
        function_type = ir.FunctionType(ir.IntType(32), [value.type for value in passed])
        builder.call(cgutils.get_or_insert_function(builder.module, function_type, "numba_xxgemm"), passed)
        return context.get_dummy_value()

    integer = types.intp
    return types.void(a, a_strides, b, b_strides, integer, c, number, number), code
