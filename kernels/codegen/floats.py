"""Operations on floats, numbers or SIMD vectors, each rounded as written: what elementary functions are made of.

A function of them is compiled by `exact_inlined_kernel`, and gives an element of a vector the same bits as a number.
For that, it adds no product except by `fma`: LLVM may fuse others in vectors.

    constant(x, 1.5)                     a number in x's place
    polynomial(x, SINGLE, DOUBLE)        c0 + c1 x + c2 x² + ..., with the coefficients for x's dtype
    select_less(a, b, yes, no)           yes where a < b, else, and where either is NaN, no
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .llvm import (
    INDEX,
    address_of,
    broadcast_in,
    call,
    first_elements,
    load_first,
    permuted,
    require_vector_inside,
    store_first,
    suffix,
)
from .processor import fuses
from .simd import SIMDVector

# A product that is fused into no sum, and a sum into which none is: "arcp" means nothing to either, and Numba gives
# the caller's flags only to what has none.
_AS_WRITTEN = ("arcp",)

# The bits of the fraction, the exponent's bias, and of √½ the bits.
_FORMATS = {32: (23, 127, 0x3F3504F3), 64: (52, 1023, 0x3FE6A09E667F3BCD)}


def _dtype_of(kind):
    return kind.dtype if isinstance(kind, SIMDVector) else kind


def _filled(kind, scalar):
    """A constant of an LLVM type, a number's or a vector's."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [scalar] * kind.count)
    return ir.Constant(kind, scalar)


def _rounded(builder, number, kind):
    """A constant of float64 in every element of an LLVM type."""
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    if element != number.type:
        number = builder.fptrunc(number, element)
    return broadcast_in(builder, number, kind.count) if isinstance(kind, ir.VectorType) else number


def _integer_like(kind):
    """The LLVM type of the bits of floats."""
    if isinstance(kind, ir.VectorType):
        return ir.VectorType(_integer_like(kind.element), kind.count)
    return ir.IntType(32 if isinstance(kind, ir.FloatType) else 64)


def _plus_product(builder, a, b, c):
    """a b + c, rounded once where the processor does."""
    if fuses():
        return call(builder, f"llvm.fma.{suffix(a.type)}", a.type, a, b, c)
    return builder.fadd(builder.fmul(a, b, flags=_AS_WRITTEN), c, flags=_AS_WRITTEN)


@intrinsic
def constant(typing_context, x, number):
    """A number, float64, rounded to x's dtype, in every element of x's type."""

    def code(context, builder, signature, arguments):
        return _rounded(builder, arguments[1], arguments[0].type)

    return x(x, types.float64), code


@intrinsic
def constant_of(typing_context, x, single, double):
    """The first number where x is float32, else the second, in every element of x's type."""
    place = 1 if _dtype_of(x) == types.float32 else 2

    def code(context, builder, signature, arguments):
        return _rounded(builder, arguments[place], arguments[0].type)

    return x(x, types.float64, types.float64), code


@intrinsic
def fma(typing_context, a, b, c):
    """a b + c."""
    if not a == b == c:
        return None
    return a(a, a, a), lambda context, builder, signature, arguments: _plus_product(builder, *arguments)


@intrinsic
def polynomial(typing_context, x, single, double):
    """c0 + c1 x + c2 x² + ...; the tuple of coefficients is the first where x is float32, else the second.

    Pairs of terms are added first (Estrin's scheme): a number waits for the logarithm of their count.
    """
    place = 1 if _dtype_of(x) == types.float32 else 2
    count = (single, double)[place - 1].count

    def code(context, builder, signature, arguments):
        power = arguments[0]
        terms = [_rounded(builder, builder.extract_value(arguments[place], i), power.type) for i in range(count)]
        while len(terms) > 1:
            evens, odds = terms[::2], terms[1::2]
            pairs = [_plus_product(builder, power, odd, even) for even, odd in zip(evens, odds, strict=False)]
            terms = pairs + evens[len(odds) :]
            power = builder.fmul(power, power, flags=_AS_WRITTEN)
        return terms[0]

    return x(x, single, double), code


@intrinsic
def select_less(typing_context, a, b, yes, no):
    """yes where a < b, else no, and no where a or b is NaN."""
    if not a == b == yes == no:
        return None

    def code(context, builder, signature, arguments):
        a, b, yes, no = arguments
        return builder.select(builder.fcmp_ordered("<", a, b, flags=_AS_WRITTEN), yes, no)

    return a(a, a, a, a), code


@intrinsic
def select_not_less(typing_context, a, b, yes, no):
    """yes where a >= b or either is NaN, else no.

    Not `select_less` with the last two exchanged: of that, stored where `no` was loaded, LLVM makes a store under a
    mask.
    """
    if not a == b == yes == no:
        return None

    def code(context, builder, signature, arguments):
        a, b, yes, no = arguments
        return builder.select(builder.fcmp_unordered(">=", a, b, flags=_AS_WRITTEN), yes, no)

    return a(a, a, a, a), code


