"""The steps of the page, from an empty start to a file, compared with the command line."""

from __future__ import annotations

import html
import re
import shutil
import signal
import sys

import h5py
import numpy as np
import pytest
import tifffile

from nwb_ophys.cli import main
from nwb_ophys.documents import parse_yaml
from nwb_ophys.errors import MissingPackageError

from .recordings import FACTS, RECORDINGS, contents_of, copied, real_data, run, run_batch

needs_data = pytest.mark.skipif(real_data() is None, reason="The real recordings are absent.")


def _texts(browser, step: str) -> dict[str, str]:
    """Return what a step shows for the command line, by its title."""
    page = browser.get(f"/{step}").text
    found = re.findall(
        r'<pre tabindex="0" aria-label="([^"]+)" id="text-\d+">(.*?)</pre>', page, re.S
    )
    return {html.unescape(title): html.unescape(text) for title, text in found}


def _filled(browser, name: str, folder) -> None:
    """Choose a folder, untick, and fill in what the page asks for."""
    recording = RECORDINGS[name]
    work = browser.choose(folder)
    for index, part in enumerate(work.parts):
        if part.found["name"] in recording.unticked:
            browser.act("tick", index=index, is_ticked=False)
            work = browser.wait()
    for key, value in recording.options.items():
        assert key in work.survey["faults"]
        browser.act("option", key=key, value=value)
        work = browser.wait()
    assert work.survey["faults"] == {}
    for key, value in FACTS.items():
        control = "lines" if key.endswith("experimenter") else "text"
        assert browser.act("setting", key=key, value=value, control=control).status_code == 200
    work = browser.wait()
    assert work.survey["metadata"]["num_required"] == 0


@needs_data
def test_the_shown_documents_write_the_same(browser, root, capsys):
    folder = copied("plain tiff", root)
    _filled(browser, "plain tiff", folder)
    browser.act("setting", key="Ophys.ImagingPlane.0.location", value="VISp", control="text")
    assert browser.wait().errors == {}
    browser.act("convert")
    assert browser.wait().result["is_accepted"]
    written = contents_of(root / "M7.nwb")
    assert written["/general/optophysiology/ImagingPlane/location"] == "b'VISp'"
    shown = _texts(browser, "metadata")
    start = f"nwb-ophys convert {folder} --option sampling_frequency=9.99872"
    for title in ("of all values", "of your changes"):
        document, file = root / "document.yaml", root / "by_document.nwb"
        document.write_text(shown[f"Metadata document (YAML) {title}"])
        assert run(f"{start} --overwrite -o {file} --metadata {document}") == 0
        assert contents_of(file) == written
    text = _texts(browser, "convert")["Specification of a batch (YAML) with this session"]
    specification = root / "lab.yaml"
    specification.write_text(text.replace("M7.nwb", "by_batch.nwb"))
    assert run(f"nwb-ophys batch {specification} --no-progress") == 0
    assert contents_of(root / "by_batch.nwb") == written
    capsys.readouterr()


@needs_data
def test_the_plan_and_the_check_are_those_of_the_commands(browser, root, capsys):
    folder = copied("plain tiff", root)
    _filled(browser, "plain tiff", folder)
    browser.act("plan")
    plan = browser.wait().plan
    shown = _texts(browser, "convert")
    capsys.readouterr()
    assert run(shown["Command that plans"]) == 0
    assert capsys.readouterr().out.startswith(plan["yaml"])
    assert not (root / "M7.nwb").exists()
    browser.act("setting", key="Subject.sex", value="", control="text")
    findings = browser.wait().survey["metadata"]
    assert findings["num_required"] == 1
    assert run(_texts(browser, "metadata")["Command that lists what DANDI lacks"]) == 1
    out = capsys.readouterr().out
    assert f"{findings['num_required']} required, {findings['num_advised']} advised" in out
    assert run(_texts(browser, "contents")["Command that lists the formats"]) == 0
    evidence = browser.desk.work.parts[0].found["evidence"]
    assert evidence in capsys.readouterr().out


