"""Objects of the package in notebooks: tables of facts, and previews of bounded parts."""

from __future__ import annotations

import re
from html import unescape

import numpy as np
import pytest
from roiextractors.testing import (
    generate_dummy_imaging_extractor,
    generate_dummy_segmentation_extractor,
)

import nwb_ophys
from nwb_ophys.errors import ArgumentError
from nwb_ophys.html_tables import html_table
from nwb_ophys.reports import gather_report
from nwb_ophys.reports.outlines import svg_path, trace_outlines
from nwb_ophys.storage import plan_nwbfile


class Movie(nwb_ophys.ImagingInterface):
    """Interface of a movie in memory."""

    @classmethod
    def open(cls, source):
        return generate_dummy_imaging_extractor(
            num_samples=100, num_rows=12, num_columns=17, sampling_frequency=20.0
        )


class Cells(nwb_ophys.SegmentationInterface):
    """Interface of ROIs in memory."""

    @classmethod
    def open(cls, source):
        return generate_dummy_segmentation_extractor(
            num_rois=4, num_samples=50, num_rows=12, num_columns=17
        )


def text_of(html):
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_a_table_escapes_its_texts():
    html = html_table("<b>", [("<i>", "a&b")], ("<u>", "x"))
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;" in html
    assert "&lt;u&gt;" in html
    assert "a&amp;b" in html


def test_interfaces_and_converters_state_their_contents():
    movie, cells = Movie(), Cells()
    assert "100 frames of 12 x 17 (rows, columns) uint16, 20 Hz" in text_of(movie._repr_html_())
    assert "4 ROIs" in text_of(cells._repr_html_())
    converter = nwb_ophys.OphysConverter({"<movie>": movie, "cells": cells})
    html = converter._repr_html_()
    assert "<movie>" not in html
    assert "<movie> Movie 100 frames" in text_of(html)


def test_a_closed_interface_says_so(tmp_path):
    np.save(tmp_path / "movie.npy", np.zeros((3, 4, 5), np.uint8))
    interface = nwb_ophys.NumpyImagingInterface(
        timeseries=tmp_path / "movie.npy", sampling_frequency=5.0
    )
    assert "3 frames of 4 x 5" in text_of(interface._repr_html_())
    interface.close()
    assert "was closed; open it again" in text_of(interface._repr_html_())


def test_a_plan_is_a_table():
    nwbfile = nwb_ophys.OphysConverter({"movie": Movie()}).create_nwbfile(
        {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    )
    plan = plan_nwbfile(nwbfile, nwb_ophys.BackendConfiguration(backend="hdf5"))
    text = text_of(plan._repr_html_())
    assert "acquisition/TwoPhotonSeries/data 100 x 17 x 12 uint16" in text


def test_a_report_is_its_page_in_a_frame_that_runs_nothing(made):
    html = gather_report(made.path)._repr_html_()
    assert html.startswith('<iframe srcdoc="')
    assert " sandbox " in html
    assert "3 accepted, 2 rejected" in text_of(unescape(html))


def test_the_preview_of_a_movie_reads_a_few_frames(monkeypatch):
    movie = Movie()
    frames = np.asarray(movie.extractor.get_series())
    read = []
    series = movie.extractor.get_series

    def get_series(start_sample, end_sample):
        read.append((start_sample, end_sample))
        return series(start_sample=start_sample, end_sample=end_sample)

    monkeypatch.setattr(movie.extractor, "get_series", get_series)
    shown = []
    from nwb_ophys.reports import previews

    picture = previews.picture
    monkeypatch.setattr(
        previews, "picture", lambda image, *a, **k: shown.append(image) or picture(image, *a, **k)
    )
    preview = movie.preview()
    assert [figure.caption for figure in preview.figures] == ["Mean of 32 of 100 frames"]
    numbers = [start for start, stop in read[1:]]
    assert all(stop == start + 1 for start, stop in read)
    assert (len(numbers), numbers[0], numbers[-1]) == (32, 0, 99)
    np.testing.assert_allclose(shown[0], frames[numbers].mean(axis=0), rtol=1e-6)
    assert "Mean of 32 of 100 frames" in unescape(preview._repr_html_())


def test_the_preview_of_a_movie_without_frames_is_empty(monkeypatch):
    movie = Movie()
    monkeypatch.setattr(movie.extractor, "get_num_samples", lambda: 0)
    assert movie.preview().figures == ()


def test_the_preview_of_rois_has_their_outlines():
    cells = Cells()
    outlines, traces = cells.preview().figures
    for roi_id in cells.extractor.get_roi_ids():
        mask = cells.extractor.get_roi_image_masks([roi_id])[..., 0]  # (rows, columns)
        y, x = np.nonzero(mask)
        (loops,) = trace_outlines(x, y, np.array([len(x)]))
        assert f'd="{svg_path(loops)}"' in outlines.content
    assert "highest ratio of signal to noise" in traces.caption


def test_the_preview_of_a_converter_shows_all_streams(tmp_path):
    (tmp_path / "trials.csv").write_text("start_time,stop_time\n1,2\n")
    inner = nwb_ophys.OphysConverter({"cells": Cells()})
    converter = nwb_ophys.OphysConverter({"movie": Movie(), "inner": inner})
    converter.add_trials(tmp_path / "trials.csv")
    preview = converter.preview()
    captions = [figure.caption for figure in preview.figures]
    assert captions[0] == "movie: Mean of 32 of 100 frames"
    assert [each.partition("cells: ")[0] for each in captions[1:]] == ["inner: ", "inner: "]
    assert "Mean of 32 of 100 frames" in unescape(preview._repr_html_())
    only_trials = nwb_ophys.OphysConverter({"trials": converter.interfaces["trials"]})
    with pytest.raises(ArgumentError, match="neither a movie nor ROIs"):
        only_trials.preview()


def test_what_a_terminal_shows_is_short(made):
    movie = Movie()
    assert repr(movie.preview()) == "<Preview of Movie: 'Mean of 32 of 100 frames'>"
    converter = nwb_ophys.OphysConverter({"movie": movie, "cells": Cells()})
    assert repr(converter) == "OphysConverter({'movie': Movie, 'cells': Cells})"
    report = repr(gather_report(made.path))
    assert report.startswith(f"<Report of '{made.path}': ")
    assert len(report) < 300


def test_other_interfaces_have_no_preview(tmp_path):
    (tmp_path / "trials.csv").write_text("start_time,stop_time\n1,2\n")
    from nwb_ophys.interfaces.trials import TrialsInterface

    trials = TrialsInterface(file_path=tmp_path / "trials.csv")
    assert "TrialsInterface" in trials._repr_html_()
    with pytest.raises(ArgumentError, match="neither a movie nor ROIs"):
        trials.preview()
