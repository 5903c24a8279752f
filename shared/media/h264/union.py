"""One decoder configuration for clips whose parameter sets differ: every set under an id of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.media.h264.config import MOST_PPS, MOST_SPS, AvcConfig, pps_ids
from shared.media.h264.renumber import CannotRenumber, Renumbering, longer_id, renumbered_set
from shared.media.h264.sps import LARGEST_ID, parse_sps

_LARGEST_PPS_ID = 255
Sets = tuple[tuple[tuple[int, bytes], ...], tuple[tuple[int, bytes], ...]]


def sets_of(config: AvcConfig) -> Sets:
    """What two clips must share to be of one group."""
    return tuple(sorted(config.sps.items())), tuple(sorted(config.pps.items()))


def united(configs: Sequence[AvcConfig]) -> tuple[AvcConfig, list[Renumbering]]:
    """The configuration of all, and what becomes of each one's ids; earlier ones keep theirs.

    Give one configuration a group, the group with most bytes first: it is never rewritten.
    Raises CannotRenumber where ids or places run out.
    """
    taken_sps = {one for config in configs for one in config.sps}
    taken_pps = {one for config in configs for one in config.pps}
    sps: dict[int, bytes] = {}
    pps: dict[int, bytes] = {}
    changes = [_placed(config, sps, pps, taken_sps, taken_pps) for config in configs]
    if len(sps) > MOST_SPS or len(pps) > MOST_PPS:
        raise CannotRenumber("too_many_parameter_sets")
    parsed = {one: parse_sps(unit) for one, unit in sps.items()}
    return replace(configs[0], sps=sps, pps=pps, parsed=parsed), changes


def _placed(
    config: AvcConfig, sps: dict[int, bytes], pps: dict[int, bytes], taken_sps: set[int], taken_pps: set[int]
) -> Renumbering:
    """Puts a configuration's sets where they are free or already stand, and takes those places."""
    sps_ids = {old: _place(old, unit, sps, taken_sps, LARGEST_ID) for old, unit in sorted(config.sps.items())}
    for old, unit in config.sps.items():
        sps[sps_ids[old]] = renumbered_set(unit, Renumbering(sps_ids, {}))
    pps_ids_ = {
        old: _place(old, _naming(unit, sps_ids), pps, taken_pps, _LARGEST_PPS_ID)
        for old, unit in sorted(config.pps.items())
    }
    for old, unit in config.pps.items():
        pps[pps_ids_[old]] = renumbered_set(unit, Renumbering(sps_ids, pps_ids_))
    return Renumbering(sps_ids, pps_ids_)


def _place(old: int, unit: bytes, held: Mapping[int, bytes], taken: set[int], limit: int) -> int:
    if held.get(old, unit) == unit:
        return old
    new = longer_id(old, taken, limit)
    taken.add(new)
    return new


def _naming(unit: bytes, sps_ids: Mapping[int, int]) -> bytes:
    """A picture parameter set under its own id that names its sequence parameter set by the new one."""
    own, _ = pps_ids(unit)
    return renumbered_set(unit, Renumbering(sps_ids, {own: own}))