def test_a_folder_that_is_nothing_is_refused_as_on_the_command_line(browser, root, capsys):
    folder = root / "notes"
    folder.mkdir()
    (folder / "notes.txt").write_text("nothing")
    work = browser.choose(folder)
    with pytest.raises(SystemExit):
        main(["detect", str(folder)])
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Error: {work.errors[''][0]}" == line
    assert (
        html.escape(work.errors[""][0]).replace("&#x27;", "&#39;") in browser.get("/contents").text
    )


def _movie(folder, num_frames: int = 20, size: int = 32):
    folder.mkdir()
    frames = np.random.default_rng(0).integers(0, 2**12, (num_frames, size, size), dtype="uint16")
    tifffile.imwrite(folder / "movie.tif", frames)
    return folder


def _between(page: str, key: str) -> str:
    """Return what the page shows beside a field."""
    return page.partition(f'id="e-{key}"')[2].partition("</div>")[0]


def test_wrong_values_are_answered_beside_their_fields(browser, root):
    browser.choose(_movie(root / "M7"))
    assert "needs sampling_frequency" in _between(
        browser.get("/contents").text, "sampling_frequency"
    )
    browser.act("option", key="sampling_frequency", value="fast")
    browser.wait()
    page = browser.get("/contents").text
    assert "fast" in _between(page, "sampling_frequency")
    browser.act("option", key="sampling_frequency", value="30")
    browser.wait()
    wrong = {
        "NWBFile.session_start_time": ("yesterday", "ISO 8601"),
        "Subject.sex": ("X", "The sex is"),
        "Ophys.ImagingPlane.0.excitation_lambda": ("red", "must be a number"),
        "Ophys.ImagingPlane.0.location": ("visual cortex", "VIS"),
    }
    browser.act("setting", key="Subject.species", value="Mus musculus")
    for key, (value, _) in wrong.items():
        browser.act("setting", key=key, value=value, control="text")
    work = browser.wait()
    page = browser.get("/metadata").text
    for key, (_, answer) in wrong.items():
        assert answer in _between(page, key), key
    assert work.survey["metadata"]["num_faults"] >= 2
    browser.act("convert")
    work = browser.wait()
    assert work.result is None
    assert any("yesterday" in line for line in work.errors[""])
    assert list(root.iterdir()) == [root / "M7"]


@pytest.mark.parametrize(
    ("key", "value"), [("stub", "few"), ("photon_series_type", "ThreePhotonSeries")]
)
def test_wrong_conversion_options_are_answered_beside_their_fields(browser, root, key, value):
    """Fault: the recording was closed, with the answer apart from the field."""
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("option", key=key, value=value)
    work = browser.wait()
    assert work.errors == {}
    page = browser.get("/contents").text
    assert f"{key} is" in _between(page, key)
    assert value in _between(page, key)
    browser.act("option", key=key, value="")
    assert browser.wait().survey["faults"] == {}


def test_unknown_options_and_formats_are_refused(browser, root):
    browser.choose(_movie(root / "M7"))
    assert browser.act("option", key="__class__", value="1").status_code == 422
    assert browser.act("tick", index=7, is_ticked=True).status_code == 422
    assert browser.act("tick", index=0, format="word").status_code == 422
    answer = browser.act("option", key="allow_outside", value="/etc", field="allow_outside")
    assert "lies outside" in answer.json()["errors"]["allow_outside"][0]


