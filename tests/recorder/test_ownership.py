"""What root runs and others may change: told by who and where; what only root may change is not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from recorder import ownership

FOLDER, FILE = stat.S_IFDIR, stat.S_IFREG


def found(mode: int, uid: int = 0, gid: int = 0) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("what", "who"),
    [
        (found(FILE | 0o644), ""),
        (found(FOLDER | 0o755), ""),
        (found(FOLDER | 0o775), ""),  # group root
        (found(FOLDER | 0o1777), ""),  # /tmp
        (found(FOLDER | 0o777), "everybody"),
        (found(FILE | 0o646), "everybody"),
        (found(FILE | 0o600, uid=65534), "nobody"),
        (found(FOLDER | 0o1755, uid=65534), "nobody"),
        (found(FILE | 0o400, uid=4_000_000), "user 4000000"),
        (found(FILE | 0o664, gid=4_000_000), "group 4000000"),
        (found(FILE | 0o644, gid=4_000_000), ""),
    ],
)
def test_who_may_change_it(what: os.stat_result, who: str) -> None:
    assert ownership.others(what) == who


def test_a_group_without_members_is_nobody() -> None:
    assert ownership.others(found(FOLDER | 0o2775, gid=65534)) == ""


def test_the_first_such_path_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "b").mkdir()
    (tmp_path / "b").chmod(0o777)
    remark = ownership.remark([tmp_path / "b"])
    assert "may change" in remark
    assert str(tmp_path / "b") in remark


def test_interpreter_packages_and_the_folders_above_them_are_looked_at() -> None:
    paths = set(ownership.program_paths())
    root = Path(__file__).parents[2]
    assert {Path("/"), root, root / "bpf/program.c", root / "recorder/session.py", Path(os.__file__).parent} <= paths