@intrinsic
def store_not_less(typing_context, mask, begin, n, a, b):
    """mask[begin + i] = not a_i < b_i, for the first n elements.

    mask : C-contiguous, bool
    """
    if a != b:
        return None

    def code(context, builder, signature, arguments):
        a, b = arguments[3:]
        require_vector_inside(context, builder, mask, arguments, a.type.count)
        address, byte = address_of(context, builder, mask, *arguments[:2])
        flags = builder.zext(builder.fcmp_unordered(">=", a, b), ir.VectorType(byte, a.type.count))
        store_first(builder, flags, address, arguments[2])
        return context.get_dummy_value()

    return types.void(mask, types.intp, types.intp, a, b), code


@intrinsic
def keep_where(typing_context, values, mask, begin, n):
    """values_i where mask[begin + i] is set, else zero, for the first n elements; for others, zero.

    mask : C-contiguous, bool
    """

    def code(context, builder, signature, arguments):
        values, *place, n = arguments
        require_vector_inside(context, builder, mask, arguments[1:], values.type.count)
        address, byte = address_of(context, builder, mask, *place)
        (flags,) = load_first(builder, [address], ir.VectorType(byte, values.type.count), n)
        # By its bits: of a choice between zero and what was loaded from where it goes, LLVM makes a store under a mask.
        bits = _integer_like(values.type)
        kept = builder.and_(builder.bitcast(values, bits), builder.neg(builder.zext(flags, bits)))
        return builder.bitcast(kept, values.type)

    return values(values, mask, types.intp, types.intp), code


@intrinsic
def with_sign_of(typing_context, x, sign):
    """|x| with the sign of another number."""

    def code(context, builder, signature, arguments):
        return call(builder, f"llvm.copysign.{suffix(arguments[0].type)}", arguments[0].type, *arguments)

    return x(x, x), code


@intrinsic
def nearest_integer(typing_context, x, scale):
    """The integer n nearest to scale · x, below 2^21 in size, and 2^⌊n/2⌋ and 2^(n-⌊n/2⌋), for n of normal powers.

    Two factors, as 2^n itself may overflow, or be subnormal.
    """
    n_bits, bias, _ = _FORMATS[_dtype_of(x).bitwidth]

    def code(context, builder, signature, arguments):
        x, scale = arguments
        bits = _integer_like(x.type)
        # Beside 1.5 · 2^n_bits there is no room for fractions, and the last bits are the integer.
        large = _filled(x.type, 1.5 * 2.0**n_bits)
        sum_ = _plus_product(builder, x, scale, large)
        n = builder.fsub(sum_, large, flags=_AS_WRITTEN)
        large_bits = (bias + n_bits << n_bits) + (1 << n_bits - 1)
        biased = builder.sub(builder.bitcast(sum_, bits), _filled(bits, large_bits - 2 * bias))
        first = builder.lshr(biased, _filled(bits, 1))
        factors = [
            builder.bitcast(builder.shl(exponent, _filled(bits, n_bits)), x.type)
            for exponent in (first, builder.sub(biased, first))
        ]
        return context.make_tuple(builder, signature.return_type, [n, *factors])

    return types.UniTuple(x, 3)(x, x), code


@intrinsic
def split_exponent(typing_context, x):
    """m, k and 2^-k with x = m 2^k and √½ <= m < √2, for normal numbers; 2^-k only where k is below the bias."""
    n_bits, bias, root_half = _FORMATS[_dtype_of(x).bitwidth]

    def code(context, builder, signature, arguments):
        x = arguments[0]
        bits = _integer_like(x.type)
        shift = _filled(bits, n_bits)
        word = builder.bitcast(x, bits)
        biased = builder.lshr(builder.add(word, _filled(bits, (bias << n_bits) - root_half)), shift)
        exponent = builder.shl(builder.sub(biased, _filled(bits, bias)), shift)
        m = builder.bitcast(builder.sub(word, exponent), x.type)
        inverse = builder.bitcast(builder.sub(_filled(bits, bias << n_bits), exponent), x.type)
        # As in `nearest_integer`: few processors convert vectors of integers of 64 bits.
        large = builder.bitcast(builder.or_(biased, _filled(bits, bias + n_bits << n_bits)), x.type)
        k = builder.fsub(large, _filled(x.type, 2.0**n_bits + bias), flags=_AS_WRITTEN)
        return context.make_tuple(builder, signature.return_type, [m, k, inverse])

    return types.UniTuple(x, 3)(x), code


@intrinsic
def keep_first(typing_context, vector, n, others):
    """The first n elements of a vector, and others' beyond; below one, n stands for none."""
    if vector != others:
        return None

    def code(context, builder, signature, arguments):
        values, n, others = arguments
        return builder.select(first_elements(builder, n, values.type.count), values, others)

    return vector(vector, types.intp, vector), code


@intrinsic
def horizontal_max(typing_context, vector):
    """The largest of a vector's elements, of which none may be NaN."""

    def code(context, builder, signature, arguments):
        # In halves: LLVM's own reduction goes element by element, as it has to look out for NaN.
        (values,) = arguments
        count = vector.count
        while count > 1:
            count //= 2
            low, high = (permuted(builder, values, values, range(k, k + count)) for k in (0, count))
            values = builder.select(builder.fcmp_ordered("<", low, high, flags=_AS_WRITTEN), high, low)
        return builder.extract_element(values, ir.Constant(INDEX, 0))

    return vector.dtype(vector), code
