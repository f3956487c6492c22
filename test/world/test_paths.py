"""The user's state has one folder: the one that is named, else the one of the XDG base directories."""

from jpai_agent.world.paths import STATE_VARIABLE, state_dir


def test_a_named_folder_goes_before_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert state_dir() == tmp_path
    monkeypatch.setenv(STATE_VARIABLE, "")
    assert state_dir() == tmp_path / "state" / "jpai"


def test_without_either_it_is_in_the_users_home(monkeypatch, tmp_path):
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_dir() == tmp_path / ".local" / "state" / "jpai"
