"""Exponential and logarithm without branches or calls, so that a loop over them becomes vector code on any machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .compiling import ROUNDING, inner

__all__ = ["exponential", "logarithm"]

# exp: x = k log 2 + f with |f| <= log(2) / 2, and exp f = 1 + f + f^2 (E0 + E1 f + ...) interpolated at Chebyshev points,
# relative error 2e-17. Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits of the sum.
_ROUND = 6755399441055744.0
_LOG2_E = 1.4426950408889634
_LOG_2, _LOG_2_REST = 0.6931471805599453, 2.3190468138462996e-17
_E0, _E1, _E2, _E3, _E4 = (
    0.5000000000000001,
    0.16666666666666669,
    0.04166666666662413,
    0.008333333333330062,
    0.0013888888917213717,
)
_E5, _E6, _E7, _E8, _E9 = (
    0.00019841269863053618,
    2.4801521295954376e-05,
    2.7557268459997064e-06,
    2.7620088445409746e-07,
    2.510038549551032e-08,
)
_UNDERFLOW = -708.0

# log: x = 2^k m with m in [1 / sqrt 2, sqrt 2), log m = 2 atanh s with s = (m - 1) / (m + 1), and
# atanh s = s + s^3 (L0 + L1 s^2 + ...) interpolated at Chebyshev points, error 1e-17.
_L0, _L1, _L2, _L3 = 0.3333333333333335, 0.19999999999949722, 0.14285714313001635, 0.11111105565129939
_L4, _L5, _L6 = 0.09091444727837474, 0.07665855309105386, 0.07308292712444311
_SHIFT = np.uint64(52)
_HALF_ROOT = np.uint64(0x3FE6A09E667F3BCD)  # bits of 1 / sqrt 2
_OFFSET = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
_MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
_TWO_52 = np.uint64(0x4330000000000000)  # bits of 2^52
_BIASED = 4503599627371519.0  # 2^52 + 1023


@intrinsic
def _bits_of(typing_context: Any, x: Any) -> Any:
    """The bits of a float as an unsigned integer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def _float_of(typing_context: Any, x: Any) -> Any:
    """The float that has these bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@inner(ROUNDING)
def exponential(x):
    """exp(x) for x <= 709, to 2.3e-16 relative; 0 below -708, where NumPy's results become subnormal. NaN stays NaN."""
    z = x * _LOG2_E + _ROUND
    k = z - _ROUND
    f = (x - k * _LOG_2) - k * _LOG_2_REST
    f2 = f * f
    even = _E0 + f2 * (_E2 + f2 * (_E4 + f2 * (_E6 + f2 * _E8)))
    odd = _E1 + f2 * (_E3 + f2 * (_E5 + f2 * (_E7 + f2 * _E9)))
    p = 1.0 + (f + f2 * (even + f * odd))
    value = _float_of(_bits_of(p) + (_bits_of(z) << _SHIFT))
    return 0.0 if x < _UNDERFLOW else value


@inner(ROUNDING)
def logarithm(x):
    """log(x) for normal x > 0, to 3.4e-16 relative; -inf at 0, infinity and NaN as they are."""
    bits = _bits_of(x) + _OFFSET
    k = _float_of((bits >> _SHIFT) | _TWO_52) - _BIASED
    f = _float_of((bits & _MANTISSA) + _HALF_ROOT) - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = _L0 + z * (_L1 + z * (_L2 + z * (_L3 + z * (_L4 + z * (_L5 + z * _L6)))))
    value = k * _LOG_2 + (2.0 * s + (2.0 * s * z * series + k * _LOG_2_REST))
    value = value if x < np.inf else x
    return -np.inf if x <= 0.0 else value
