"""Read-only files and stores, and files of git-annex, are neither replaced nor added to."""

from __future__ import annotations

import pytest

from nwb_ophys import edit_metadata, write_report
from nwb_ophys.cli import main
from nwb_ophys.errors import OutputError
from nwb_ophys.storage import append_to_nwbfile, check_target, create_nwbfile
from nwb_ophys.storage.repacking import repack
from nwb_ophys.storage.text_files import kind_with, write_text

from .conftest import VALUES, new_file, snapshot


def acts(path):
    """Yield functions that each replace or change a file."""
    yield lambda: create_nwbfile(new_file(b=VALUES), path, overwrite=True)
    yield lambda: append_to_nwbfile(path, lambda nwbfile: None)
    yield lambda: repack(path, path, overwrite=True)


@pytest.mark.parametrize("part", ["itself", "head"])
def test_a_read_only_file_is_left(target, backend, part):
    """Fault: it was replaced without a word, for root and for its owner."""
    create_nwbfile(new_file(a=VALUES), target, backend=backend)
    all_acts = list(acts(target))
    is_head = part == "head" and target.is_dir()
    marked = target / ".zgroup" if is_head else target
    mode = marked.stat().st_mode
    marked.chmod(mode & ~0o222)
    try:
        before = snapshot(target.parent)
        for act in all_acts:
            with pytest.raises(OutputError) as raised:
                act()
            assert str(raised.value).startswith(f"'{target}' is read-only, and is left as it is; ")
            assert f"u+w {target}, and run this again" in str(raised.value)
            assert "\n" not in str(raised.value)
        assert snapshot(target.parent) == before
        assert marked.stat().st_mode == mode & ~0o222
    finally:
        marked.chmod(mode)
    create_nwbfile(new_file(b=VALUES), target, backend=backend, overwrite=True)


def test_texts_and_reports_that_are_read_only_are_left(tmp_path, capsys):
    text = kind_with("a text", "x")
    page, log, source = tmp_path / "a.html", tmp_path / "a.log", tmp_path / "a.nwb"
    write_text(page, "<html>x")
    write_text(log, "")
    for each in (page, log):
        each.chmod(0o444)
    create_nwbfile(new_file(a=VALUES), source)
    with pytest.raises(OutputError, match="is read-only, and is left"):
        write_text(page, "x", replaces=text)
    with pytest.raises(OutputError, match="is read-only, and is left"):
        write_report(source, page, overwrite=True)
    with pytest.raises(SystemExit):
        main(["inspect", str(source), "--log-file", str(log)])
    assert "a.log' is read-only, and is left" in capsys.readouterr().err
    assert (page.read_text(), log.read_text()) == ("<html>x", "")


@pytest.mark.parametrize("is_present", [True, False])
@pytest.mark.parametrize("git", [".git", ".git/modules/sub"])
def test_links_to_files_of_git_annex_are_left(tmp_path, is_present, git):
    """A writer that follows the link would change the file of all versions in the annex."""
    kept = tmp_path / git / "annex/objects/W7/Kx/MD5E-s9--0.nwb/MD5E-s9--0.nwb"
    link = tmp_path / "a.nwb"
    if is_present:
        kept.parent.mkdir(parents=True)
        create_nwbfile(new_file(a=VALUES), link).rename(kept)
        kept.chmod(0o444)
    link.symlink_to(kept.relative_to(tmp_path))
    before = snapshot(tmp_path)
    message = rf"^'{link}' is protected from changes by git-annex .* datalad unlock {link} first"
    with pytest.raises(OutputError, match=message):
        create_nwbfile(new_file(a=VALUES), link, overwrite=True)
    with pytest.raises(OutputError, match=message):
        check_target(link, overwrite=True)
    with pytest.raises(OutputError, match=message):
        write_text(link, "x", replaces=kind_with("a text", "x"))
    with pytest.raises(OutputError, match=message):
        edit_metadata(link, {"Subject.sex": "F"})
    assert snapshot(tmp_path) == before


def test_a_folder_named_annex_is_as_good_as_any(tmp_path):
    folder = tmp_path / "annex" / "objects"
    folder.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    path = create_nwbfile(new_file(a=VALUES), folder / "a.nwb")
    create_nwbfile(new_file(a=VALUES), path, overwrite=True)
