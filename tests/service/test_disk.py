"""What takes the space in a home is told by file and folder, the largest first."""

from __future__ import annotations

from pathlib import Path

from service.disk import measure


def test_sizes_are_of_all_that_is_below_and_of_nothing_elsewhere(tmp_path: Path) -> None:
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    elsewhere.mkdir()
    (elsewhere / "weights").write_bytes(b"x" * 100_000)
    (home / "artifacts" / "adapters").mkdir(parents=True)
    (home / "artifacts" / "adapters" / "a").write_bytes(b"x" * 3000)
    (home / "artifacts" / "b").write_bytes(b"x" * 500)
    (home / "ratchet.db").write_bytes(b"x" * 2000)
    (home / "artifacts" / "base").symlink_to(elsewhere)
    found = measure(home)
    assert list(found.home_bytes) == ["artifacts", "ratchet.db"] and found.home_bytes["ratchet.db"] == 2000
    assert 3500 <= found.home_bytes["artifacts"] < 5000  # and the link's own few bytes
    assert 0 < found.free_bytes < found.total_bytes
