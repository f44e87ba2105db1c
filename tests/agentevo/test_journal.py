"""A journal keeps whole lines, whatever happens in the middle of one."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from agentevo.errors import RunError
from agentevo.journal import Journal, lines, placed


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "deep" / "j")) as journal:
        journal.append('{"a": 1}')
        journal.append('{"b": "\u00e9\\n"}')
    assert list(lines(journal.path)) == [{"a": 1}, {"b": "é\n"}]


def test_each_line_is_read_again_where_it_stands(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        places = [journal.append(f'{{"n": {n}, "said": "é€\\n"}}') for n in range(3)]
        assert [journal.read(place)["n"] for place in reversed(places)] == [2, 1, 0]
        journal.append('{"n": 3}')
        assert [(place.start, said["n"]) for place, said in placed(journal.path)][:3] == [
            (place.start, n) for n, place in enumerate(places)
        ]


def test_a_line_that_is_there_no_more_is_an_error(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        place = journal.append('{"a": 1}')
        journal.path.write_text('{"a"')
        with pytest.raises(RunError, match="at byte 0, is damaged"):
            journal.read(place)


def test_half_a_surrogate_pair_survives(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "j")) as journal:
        journal.append('{"a": "\ud83d"}')
    assert list(lines(journal.path)) == [{"a": "\ud83d"}]


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("left", ["{", '{"a": 1}', "x" * 200_000])
def test_a_line_that_a_crash_cut_off_is_dropped_when_the_file_is_opened(tmp_path: Path, whole: int, left: str) -> None:
    path = tmp_path / "j"
    path.write_text('{"n": 0}\n' * whole + left)
    assert list(lines(path)) == [{"n": 0}] * whole
    with closing(Journal(path)) as journal:
        journal.append('{"new": 1}')
    assert list(lines(path)) == [*[{"n": 0}] * whole, {"new": 1}]


@pytest.mark.parametrize("damage", ["nonsense", "[1]", '{"a": 1'])
def test_damage_in_the_middle_is_named_by_its_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "j"
    path.write_text('{"n": 0}\n' + damage + '\n{"n": 1}\n')
    with pytest.raises(RunError, match="line 2, is damaged"):
        list(lines(path))


def test_a_full_disk_is_an_error_and_leaves_whole_lines() -> None:
    with (
        closing(Journal(Path("/dev/full"))) as journal,
        pytest.raises(RunError, match=r"cannot write to /dev/full.*resume the run"),
    ):
        journal.append('{"a": 1}')


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot open"):
        Journal(tmp_path)