def test_an_existing_file_is_replaced_only_when_asked(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    browser.wait()
    browser.act("convert")
    assert browser.wait().result["is_valid"]
    before = (root / "M7.nwb").read_bytes()
    browser.act("convert")
    work = browser.wait()
    assert work.result is None
    assert '"Replace the file if it exists"' in work.errors[""][0]
    assert (root / "M7.nwb").read_bytes() == before
    browser.act("target", overwrite=True)
    browser.wait()
    browser.act("convert")
    assert browser.wait().result["is_valid"]


def test_a_cancelled_conversion_leaves_nothing(browser, root, process):
    browser.choose(_movie(root / "M7", num_frames=2000, size=128))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    browser.act("target", compression="gzip:9")
    browser.wait()
    browser.act("convert")
    browser.wait_for(lambda work: work.job is None or (work.job.fraction or 0) >= 0.05)
    assert browser.act("convert").status_code == 422  # one at a time
    assert browser.act("cancel").status_code == 200
    work = browser.wait()
    assert work.ended == "Cancelled. No incomplete file was left."
    assert work.result is None
    assert list(root.iterdir()) == [root / "M7"]
    browser.act("target", compression="gzip:1")
    browser.wait()
    browser.act("convert")  # the next process works
    assert browser.wait().result["is_valid"]


def test_a_process_that_is_killed_is_reported(browser, root, kill_at_work):
    browser.choose(_movie(root / "M7", 200))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    browser.wait()
    kill_at_work()
    browser.act("convert")
    work = browser.wait()
    assert f"code {-signal.SIGKILL}" in work.errors[""][0]
    browser.act("plan")  # the next process works
    assert browser.wait().plan is not None


def test_a_second_page_and_a_reload_show_the_same(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="Subject.subject_id", value="M7")
    browser.wait()
    first, second = browser.get("/metadata").text, browser.get("/metadata").text
    assert first == second
    assert 'value="M7"' in first
    assert browser.get("/").headers["location"] == "/contents"


def test_a_subject_is_taken_from_a_table(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    table = root / "participants.tsv"
    table.write_text("participant_id\tspecies\tsex\tage\nsub-M7\tMus musculus\tF\tP90D\n")
    answer = browser.act("subject", path=str(table), subject_id="M8", field="table")
    assert "has no subject 'M8'; it has M7" in answer.json()["errors"]["table"][0]
    assert (
        browser.act("subject", path=str(table), subject_id="M7", field="table").status_code == 200
    )
    work = browser.wait()
    assert work.request.settings["Subject.species"] == "Mus musculus"
    keys = {each["key"] for group in work.survey["metadata"]["groups"] for each in group["first"]}
    assert "Subject.sex" in keys


def test_empty_fields_return_to_the_files(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="Ophys.Device.0.name", value="Scope")
    work = browser.wait()
    assert work.request.settings == {"Ophys.Device.0.name": "Scope"}
    browser.act("setting", key="Ophys.Device.0.name", value=" ")
    work = browser.wait()
    assert work.request.settings == {}


def test_the_specification_has_what_was_set_and_no_more(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("option", key="sampling_frequency", value="30")
    browser.act("setting", key="NWBFile.lab", value="X lab")
    browser.wait()
    stated = parse_yaml(browser.desk.work.survey["metadata"]["specification"])
    (session,) = stated["sessions"]
    assert session["metadata"] == {"NWBFile": {"lab": "X lab"}}
    assert session["options"] == {"sampling_frequency": 30}
    assert session["paths"] == [str(root / "M7")]


@needs_data
def test_streams_that_are_unticked_are_not_written(browser, root):
    shutil.copytree(real_data() / "scanimage/volumetric_two_channels_multi_file", root / "M7")
    work = browser.choose(root / "M7")
    _, second = (each["name"] for each in work.survey["streams"])
    assert browser.act("stream", name="nothing", is_ticked=False).status_code == 422
    browser.act("stream", name=second, is_ticked=False)
    work = browser.wait()
    assert work.request.leave_out == (second,)
    assert len(work.survey["streams"]) == 2  # so that it can be ticked again
    browser.act("target", report=True)
    browser.wait()
    browser.act("convert")
    result = browser.wait().result
    assert (root / "M7.nwb.html").read_text("utf-8") == result["html"]
    with h5py.File(root / "M7.nwb") as file:
        assert len(file["acquisition"]) == 1
    command = _texts(browser, "result")["Command that converts"]
    again = {str(root / "M7.nwb"): str(root / "again.nwb")}
    assert run(command, **again) == 0
    assert contents_of(root / "again.nwb") == contents_of(root / "M7.nwb")
    assert (root / "again.nwb.html").is_file()
    text = _texts(browser, "convert")["Specification of a batch (YAML) with this session"]
    (root / "lab.yaml").write_text(text.replace("M7.nwb", "by_batch.nwb"))
    assert run_batch(root / "lab.yaml") == 0
    assert contents_of(root / "by_batch.nwb") == contents_of(root / "M7.nwb")


def test_the_first_samples_are_shown_and_nothing_is_kept(browser, root):
    browser.choose(_movie(root / "M7", num_frames=300))
    browser.act("option", key="sampling_frequency", value="30")
    browser.wait()
    assert browser.get("/pictures/look").status_code == 404
    browser.act("look")
    work = browser.wait()
    assert work.errors == {}
    assert work.look["num_samples"] == 200
    answer = browser.get("/pictures/look")
    assert "data:image/png" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script" not in policy
    assert [each.name for each in root.iterdir()] == ["M7"]
    browser.act("option", key="sampling_frequency", value="20")
    assert browser.wait().look is None  # it would show other times


def test_without_pillow_the_package_is_named_and_the_file_is_written(root, monkeypatch):
    from nwb_ophys.page import work
    from nwb_ophys.page.request import Request

    monkeypatch.setitem(sys.modules, "PIL", None)
    request = Request(
        paths=(str(_movie(root / "M7")),),
        options={"sampling_frequency": "30"},
        settings={"NWBFile.session_start_time": "2024-05-17T14:30:00Z"},
        output=str(root / "M7.nwb"),
    )
    tools = work.Tools(lambda _: None)
    with pytest.raises(MissingPackageError, match=r"nwb-ophys\[report\]"):
        work.look(tools, request)
    result = work.convert(tools, request)
    assert result["is_valid"]
    assert "nwb-ophys[report]" in result["unreported"]
    assert result["html"] == ""


def test_times_of_another_device_are_written(browser, root):
    browser.choose(_movie(root / "M7"))
    browser.act("setting", key="NWBFile.session_start_time", value="2024-05-17T14:30:00Z")
    times = 1.0 + np.arange(20) / 30 + 1e-4 * np.arange(20) ** 2
    clock = root / "clock.csv"
    clock.write_text("time\n" + "\n".join(map(repr, times.tolist())) + "\n")
    browser.act("clock", key="times", value=f"{root}/absent.csv")
    browser.wait()
    assert "absent.csv" in _between(browser.get("/contents").text, "times")
    browser.act("clock", key="times", value="/etc/passwd")
    browser.wait()
    assert "lies outside" in _between(browser.get("/contents").text, "times")
    assert browser.act("convert").status_code == 422
    browser.act("clock", key="times", value="clock.csv")
    browser.wait()
    assert "not a whole path" in _between(browser.get("/contents").text, "times")
    browser.act("clock", key="times", value=f"{clock}::time,unit=s")
    work = browser.wait()
    assert work.survey["faults"] == {}
    assert any("20 of 20 used" in note for note in work.notes["survey"])
    browser.act("convert")
    assert browser.wait().result["is_valid"]
    with h5py.File(root / "M7.nwb") as file:
        found = file["acquisition/TwoPhotonSeries/timestamps"][:]
    assert np.array_equal(found, times)
    shown = _texts(browser, "convert")
    again = {str(root / "M7.nwb"): str(root / "again.nwb")}
    assert run(shown["Command that converts"], **again) == 0
    assert contents_of(root / "again.nwb") == contents_of(root / "M7.nwb")
    text = shown["Specification of a batch (YAML) with this session"]
    (root / "lab.yaml").write_text(text.replace("M7.nwb", "by_batch.nwb"))
    assert run_batch(root / "lab.yaml") == 0
    assert contents_of(root / "by_batch.nwb") == contents_of(root / "M7.nwb")


def test_an_error_of_the_page_itself_ends_the_work(browser, root, worker, monkeypatch):
    async def failing(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(worker, "run", failing)
    browser.act("choose", path=str(_movie(root / "M7")))
    work = browser.wait(5)
    assert work.errors[""] == ("RuntimeError: broken",)
