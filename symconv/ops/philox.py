"""Philox4x32-10 and what is made of its words, in NumPy: every backend equals this bit for bit.

Philox (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, 2011) maps a
counter of four 32-bit words and a key of two to four random words, with no state. Here

    key     = (seed low, seed high)
    counter = (block, stream, draw low, draw high)

seed: of the RandomStream. stream: the running number of the draw in the program text. draw: the
RandomStream's shared counter, one more in every call of a function that draws. block: position
in the output, elements being numbered in C order:

    32-bit draws   element i is word i % 4 of block i // 4
    dropout        element i is half i % 2 (low, high) of word i // 2 % 4 of block i // 8
    64-bit draws   element i is words 2 * (i % 2) (low half) and 2 * (i % 2) + 1 of block i // 2

    float32 uniform   (word >> 8) * 2^-24           float64 uniform   (64-bit word >> 11) * 2^-53
    dropout           kept where the half-word >= round(p * 2^16), in either dtype
    normal            Box-Muller on elements (2 j, 2 j + 1), see `normal_pairs`
    integer           low + the high half of the 128-bit product (64-bit word) * (high - low)
    permutation       indices sorted by 64-bit words, equal words by index

So a value depends on (seed, stream, draw, element) alone: not on the device, the threads, the
order of execution, or the size of the output.
"""

from __future__ import annotations

import math

import numpy as np

MAX_ELEMENTS = 2**33  # of one draw: the block number has 32 bits
_MASK = np.uint64(0xFFFFFFFF)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_HALF = np.uint64(32)


def is_seed(seed: object) -> bool:
    """Whether it is an integer from 0 to 2^64 - 1."""
    return isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= int(seed) < 2**64


def philox(counter: tuple[np.ndarray, ...], key: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Ten rounds of Philox4x32 on arrays of counter words; uint32 in uint64 arrays, in and out."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        a, b = c0 * _M0, c2 * _M1
        c0, c2 = (b >> _HALF) ^ c1 ^ np.uint64(k0), (a >> _HALF) ^ c3 ^ np.uint64(k1)
        c1, c3 = b & _MASK, a & _MASK
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return c0, c1, c2, c3


def words32(seed: int, stream: int, draw: int, n: int) -> np.ndarray:
    """The 32-bit words of elements 0 to n - 1, as uint32."""
    block = np.arange((n + 3) // 4, dtype=np.uint64)

    def word(value: int) -> np.ndarray:
        return np.full_like(block, value & 0xFFFFFFFF)

    counter = (block, word(stream), word(draw), word(draw >> 32))
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    return np.stack(words, axis=1).reshape(-1)[:n].astype(np.uint32)


def words64(seed: int, stream: int, draw: int, n: int) -> np.ndarray:
    """The 64-bit words of elements 0 to n - 1, as uint64."""
    pairs = words32(seed, stream, draw, 2 * n).reshape(n, 2).astype(np.uint64)
    return pairs[:, 0] | pairs[:, 1] << _HALF


def halves(seed: int, stream: int, draw: int, n: int) -> np.ndarray:
    """The 16-bit halves of elements 0 to n - 1, as uint32: enough for a mask, and half the work."""
    words = words32(seed, stream, draw, (n + 1) // 2)
    return np.stack([words & np.uint32(0xFFFF), words >> np.uint32(16)], axis=1).reshape(-1)[:n]


def uniform(seed: int, stream: int, draw: int, n: int, dtype: str) -> np.ndarray:
    """n numbers of the float dtype from [0, 1), multiples of 2^-24 or 2^-53."""
    if dtype == "float32":
        return (words32(seed, stream, draw, n) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return (words64(seed, stream, draw, n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(seed: int, stream: int, draw: int, n: int, low: int, high: int) -> np.ndarray:
    """n int64 from [low, high); the bias is at most (high - low) * 2^-64."""
    word, span = words64(seed, stream, draw, n), np.uint64(high - low)
    a1, a0, b1, b0 = word >> _HALF, word & _MASK, span >> _HALF, span & _MASK
    middle = a1 * b0 + (a0 * b0 >> _HALF)
    carry = (middle & _MASK) + a0 * b1
    product = a1 * b1 + (middle >> _HALF) + (carry >> _HALF)
    return (product + np.uint64(low & 0xFFFFFFFFFFFFFFFF)).astype(np.int64)  # modulo 2^64: right for low < 0


# ---- the normal distribution. Every line is one rounding of one IEEE operation in the dtype; the
# ---- C++ and CUDA kernels do the same operations in the same order, without fused multiply-add.

# dtype: bits of a uniform, terms of atanh(s) / s, sin(a) / a and cos(a), to half a unit in the last place
_TERMS = {"float32": (24, 6, 5, 6), "float64": (53, 12, 9, 10)}


def _polynomial(x: np.ndarray, coefficients: list[float]) -> np.ndarray:
    """c0 + x (c1 + x (c2 + ...))."""
    y = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        y = y * x + x.dtype.type(c)
    return y


def _minus_log(u: np.ndarray) -> np.ndarray:
    """-log u for u in (0, 1]: u = 2^e m, m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m - 1) / (m + 1))."""
    real = u.dtype.type
    m, e = np.frexp(u)
    small = m < real(math.sqrt(0.5))
    m = np.where(small, m + m, m)
    e = (e - small).astype(u.dtype)
    s = (m - real(1)) / (m + real(1))
    terms = _TERMS[u.dtype.name][1]
    series = _polynomial(s * s, [2 / (2 * k + 1) for k in range(terms)])
    return -(e * real(math.log(2)) + s * series)


def sin_cos(turns: np.ndarray, bits: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of 2 pi turns / 2^bits: the nearest quarter q, and an angle within pi / 4 of it."""
    quarter = np.int64(1) << np.int64(bits - 2)
    q = (turns + (quarter >> np.int64(1))) >> np.int64(bits - 2)
    real = np.dtype(dtype).type
    a = (turns - q * quarter).astype(dtype) * real(2.0 ** (2 - bits) * (math.pi / 2))
    square = a * a
    _, _, sines, cosines = _TERMS[dtype]
    sin = a * _polynomial(square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(sines)])
    cos = _polynomial(square, [(-1) ** k / math.factorial(2 * k) for k in range(cosines)])
    odd = (q & 1) == 1
    sin, cos = np.where(odd, cos, sin), np.where(odd, sin, cos)
    return np.where((q & 2) != 0, -sin, sin), np.where(((q + 1) & 2) != 0, -cos, cos)


def normal_pairs(seed: int, stream: int, draw: int, n: int, dtype: str) -> np.ndarray:
    """n standard normals: elements 2 j and 2 j + 1 are r cos(2 pi v) and r sin(2 pi v), r = sqrt(-2 log u).

    u = (a + 1) / 2^bits, v = b / 2^bits, where a and b are the upper `bits` (24 or 53) bits of the
    words that belong to elements 2 j and 2 j + 1.
    """
    pairs = (n + 1) // 2
    if dtype == "float32":
        raw = (words32(seed, stream, draw, 2 * pairs) >> np.uint32(8)).astype(np.int64)
    else:
        raw = (words64(seed, stream, draw, 2 * pairs) >> np.uint64(11)).astype(np.int64)
    bits = _TERMS[dtype][0]
    a, b = raw[0::2], raw[1::2]
    real = np.dtype(dtype).type
    u = (a + 1).astype(dtype) * real(2.0**-bits)
    radius = np.sqrt(real(2) * _minus_log(u))
    sin, cos = sin_cos(b, bits, dtype)
    return np.stack([radius * cos, radius * sin], axis=1).reshape(-1)[:n]
