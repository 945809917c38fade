"""The linear layer: z = x Wᵀ + b, and the products of its backward pass.

See `fastgd.kernels` for the conventions.
"""

from ..codegen.integers import minimum
from ..codegen.jit import inlined_kernel
from ..codegen.views import address, matrix, read_only_span, read_only_strided, read_only_vector
from ..gemm.blocked import call_gemm
from ..gemm.small import call_gemm_small, call_gemv, call_ger
from ..gemm.transpose import call_transpose
from ..tuning import FAR_APART, FEW


@inlined_kernel
def _has_few(products, n_out):
    """Whether a layer's products are of few rows or few outputs, and go row by row."""
    # Not by a micro-batch's own rows: a last one of few would be rounded otherwise where weights are column-major.
    return minimum(products.n_rows, n_out) < FEW


@inlined_kernel
def _gemm_by(products, a, b, c, bias, accumulate):
    """Call `gemm` of some Products, with the memory it works in."""
    scratch = products.panel, products.pool, address(products.prefetch_range, 0)
    call_gemm(products.gemm, (a, b, c, bias, accumulate, *scratch))


@inlined_kernel
def linear_forward(x, weight, is_column_major, bias, out, products, prefetches):
    """out = x Wᵀ + b  (the article's o2).

    x : (n_samples, n_in)          weight : (n_out, n_in)
    is_column_major : whether the weight's memory has it column by column; not where rows or outputs are few
    bias : (n_out,), or (0,) for a layer without bias
    out : (n_samples, n_out), overwritten          products : Products
    prefetches : bool, whether x comes from memory, and more rows behind it: where products go row by row, they prefetch
        these, others the range of `products`
    """
    n_out, n_in = weight.shape
    flat, rows, shift = read_only_vector(x), read_only_vector(weight), read_only_vector(bias)
    if n_out == 1:
        call_gemv(products.gemv, (flat, n_in, rows, shift, out, prefetches))
    elif _has_few(products, n_out):
        call_gemv(products.gemm_nt_small, (flat, n_in, rows, shift, out, prefetches))
    else:
        row, column = (n_out, 1) if is_column_major else (1, n_in)
        a, b = read_only_strided(x, x.shape[0], n_in, n_in, 1), read_only_strided(weight, n_in, n_out, row, column)
        _gemm_by(products, a, b, out, shift, False)


@inlined_kernel
def linear_backward_input(d_out, weight, d_x, products):
    """d_x = d_out W  (the article's δ2).

    d_out : (n_samples, n_out)     weight : (n_out, n_in)
    d_x : (n_samples, n_in), overwritten          products : Products
    """
    n_out, n_in = weight.shape
    if _has_few(products, n_out):
        a, b = read_only_vector(d_out), read_only_vector(weight)
        call_gemm_small(products.gemm_small, (a, (n_out, 1), b, n_out, False, d_x))
    else:
        a = read_only_strided(d_out, d_out.shape[0], n_out, n_out, 1)
        b = read_only_strided(weight, n_out, n_in, n_in, 1)
        _gemm_by(products, a, b, d_x, read_only_span(d_out, 0, 0), False)


@inlined_kernel
def linear_backward_parameters(d_out, x, is_column_major, accumulate, d_weight, d_bias, products):
    """d_weight = d_outᵀ x,  d_bias = the sum of d_out over the samples,  or += where it adds.

    These are the gradients (the article's δw). Where d_out is -rate times the derivatives, and they are added to the
    weight and bias themselves, they are the update (ŵ).

    d_out : (n_samples, n_out)     x : (n_samples, n_in)          accumulate : bool
    is_column_major : whether d_weight's memory has it column by column, as d_weightᵀ = xᵀ d_out
    d_weight : (n_out, n_in), modified in place, not read unless it adds
    d_bias : (n_out,), the same, or (0,) for a layer without bias          products : Products
    """
    n_samples, n_out = d_out.shape
    m, n = n_out, x.shape[1]
    a, b, none = read_only_vector(d_out), read_only_vector(x), read_only_span(d_out, 0, 0)
    is_few = _has_few(products, n_out)
    transposes = products.transpose != 0 and not is_column_major and not is_few and n_out >= FAR_APART
    if transposes:
        rest = (0, n_out), products.pool, products.panel
        call_transpose(products.transpose, (a, n_samples, n_out, products.transposed, accumulate, d_bias, *rest))
    elif d_bias.size:
        # The sum of all rows, each times the same one.
        sums = matrix(d_bias, 0, 1, n_out)
        call_gemm_small(products.gemm_small, (products.one, (0, 0), a, n_samples, accumulate, sums))
    if is_column_major:
        a, b, m, n = b, a, n, m
    result = matrix(d_weight, 0, m, n)
    if n_samples == 1 and products.ger != 0:
        call_ger(products.ger, (a, b, accumulate, result))
    elif is_few:
        call_gemm_small(products.gemm_small, (a, (1, m), b, n_samples, accumulate, result))
    else:
        source, row, column = a, 1, m
        if transposes:
            source, row, column = read_only_vector(products.transposed), products.transposed.shape[1], 1
        left, right = read_only_strided(source, m, n_samples, row, column), read_only_strided(b, n_samples, n, n, 1)
        _gemm_by(products, left, right, result, none, accumulate)
