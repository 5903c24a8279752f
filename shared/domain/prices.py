"""What a call costs by its model's pricing unit: the estimate before it, the actual after. Exact decimals, USD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

# second: of media, as asked for or as the provider counted it; computeSecond: of the provider's predict_time.
PRICING_UNITS = ("run", "second", "computeSecond", "image", "token")
# What a chat template and a default system prompt add to the caller's text, in tokens.
TEMPLATE_TOKENS = 64
MICRO_USD = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Used:
    """What the provider says a call used; None where it says nothing."""

    predict_seconds: float | None = None
    images: int | None = None
    media_seconds: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one unit. `expected_seconds` is how long a call usually runs.

    `stopped_second_usd` is what each second costs that a cancelled call had run; without it such a call counts
    in full where the unit is not the provider's time.
    """

    unit_usd: Decimal
    unit: str
    expected_seconds: Decimal
    stopped_second_usd: Decimal | None = None

    @classmethod
    def of(cls, kept: Mapping[str, str]) -> Price:
        """The price that an attempt's row keeps: a later change of the registry changes nothing."""
        stopped = kept.get("stoppedSecondUsd")
        return cls(
            Decimal(kept["unitUsd"]),
            kept["unit"],
            Decimal(kept["expectedSeconds"]),
            None if stopped is None else Decimal(stopped),
        )

    def kept(self) -> dict[str, str]:
        """For an attempt's row."""
        row = {"unitUsd": str(self.unit_usd), "unit": self.unit, "expectedSeconds": str(self.expected_seconds)}
        return row if self.stopped_second_usd is None else {**row, "stoppedSecondUsd": str(self.stopped_second_usd)}

    def estimate_usd(self, parameters: Mapping[str, Any]) -> Decimal:
        """What a call with these parameters costs at most; of computeSecond, what it usually costs."""
        units: Mapping[str, Any] = {
            "run": 1,
            "second": parameters.get("duration", 1),
            "computeSecond": self.expected_seconds,
            "image": parameters.get("num_outputs", 1),
            "token": parameters.get("max_tokens", 1) + TEMPLATE_TOKENS + _text_bytes(parameters),
        }
        return _times(self.unit_usd, units[self.unit])

    def actual_usd(self, parameters: Mapping[str, Any], used: Used) -> Decimal:
        """The cost of a call that succeeded; the estimate where the provider reports no use, or a use of zero."""
        units: Mapping[str, Any] = {
            "second": used.media_seconds,
            "computeSecond": used.predict_seconds,
            "image": used.images,
            "token": used.tokens,
        }
        reported = units.get(self.unit)
        return _times(self.unit_usd, reported) if reported else self.estimate_usd(parameters)

    def stopped_usd(self, parameters: Mapping[str, Any], used: Used) -> Decimal:
        """What a cancelled call has cost, which is nothing before it ran."""
        if not used.predict_seconds:
            return Decimal(0)
        second_usd = self.unit_usd if self.unit == "computeSecond" else self.stopped_second_usd
        return self.estimate_usd(parameters) if second_usd is None else _times(second_usd, used.predict_seconds)


@dataclass(frozen=True, slots=True)
class PricedBy:
    """USD for one unit where it depends on a parameter; a value that is not listed costs the model's price."""

    parameter: str
    unit_usd: Mapping[str, Decimal]

    def usd(self, parameters: Mapping[str, Any]) -> Decimal | None:
        return self.unit_usd.get(str(parameters.get(self.parameter)))


@dataclass(frozen=True, slots=True)
class PricedUpTo:
    """Parameter values up to which a model's price holds; above each of them it grows in proportion."""

    values: Mapping[str, Decimal]

    def scaled(self, price: Price, parameters: Mapping[str, Any]) -> Price:
        """The price of a call with these parameters: of its unit, or of a call's usual time for computeSecond."""
        unit_usd, seconds = price.unit_usd, price.expected_seconds
        for name, covered in self.values.items():
            value = max(Decimal(str(parameters.get(name, covered))), covered)
            unit_usd, seconds = unit_usd * value / covered, seconds * value / covered
        if price.unit == "computeSecond":
            return replace(price, expected_seconds=seconds)
        return replace(price, unit_usd=unit_usd)


def _text_bytes(parameters: Mapping[str, Any]) -> int:
    """Bytes of every text parameter: an upper bound of its tokens, as a token is at least one byte."""
    return sum(len(value.encode()) for value in parameters.values() if isinstance(value, str))


def _times(unit_usd: Decimal, units: Any) -> Decimal:
    """Rounded up to a micro-dollar, so that a price above zero never costs zero."""
    # By its digits: 0.1 of a JSON number is a tenth, not the binary fraction next to it.
    return (unit_usd * Decimal(str(units))).quantize(MICRO_USD, ROUND_CEILING)
