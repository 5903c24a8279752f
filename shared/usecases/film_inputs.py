"""The clips as FFmpeg reads them: streams out of the bucket, or files of the workplace where only seeking will do."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.domain.errors import BadMedia
from shared.media.clip import Clip
from shared.media.plain_index import streams_of
from shared.media.presentation import Streams
from shared.media.streams import MediaInput, as_presented, one_pass
from shared.usecases.inspect_media import Place
from shared.usecases.object_source import ObjectSource
from shared.usecases.transfers import ObjectStream


class FilmInputs:
    """`reads` says of each source what its index says, or why it has none."""

    def __init__(
        self, place: Place, sources: Sequence[ObjectSource], reads: Sequence[Clip | BadMedia], *, name: str = "clip"
    ) -> None:
        self._folder, self._check, self._name = place.folder, place.check, name
        self._sources, self._reads = sources, reads
        # By clip, the first one that is the same object: each object is fetched once.
        firsts: dict[str, int] = {}
        self._first = [firsts.setdefault(source.stored.key, number) for number, source in enumerate(sources)]
        self._files: dict[int, Path] = {}

    def of(self, number: int) -> MediaInput:
        """One clip. Raises BadMedia `too_large` where it has to be a file and there is no room; DependencyDown."""
        if self._first[number] not in self._files:
            pieces = one_pass(self._sources[number], self._reads[number])
            if pieces is not None:
                return ObjectStream(self._sources[number], pieces)
        return self.files([number])[0]

    def files(self, numbers: Iterable[int]) -> list[Path]:
        """Clips as files, each fetched once. Raises as `of` does."""
        wanted = [self._first[number] for number in numbers]
        missing = [number for number in dict.fromkeys(wanted) if number not in self._files]
        _check_room(sum(self._sources[number].size_bytes for number in missing), self._folder)
        self._files |= {number: self._fetch(number) for number in missing}
        return [self._files[number] for number in wanted]

    def read(self, number: int) -> Clip | BadMedia:
        """What its index says, or why it has none."""
        return self._reads[number]

    def streams(self, number: int) -> Streams | None:
        """Which of its tracks are the clip, as FFmpeg counts them; None where its index was not read."""
        read = self._reads[number]
        return streams_of(read) if isinstance(read, Clip) else None

    def bytes_fetched(self) -> int:
        """Of files."""
        return sum(self._sources[number].size_bytes for number in self._files)

    def _fetch(self, number: int) -> Path:
        path, source = self._folder / f"{self._name}-{number:04d}.mp4", self._sources[number]
        with path.open("wb") as file:

            def write(data: bytes | memoryview) -> None:
                self._check()
                file.write(data)

            ObjectStream(source, as_presented(source, self._reads[number])).pour(write)
        return path


def _check_room(size_bytes: int, folder: Path) -> None:
    """Refused before anything is fetched: what FFmpeg makes of the clips may take as much room again."""
    room = shutil.disk_usage(folder).free
    if 2 * size_bytes > room:
        raise BadMedia(
            f"These clips can only be worked on as files: they hold {size_bytes // 10**6} MB where there is room for "
            f"{room // 2 // 10**6} MB. Compile fewer at once, or bring them as MP4 with sound and picture interleaved.",
            code="too_large",
        )
