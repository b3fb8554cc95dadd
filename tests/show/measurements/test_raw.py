import json

import pytest

from companion import show


def test_is_the_newest_file(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.show.measurements.raw.RESULTS", tmp_path)
    for date in ("2026-02-01", "2026-11-24", "2026-03-05"):
        text = json.dumps({"date": date})
        (tmp_path / f"attention-{date}.json").write_text(text)
    (tmp_path / "attention-memory-2027-01-01.json").write_text("{}")
    assert show.measured("attention") == {"date": "2026-11-24"}


def test_refuses_when_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.show.measurements.raw.RESULTS", tmp_path)
    with pytest.raises(ValueError, match=r"no attention-DATE\.json in .*: clone"):
        show.measured("attention")
