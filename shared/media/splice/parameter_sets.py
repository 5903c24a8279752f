"""One decoder configuration for all clips, and which clips' units change for it.

Sets inside samples: players take them for the whole configuration, so either no clip of a film has them or every one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shared.media.clip import Clip
from shared.media.h264.config import AvcConfig, build_avc_config, parse_avc_config
from shared.media.h264.renumber import CannotRenumber, Renumbering, renumbered_set
from shared.media.h264.union import Sets, sets_of, united
from shared.media.splice.payload import Change

LARGEST_REWRITE_BYTES = 128 * 1024**2


@dataclass(frozen=True, slots=True)
class SharedSets:
    """The decoder configuration record, and by clip what becomes of its units; None: they stay as they are."""

    record: bytes
    changes: tuple[Change | None, ...]


def shared_sets(clips: Sequence[Clip]) -> SharedSets:
    """For clips that can be united. Raises CannotRenumber for others."""
    first = _picture_config(clips[0])
    if first is None:
        assert clips[0].picture is not None
        return SharedSets(clips[0].picture.entry.config, (None,) * len(clips))
    groups = _groups(clips)
    config, changes = united(list(groups.values()))
    by_group = dict(zip(groups, changes, strict=True))
    mine = [by_group[sets_of(_config(clip))] for clip in clips]
    changed = tuple(_with_sets(clips, mine))
    assert clips[0].picture is not None
    record = clips[0].picture.entry.config
    if len(groups) == 1 and parse_avc_config(record).sps:
        return SharedSets(record, changed)
    return SharedSets(build_avc_config(config), changed)


def cannot_be_united(clips: Sequence[Clip]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Places of clips for whose parameter sets no ids are left, or which are too long to be rewritten."""
    if not clips or _picture_config(clips[0]) is None:
        return
    outside = _left_out(list(_groups(clips).items()))
    for place, clip in enumerate(clips):
        if sets_of(_config(clip)) in outside:
            yield place, ("parameter_set_ids", "has parameter sets for which no id is left")
    if outside:
        return
    for place, (clip, change) in enumerate(zip(clips, shared_sets(clips).changes, strict=True)):
        if change is not None and _bytes(clip) > LARGEST_REWRITE_BYTES:
            yield place, ("too_large_to_rewrite", "has other parameter sets and is too large to be rewritten")


def _groups(clips: Sequence[Clip]) -> dict[Sets, AvcConfig]:
    """One configuration for each group of equal sets, the group with most bytes first: its ids stay."""
    weights: Counter[Sets] = Counter()
    configs: dict[Sets, AvcConfig] = {}
    for clip in clips:
        config = _config(clip)
        sets = sets_of(config)
        weights[sets] += _bytes(clip)
        configs.setdefault(sets, config)
    return {sets: configs[sets] for sets, _ in weights.most_common()}


def _left_out(groups: Sequence[tuple[Sets, AvcConfig]]) -> set[Sets]:
    """The groups that do not fit, the lightest first in leaving."""
    for kept in range(len(groups), 0, -1):
        try:
            united([config for _, config in groups[:kept]])
        except CannotRenumber:
            continue
        return {sets for sets, _ in groups[kept:]}
    return {sets for sets, _ in groups}


def _with_sets(clips: Sequence[Clip], renumberings: Sequence[Renumbering]) -> Iterator[Change | None]:
    """Sets in band: none and all stay; of a mixture the fewer bytes change, of those that would not anyway."""
    every = [_has_sets(clip) for clip in clips]
    mixed = len(set(every)) > 1 or None in every
    carrying = lacking = 0
    for clip, has, renumbering in zip(clips, every, renumberings, strict=True):
        weight = _bytes(clip) if renumbering.is_identity else 0
        carrying += weight if has is not False else 0
        lacking += weight if has is not True else 0
    strip = mixed and carrying <= lacking
    for clip, has, renumbering in zip(clips, every, renumberings, strict=True):
        if strip and has is not False:
            yield Change(replace(renumbering, strip=True), ())
        elif mixed and not strip and has is not True:
            yield Change(replace(renumbering, strip=True), _renumbered_sets(_config(clip), renumbering))
        else:
            yield None if renumbering.is_identity else Change(renumbering, ())


def _has_sets(clip: Clip) -> bool | None:
    """Whether its key pictures bring their sets along: all, none, or (None) some of them."""
    scan = clip.picture.scan if clip.picture else None
    if scan is None or not scan.with_sets:
        return False
    return True if scan.with_sets == scan.scanned else None


def _renumbered_sets(config: AvcConfig, renumbering: Renumbering) -> tuple[bytes, ...]:
    units = (*config.sps.values(), *config.pps.values())
    return tuple(renumbered_set(unit, renumbering) for unit in units)


def _picture_config(clip: Clip) -> AvcConfig | None:
    config = clip.picture.config if clip.picture else None
    return config if isinstance(config, AvcConfig) else None


def _config(clip: Clip) -> AvcConfig:
    config = _picture_config(clip)
    assert config is not None
    return config


def _bytes(clip: Clip) -> int:
    """Of its pictures and its sound."""
    parts = [part for part in (clip.picture, clip.sound) if part is not None]
    return sum(part.tables.sizes.total for part in parts)
