"""What a call costs by its model's pricing unit: the estimate before it, the actual after. Exact decimals, USD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# second: of media that was asked for; computeSecond: of the provider's predict_time.
PRICING_UNITS = ("run", "second", "computeSecond", "image", "token")
CHARACTERS_PER_TOKEN = 3
MICRO_USD = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Used:
    """What the provider says a call used; None where it says nothing."""

    outputs: int | None = None
    predict_seconds: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one unit. `expected_seconds` is how long a call usually runs."""

    unit_usd: Decimal
    unit: str
    expected_seconds: Decimal

    @classmethod
    def of(cls, kept: Mapping[str, str]) -> Price:
        """The price that an attempt's row keeps: a later change of the registry changes nothing."""
        return cls(Decimal(kept["unitUsd"]), kept["unit"], Decimal(kept["expectedSeconds"]))

    def kept(self) -> dict[str, str]:
        """For an attempt's row."""
        return {"unitUsd": str(self.unit_usd), "unit": self.unit, "expectedSeconds": str(self.expected_seconds)}

    def estimate_usd(self, parameters: Mapping[str, Any]) -> Decimal:
        """What a call with these parameters costs at most; of computeSecond, what it usually costs."""
        units: Mapping[str, Any] = {
            "run": 1,
            "second": parameters.get("duration", 1),
            "computeSecond": self.expected_seconds,
            "image": parameters.get("num_outputs", 1),
            "token": parameters.get("max_tokens", 1) + len(str(parameters.get("prompt", ""))) // CHARACTERS_PER_TOKEN,
        }
        return self._times(units[self.unit])

    def actual_usd(self, parameters: Mapping[str, Any], used: Used) -> Decimal:
        """What a call that was billed has cost; the estimate where the provider does not say how much it used."""
        units = {"computeSecond": used.predict_seconds, "image": used.outputs, "token": used.tokens}.get(self.unit)
        return self.estimate_usd(parameters) if units is None else self._times(units)

    def _times(self, units: Any) -> Decimal:
        return (self.unit_usd * Decimal(str(units))).quantize(MICRO_USD)
