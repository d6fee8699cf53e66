"""The complementary error function, exact in its tail: 1 - erf(x) is 0 from x = 6 on, erfc(6) is 2e-17.

With t = 2 / (2 + x) for x >= 0, log(erfc(x) / t) + x^2 is smooth in t: a Chebyshev series in 2 t - 1, whose
coefficients were fitted to the logarithm of the scaled function exp(x^2) erfc(x).
"""

from __future__ import annotations

from typing import Any

from symconv.ops import elementwise as ew

SERIES = (
    -0.6513268598908547, 0.6419697923564904, 0.01947647320418597, -0.00956151478680856,
    -0.0009465953444819866, 0.00036683949785282016, 4.2523324807081146e-05, -2.027857811226407e-05,
    -1.6242900044637273e-06, 1.3036558355360873e-06, 1.562644178782963e-08, -8.523809614327547e-08,
    6.5290544237867705e-09, 5.059343626477514e-09, -9.913641286952888e-10, -2.2736494604372107e-10,
    9.646815480714909e-11, 2.3939183968479946e-12, -6.886224923619013e-12, 8.944595064619426e-13,
    3.132827330887269e-13, -1.1264461585724926e-13, 3.1086244689504416e-16, 7.005507285384743e-15,
    -1.5987211554602266e-15,
)  # fmt: skip


def erfc(x: Any) -> Any:
    """1 - erf(x) of a native float; its gradient is that of 1 - erf(x)."""
    plain = ew.sub(1.0, ew.erf(x))
    at = ew.stop_gradient(x)
    size = ew.abs(at)
    t = ew.true_div(2.0, ew.add(size, 2.0))
    s = ew.sub(ew.mul(t, 2.0), 1.0)
    double = ew.mul(s, 2.0)
    after, last = ew.mul(s, 0.0), ew.mul(s, 0.0)
    for c in reversed(SERIES[1:]):  # Clenshaw's recurrence
        after, last = last, ew.add(ew.sub(ew.mul(double, last), after), c)
    power = ew.add(ew.sub(ew.mul(s, last), after), SERIES[0])
    tail = ew.mul(t, ew.exp(ew.sub(power, ew.square(at))))
    exact = ew.where(ew.gt(at, 0.5), tail, ew.stop_gradient(plain))
    return ew.add(plain, ew.sub(exact, ew.stop_gradient(plain)))
