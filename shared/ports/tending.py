"""The truth's part in what operators look at and set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID


class Tending(Protocol):
    """Part of `Transaction`."""

    def paces(self) -> Sequence[Mapping[str, Any]]:
        """Each provider's learnt rate, what blocks it and its failures in a row."""

    def forget_pace(self, provider: str) -> bool:
        """Lets the provider begin afresh; False when nothing had been learnt."""

    def waiting_for_turns(self) -> Sequence[Mapping[str, Any]]:
        """By lane and account, how many jobs wait and since when."""

    def rows_set_back(self) -> Sequence[Mapping[str, Any]]:
        """Rows that the sweep leaves alone, and until when."""

    def take_back(self, row_id: str) -> bool:
        """Has the next sweep take the row; False when it is not left alone."""

    def account_settings(self, account_id: UUID) -> Mapping[str, int] | None:
        """The account's settings; None when there is no such account."""

    def set_account(self, account_id: UUID, name: str, value: int | None) -> None:
        """Sets one limit of an account that there is, or goes back to the product's own."""
