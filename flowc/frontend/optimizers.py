"""TensorFlow 1's optimizers, formula by formula (those of its `training_ops.cc` kernels).

    train = tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True).minimize(loss)

In the formulas below g is the gradient, t counts steps from 1, and all operations are elementwise. Slots are variables named as
TensorFlow names them: `W/Adam` and `W/Adam_1` hold m and v of `W`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc.frontend.array_ops import where, zeros_like
from flowc.frontend.math import abs as absolute
from flowc.frontend.math import greater, rsqrt, sign, sqrt, square
from flowc.frontend.optimizer import Optimizer, in_dtype
from flowc.frontend.scope import Graph
from flowc.frontend.tensor import Tensor
from flowc.frontend.variable import Variable

__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "FtrlOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "Optimizer",
    "RMSPropOptimizer",
]


class GradientDescentOptimizer(Optimizer):
    """Gradient descent: `var -= learning_rate * g`."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        super().__init__(name, {"learning_rate": learning_rate})

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        return [v.assign_sub(gradient * self._setting("learning_rate", v), name="ApplyGradientDescent")]


class MomentumOptimizer(Optimizer):
    """Momentum (Sutskever et al. 2013; kernel ApplyMomentum):

    `accum = momentum * accum + g`, then `var -= learning_rate * accum`,
    or with `use_nesterov` `var -= learning_rate * g + learning_rate * momentum * accum`. Slot `momentum`, zeros.
    """

    def __init__(self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum", use_nesterov: bool = False) -> None:
        super().__init__(name, {"learning_rate": learning_rate, "momentum": momentum})
        self._use_nesterov = use_nesterov

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        for v in variables:
            self._slot(v, "momentum")

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        rate, momentum = self._setting("learning_rate", v), self._setting("momentum", v)
        slot = self._slot(v, "momentum")
        accum = slot * momentum + gradient
        step = gradient * rate + accum * momentum * rate if self._use_nesterov else accum * rate
        return [slot.assign(accum), v.assign_sub(step, name="ApplyMomentum")]


class AdagradOptimizer(Optimizer):
    """Adagrad (Duchi et al. 2011; kernel ApplyAdagrad): `accum += g * g`, `var -= learning_rate * g * rsqrt(accum)`.

    Slot `accumulator`, filled with `initial_accumulator_value`.
    """

    def __init__(self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False, name: str = "Adagrad") -> None:
        if initial_accumulator_value <= 0.0:
            raise ValueError(f"initial_accumulator_value must be positive: {initial_accumulator_value}")
        super().__init__(name, {"learning_rate": learning_rate})
        self._initial = initial_accumulator_value

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        for v in variables:
            self._slot(v, "accumulator", self._initial)

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        slot = self._slot(v, "accumulator")
        accum = slot + square(gradient)
        step = gradient * self._setting("learning_rate", v) * rsqrt(accum)
        return [slot.assign(accum), v.assign_sub(step, name="ApplyAdagrad")]


class AdadeltaOptimizer(Optimizer):
    """Adadelta (Zeiler 2012; kernel ApplyAdadelta):

    `accum = rho * accum + (1 - rho) * g * g`, `update = sqrt(accum_update + epsilon) * rsqrt(accum + epsilon) * g`,
    `accum_update = rho * accum_update + (1 - rho) * update * update`, `var -= learning_rate * update`. Slots zeros.
    """

    def __init__(
        self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-8, use_locking: bool = False, name: str = "Adadelta"
    ) -> None:
        super().__init__(name, {"lr": learning_rate, "rho": rho, "epsilon": epsilon})

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        for v in variables:
            self._slot(v, "accum")
            self._slot(v, "accum_update")

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        rate, rho, epsilon = (self._setting(key, v) for key in ("lr", "rho", "epsilon"))
        slot, slot_update = self._slot(v, "accum"), self._slot(v, "accum_update")
        accum = slot * rho + square(gradient) * (1.0 - rho)
        update = sqrt(slot_update + epsilon) * rsqrt(accum + epsilon) * gradient
        accum_update = slot_update * rho + square(update) * (1.0 - rho)
        return [slot.assign(accum), slot_update.assign(accum_update), v.assign_sub(update * rate, name="ApplyAdadelta")]


class RMSPropOptimizer(Optimizer):
    """RMSProp (Tieleman and Hinton 2012; kernels ApplyRMSProp and ApplyCenteredRMSProp), epsilon inside the root:

    `rms += (1 - decay) * (g * g - rms)`, `mom = momentum * mom + learning_rate * g * rsqrt(rms + epsilon)`, `var -= mom`.
    centered: also `mg += (1 - decay) * (g - mg)`, and `rms - mg * mg + epsilon` under the root.
    Slots: `rms` ones, `mg` (centered only) and `momentum` zeros.
    """

    def __init__(
        self,
        learning_rate: Any,
        decay: Any = 0.9,
        momentum: Any = 0.0,
        epsilon: Any = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(name, {"learning_rate": learning_rate, "decay": decay, "momentum": momentum, "epsilon": epsilon})
        self._centered = centered

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        for v in variables:
            self._slot(v, "rms", 1.0)
            if self._centered:
                self._slot(v, "mg")
            self._slot(v, "momentum")

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        rate, decay, momentum, epsilon = (self._setting(key, v) for key in ("learning_rate", "decay", "momentum", "epsilon"))
        slot, slot_mom = self._slot(v, "rms"), self._slot(v, "momentum")
        rms = slot + (square(gradient) - slot) * (1.0 - decay)
        updates = [slot.assign(rms)]
        under_root = rms + epsilon
        if self._centered:
            slot_mean = self._slot(v, "mg")
            mean = slot_mean + (gradient - slot_mean) * (1.0 - decay)
            updates.append(slot_mean.assign(mean))
            under_root = rms - square(mean) + epsilon
        mom = slot_mom * momentum + gradient * rate * rsqrt(under_root)
        title = "ApplyCenteredRMSProp" if self._centered else "ApplyRMSProp"
        return [*updates, slot_mom.assign(mom), v.assign_sub(mom, name=title)]


class AdamOptimizer(Optimizer):
    """Adam (Kingma and Ba 2014, the form before section 2.1 with "epsilon hat"; kernel ApplyAdam):

    `lr_t = learning_rate * sqrt(1 - beta2^t) / (1 - beta1^t)`, `m += (1 - beta1) * (g - m)`, `v += (1 - beta2) * (g * g - v)`,
    `var -= lr_t * m / (sqrt(v) + epsilon)`. Slots `m` and `v`, zeros; beta1^t and beta2^t are the variables
    `beta1_power` and `beta2_power`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 1e-8,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(name, {"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon})
        self._powers: dict[Graph, tuple[Variable, Variable]] = {}

    def variables(self) -> list[Variable]:
        """The powers of beta1 and beta2, then the slots."""
        return [power for pair in self._powers.values() for power in pair] + super().variables()

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        if graph not in self._powers:
            one, two = (
                Variable(self._settings[key], trainable=False, name=f"{key}_power", dtype=variables[0].dtype) for key in ("beta1", "beta2")
            )
            self._powers[graph] = (one, two)
        for v in variables:
            self._slot(v, "m")
            self._slot(v, "v")

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        rate, beta1, beta2, epsilon = (self._setting(key, v) for key in ("learning_rate", "beta1", "beta2", "epsilon"))
        power1, power2 = (in_dtype(power, v.dtype) for power in self._powers[v.graph])
        slot_m, slot_v = self._slot(v, "m"), self._slot(v, "v")
        rate_now = rate * sqrt(1.0 - power2) / (1.0 - power1)
        m = slot_m + (gradient - slot_m) * (1.0 - beta1)
        second = slot_v + (square(gradient) - slot_v) * (1.0 - beta2)
        step = m * rate_now / (sqrt(second) + epsilon)
        return [slot_m.assign(m), slot_v.assign(second), v.assign_sub(step, name="ApplyAdam")]

    def _finish(self, graph: Graph) -> list[Any]:
        power1, power2 = self._powers[graph]
        return [power1.assign(power1 * self._setting("beta1", power1)), power2.assign(power2 * self._setting("beta2", power2))]


class FtrlOptimizer(Optimizer):
    """FTRL-Proximal (McMahan et al. 2013; kernel ApplyFtrl), with p = -learning_rate_power:

    `accum' = accum + g * g`, `linear += g - (accum'^p - accum^p) / learning_rate * var`,
    `var = (l1 * sign(linear) - linear) / (accum'^p / learning_rate + 2 * l2)` where `|linear| > l1`, else 0; `accum = accum'`.
    Slots: `accum` filled with `initial_accumulator_value`, `linear` zeros.
    """

    def __init__(
        self,
        learning_rate: Any,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: Any = 0.0,
        l2_regularization_strength: Any = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl",
    ) -> None:
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power must not be positive: {learning_rate_power}")
        if initial_accumulator_value < 0.0:
            raise ValueError(f"initial_accumulator_value must not be negative: {initial_accumulator_value}")
        settings = {"learning_rate": learning_rate, "l1": l1_regularization_strength, "l2": l2_regularization_strength}
        super().__init__(name, {**settings, "power": -learning_rate_power})
        self._power = -learning_rate_power
        self._initial = initial_accumulator_value

    def _create(self, graph: Graph, variables: Sequence[Any]) -> None:
        for v in variables:
            self._slot(v, "accum", self._initial)
            self._slot(v, "linear")

    def _apply(self, gradient: Tensor, v: Any) -> list[Any]:
        rate, l1, l2 = (self._setting(key, v) for key in ("learning_rate", "l1", "l2"))
        slot, slot_linear = self._slot(v, "accum"), self._slot(v, "linear")
        accum = slot + square(gradient)
        raised, raised_before = self._raised(accum, v), self._raised(slot, v)
        linear = slot_linear + gradient - (raised - raised_before) / rate * v
        value = (l1 * sign(linear) - linear) / (raised / rate + 2.0 * l2)
        value = where(greater(absolute(linear), l1), value, zeros_like(value))
        return [slot.assign(accum), slot_linear.assign(linear), v.assign(value, name="ApplyFtrl")]

    def _raised(self, x: Any, v: Any) -> Tensor:
        return sqrt(x) if self._power == 0.5 else x ** self._setting("power", v)
