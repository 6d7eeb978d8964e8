"""Reports of files of unusual kinds: numbers, attributions and notes equal what the files hold."""

from __future__ import annotations

import base64
import datetime
import io
import json
import os
import re
import shlex
import shutil
import sys

import attrs
import h5py
import numpy as np
import pynwb
import pytest
from hdmf_zarr.nwb import NWBZarrIO
from pynwb.base import Images
from pynwb.image import GrayscaleImage, ImageSeries, RGBAImage, RGBImage
from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries
from tests_of_reports import write_session

from nwb_ophys import verify, write_report
from nwb_ophys.cli import main
from nwb_ophys.editing import edit_metadata
from nwb_ophys.errors import CorruptSourceError, OutputError, OutsideFolderError, SourceError
from nwb_ophys.inspection import inspect_file
from nwb_ophys.reports import timing as timing_module
from nwb_ophys.reports.charts import tick_labels
from nwb_ophys.reports.failures import Unreadable
from nwb_ophys.reports.inspecting import Inspected
from nwb_ophys.reports.origin import _written
from nwb_ophys.reports.rendering import render_report
from nwb_ophys.reports.report import gather_report
from nwb_ophys.reports.roi_figures import outline_figures, size_bins, trace_figures
from nwb_ophys.reports.segmentation import Backdrop, counts_of
from nwb_ophys.reports.traces import heat_map
from nwb_ophys.storage.record import Record

COLUMNS, ROWS, NUM_FRAMES = 24, 18, 30
MOVIE = np.random.default_rng(0).integers(0, 1000, (NUM_FRAMES, COLUMNS, ROWS)).astype(np.uint16)
MASKS = [[(1, 2, 1.0), (2, 2, 1.0)], [(5, 9, 1.0)], [(20, 10, 1.0)]]
TRACES = np.random.default_rng(1).normal(size=(NUM_FRAMES, 3))
TABLE = "processing/ophys/ImageSegmentation/Cells"
RAW = "processing/ophys/Fluorescence/raw"


class Unchecked:
    """A check that finds nothing, in no time."""

    def result(self):
        return Inspected(findings=())

    def end(self):
        pass


class Author:
    """Writes a file with pynwb alone."""

    def __init__(self, path):
        self.path = path
        self.nwbfile = pynwb.NWBFile(
            session_description="x",
            identifier="x",
            session_start_time=datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        )
        self.module = self.nwbfile.create_processing_module("ophys", "x")
        self.device = self.nwbfile.create_device(name="Scope")
        self.segmentation = ImageSegmentation()
        self.plane = self.add_plane("Plane")

    def add_plane(self, name):
        return self.nwbfile.create_imaging_plane(
            name=name,
            optical_channel=OpticalChannel(name="a", description="b", emission_lambda=500.0),
            description="x",
            device=self.device,
            excitation_lambda=900.0,
            indicator="x",
            location="x",
        )

    def add_movie(self, data=MOVIE, name="Movie", **given):
        given = given if given.keys() & {"rate", "timestamps"} else {"rate": 10.0, **given}
        self.nwbfile.add_acquisition(
            pynwb.ophys.TwoPhotonSeries(
                name=name, data=data, imaging_plane=self.plane, unit="n.a.", **given
            )
        )

    def add_table(self, masks=MASKS, name="Cells", description="x", form="pixel_mask", ids=None):
        if not self.segmentation.plane_segmentations:
            self.module.add(self.segmentation)
        found = self.segmentation.create_plane_segmentation(description, self.plane, name)
        for number, mask in zip(ids or range(len(masks)), masks, strict=True):
            found.add_roi(**{form: mask}, id=number)
        return found

    def add_traces(self, table, data=TRACES, region=None, name="raw", **given):
        region = list(range(len(table.id))) if region is None else region
        given = given if given.keys() & {"rate", "timestamps"} else {"rate": 10.0, **given}
        if "Fluorescence" not in self.module.data_interfaces:
            self.module.add(Fluorescence())
        self.module["Fluorescence"].add_roi_response_series(
            RoiResponseSeries(
                name=name,
                data=data,
                rois=table.create_roi_table_region(region=region, description="x"),
                unit="a.u.",
                **given,
            )
        )

    def add_images(self, *images):
        self.module.add(Images(name="Summary", images=list(images)))

    def report(self):
        with pynwb.NWBHDF5IO(str(self.path), "w") as io:
            io.write(self.nwbfile)
        return report_of(self.path)


def report_of(path):
    report = gather_report(path, inspection=Unchecked())
    render_report(report)  # whatever a file holds, its page is made
    return report


@pytest.fixture
def author(tmp_path):
    return Author(tmp_path / "session.nwb")


@pytest.fixture
def usual(author):
    """A file with a movie, a table and traces, which a test changes with h5py."""
    author.add_movie()
    author.add_traces(author.add_table())
    author.report()
    return author.path


def replaced(file, path, values):
    """Replace a dataset by one with other values and the same attributes."""
    attributes = dict(file[path].attrs)
    del file[path]
    file[path] = values
    file[path].attrs.update(attributes)


def text_of(report):
    """Return the words of a page."""
    return re.sub(r"<[^>]+>", " ", render_report(report))


def test_a_dataset_under_two_names_belongs_to_both(usual):
    times = np.arange(NUM_FRAMES) / 10 + 7
    with h5py.File(usual, "r+") as file:
        for path in ("acquisition/Movie", RAW):
            del file[path]["starting_time"]
        file["acquisition/Movie/timestamps"] = times
        file[RAW]["timestamps"] = file["acquisition/Movie/timestamps"]
    report = report_of(usual)
    assert {each.path: each.start for each in report.timing.streams} == {
        "acquisition/Movie": 7.0,
        RAW: 7.0,
    }


def test_links_to_names_with_colons_are_followed(usual):
    with h5py.File(usual, "r+") as file:
        file.move("acquisition/Movie", "acquisition/Movie: µ <b>")
        for path in ("acquisition/Movie: µ <b>", RAW):
            del file[path]["starting_time"]
        file["acquisition/Movie: µ <b>/timestamps"] = np.arange(NUM_FRAMES) / 10 + 7
        link = h5py.SoftLink("/acquisition/Movie: µ <b>/timestamps")
        file[RAW]["timestamps"] = link
    report = report_of(usual)
    assert report.traces[0].times.start == 7.0
    assert report.outside == ()
    assert "<b>" not in render_report(report)


def test_texts_and_numbers_in_arrays_of_one_are_those_of_scalars(usual):
    with h5py.File(usual, "r+") as file:
        replaced(file, "acquisition/Movie/starting_time", np.array([-2.5]))
        for path in ("acquisition/Movie/starting_time", f"{RAW}/starting_time"):
            file[path].attrs["rate"] = np.array([5.0])
        for path in ("acquisition/Movie", RAW, TABLE):
            given = np.array(["words"], dtype=h5py.string_dtype())
            file[path].attrs["description"] = given
        file[RAW]["data"].attrs["unit"] = np.array(["V"], dtype=h5py.string_dtype())
    report = report_of(usual)
    (movie,), (table,), (traces,) = report.movies, report.tables, report.traces
    assert (movie.times.start, movie.times.rate) == (-2.5, 5.0)
    assert traces.times.rate == 5.0
    assert {movie.description, table.description, traces.description} == {"words"}
    assert traces.scaling.unit == "V"
    assert table.columns == ("pixel_mask",)


@pytest.mark.parametrize("number", [1, 4])
def test_masks_that_do_not_match_the_rois_are_not_shown(usual, number):
    with h5py.File(usual, "r+") as file:
        replaced(file, f"{TABLE}/id", np.arange(number))
    report = report_of(usual)
    assert report.tables[0].pixels.reason == f"The table has {number} ROIs, but 3 masks."
    assert "have no pixel whose weight" not in text_of(report)


@pytest.mark.parametrize(
    ("pixel", "words"),
    [((-1.0, 2.0), "below 0"), ((4e9, 2.0), "too large"), ((2e9, 2e9), "too large")],
)
def test_pixels_that_lie_nowhere_are_named(usual, pixel, words):
    with h5py.File(usual, "r+") as file:
        kind = [("x", "f8"), ("y", "f8"), ("weight", "f8")]
        masks = np.array([(*pixel, 1.0)] + [(1, 1, 1.0)] * 3, dtype=kind)
        replaced(file, f"{TABLE}/pixel_mask", masks)
    report = report_of(usual)
    assert words in report.tables[0].pixels.reason
    assert "have no pixel whose weight" not in text_of(report)


def test_masks_that_fit_only_turned_are_turned_as_a_conversion_does(author):
    author.add_movie()
    author.add_table([[(1, 22, 1.0)], [(5, 9, 1.0)]])
    (table,) = author.report().tables
    assert [axis.tolist() for axis in table.pixels.lists.coordinates] == [[22, 9], [1, 5]]
    assert "x and y exchanged" in table.pixels.note
    assert table.backdrop.origin == "the mean of 'Movie'"


def test_masks_beyond_the_field_are_noted(author):
    author.add_movie()
    author.add_table([[(40, 2, 1.0)]])
    report = author.report()
    assert "reach 41 × 3, beyond the field of 24 × 18 (x, y)" in text_of(report)


def test_tables_that_suite2p_wrote_are_noted(author):
    table = author.add_table(description="suite2p output")
    table.add_column("iscell", "x", data=np.array([[1.0, 0.9], [0.0, 0.2], [1.0, 0.8]]))
    assert "Suite2p calls the row x" in text_of(author.report())


def test_one_image_may_lie_below_all_planes_of_a_volume(author):
    author.add_table([[(1, 2, 0, 1.0)], [(5, 9, 3, 1.0)]], form="voxel_mask")
    (table,) = author.report().tables
    image = np.random.default_rng(0).random(table.pixels.lists.field_shape[:2])
    below = attrs.evolve(table, backdrop=Backdrop(image=image, origin="an image"))
    captions = [figure.caption for figure in outline_figures(below, 1 << 16)]
    assert [caption[: caption.index(".")] for caption in captions] == [
        "Outlines of 1 ROI of Cells over an image, plane 1 of 4",
        "Outlines of 1 ROI of Cells over an image, plane 4 of 4",
    ]


def test_nan_in_a_mask_is_no_pixel(author):
    mask = np.full((COLUMNS, ROWS), np.nan)
    mask[3:5, 7:9] = 1
    mask[5, 5] = 0
    author.add_movie()
    author.add_table([mask], form="image_mask")
    assert author.report().tables[0].sizes.tolist() == [4]


def test_images_and_masks_without_pixels_are_named(author):
    author.add_images(GrayscaleImage(name="mean", data=np.zeros((0, 5))))
    author.add_table([np.zeros((COLUMNS, ROWS))], form="image_mask")
    author.report()
    with h5py.File(author.path, "r+") as file:
        replaced(file, f"{TABLE}/image_mask", np.zeros((1, 0, 0)))
    report = report_of(author.path)
    assert "no pixels" in report.pictures[0].reason
    assert "no pixels" in report.tables[0].pixels.reason


def test_each_of_many_planes_has_its_own_image(author):
    for number in range(13):
        author.add_table([[(1, 2, 1.0), (23, 17, 1.0)]], name=f"Plane{number}")
    images = [np.full((COLUMNS, ROWS), float(number)) for number in range(13)]
    author.add_images(*(GrayscaleImage(name=f"mean{n}", data=i) for n, i in enumerate(images)))
    report = author.report()
    found = {each.name: each.backdrop.image[0, 0] for each in report.tables}
    assert found == {f"Plane{number}": number for number in range(13)}


@pytest.mark.parametrize("names", [("Plane1", "Plane10", "Plane11")])
def test_names_that_begin_with_another_have_their_own_images(author, names):
    for name in names:
        author.add_table([[(1, 2, 1.0), (23, 17, 1.0)]], name=name)
    author.add_images(
        *(
            GrayscaleImage(name=f"mean_{name[5:]}", data=np.full((COLUMNS, ROWS), float(name[5:])))
            for name in names
        )
    )
    found = {each.name: each.backdrop.image[0, 0] for each in author.report().tables}
    assert found == {name: float(name[5:]) for name in names}


def test_a_table_without_a_plane_has_no_field_of_a_video(author):
    video = np.zeros((10, 100, 80), np.uint8)
    author.nwbfile.add_acquisition(ImageSeries(name="Video", data=video, unit="x", rate=10.0))
    author.add_table()
    author.report()
    with h5py.File(author.path, "r+") as file:
        del file[f"{TABLE}/imaging_plane"]
    (table,) = report_of(author.path).tables
    assert table.pixels.lists.field_shape == (21, 11)


def test_what_is_not_shown_is_counted(author):
    for number in range(26):
        author.add_movie(MOVIE[:3], name=f"Movie{number}")
        author.add_table(name=f"Cells{number}")
    author.add_table(name="Background")
    author.add_images(
        *(GrayscaleImage(name=f"g{n}", data=np.eye(5)) for n in range(14)),
        RGBImage(name="rgb", data=np.zeros((5, 5, 3), np.uint8)),
        RGBAImage(name="rgba", data=np.zeros((5, 5, 4), np.uint8)),
    )
    report = author.report()
    assert (report.num_movies, report.num_rois) == (26, 78)
    text = " ".join(text_of(report).split())
    assert "movies 26 ROIs 78" in text
    assert "The first 12 of 16 images are shown." in text


def test_coloured_images_are_shown_as_they_are_stored(author):
    from PIL import Image

    colours = np.random.default_rng(0).integers(0, 256, (6, 4, 4), dtype=np.uint8)
    author.add_images(
        RGBImage(name="bytes", data=colours[..., :3]),
        RGBAImage(name="shares", data=colours / 255),
        RGBImage(name="counts", data=colours[..., :3].astype(np.uint16) * 100),
        RGBImage(name="unknown", data=np.full((6, 4, 3), np.nan)),
    )
    author.nwbfile.add_acquisition(
        Images(
            name="Photos",
            images=[
                RGBImage(name="large", data=np.ones((900, 600, 3))),
                GrayscaleImage(name="gray", data=np.eye(6, 4)),
            ],
        )
    )
    page = render_report(author.report())
    shown = {}
    for name in ("bytes", "shares", "counts", "unknown", "large", "gray"):
        before, _, caption = page.partition(f"{name}. ")
        uri = before.rpartition("data:image/png;base64,")[2].partition('"')[0]
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
        shown[name] = picture, caption.partition("<")[0]
    for name in ("bytes", "shares"):
        np.testing.assert_array_equal(shown[name][0], colours[..., :3].transpose(1, 0, 2))
    assert shown["bytes"][1] == "Colours as they are stored."
    assert shown["shares"][1] == "Colours as they are stored. The alpha channel is not shown."
    assert shown["counts"][1].startswith("Black ")
    assert shown["counts"][0].shape == shown["unknown"][0].shape == (4, 6, 3)
    assert shown["large"][0].shape[2] == 3
    assert shown["large"][0].min() == 255
    np.testing.assert_array_equal(shown["gray"][0], 255 * np.eye(4, 6))


def test_the_last_axis_of_a_video_holds_colours(author):
    video = np.zeros((10, COLUMNS, ROWS, 3), np.uint8)
    video[..., 1] = np.arange(ROWS)
    author.nwbfile.add_acquisition(ImageSeries(name="Video", data=video, unit="x", rate=10.0))
    text = text_of(author.report())
    assert "24 × 18 × 3 (x, y, colours)" in text
    assert "Mean of 10 frames, colour 2 of 3" in text
    assert "plane 2" not in text


def test_conversions_are_stated(author):
    author.add_movie(conversion=0.5, offset=3.0)
    author.add_traces(author.add_table(), conversion=-2.0)
    text = text_of(author.report())
    assert "stored value × 0.5 + 3 n.a.; stored values are shown" in text
    assert "stored value × -2 a.u.; stored values are shown" in text


def test_traces_whose_axes_are_exchanged_are_noted(usual):
    with h5py.File(usual, "r+") as file:
        replaced(file, f"{RAW}/data", TRACES.T)
    text = text_of(report_of(usual))
    assert "It has 30 columns, but names 3 ROIs: its axes seem to be exchanged" in text


@pytest.mark.parametrize("shape", [(0, 3), (NUM_FRAMES, 0), (0, 0)])
def test_sets_of_traces_without_values_are_empty(author, shape):
    author.add_traces(author.add_table(), np.zeros(shape), region=[0, 1, 2][: shape[1]])
    (traces,) = author.report().traces
    assert traces.shape == shape


def test_traces_of_some_rois_in_another_order_have_their_ids(author):
    author.add_movie()
    table = author.add_table(ids=(100, 7, 55))
    data = TRACES[:, :2].copy()
    data[10:14, 1] += 90
    author.add_traces(table, data, region=[2, 0])
    report = author.report()
    figure = trace_figures(report.traces[0], {each.path: each for each in report.tables})[1]
    assert re.findall(r"ROI \d+", figure.content) == ["ROI 100", "ROI 55"]


def test_a_series_in_a_module_has_its_own_type(author):
    region = author.add_table().create_roi_table_region(region=[0, 1, 2], description="x")
    author.module.add(RoiResponseSeries(name="r", data=TRACES, rois=region, unit="x", rate=1.0))
    assert author.report().traces[0].kind == "RoiResponseSeries"


def test_nan_is_left_out_of_the_bins_of_a_heat_map():
    values = np.random.default_rng(0).normal(size=(100, 3))
    values[::10, 0] = np.nan
    values[:10, 1] = np.nan
    values[:, 2] = np.nan
    found = heat_map(values, 10)
    for column in (0, 1):
        trace = values[:, column]
        scaled = (trace - np.nanmedian(trace)) / np.nanstd(trace)
        bins = scaled.reshape(10, 10)
        with np.errstate(invalid="ignore"):
            means = np.nansum(bins, axis=1) / np.isfinite(bins).sum(axis=1)
        np.testing.assert_allclose(found[column], means, rtol=1e-4, atol=1e-5)
    assert np.isnan(found[1, 0])
    assert np.isnan(found[2]).all()


@pytest.mark.parametrize(("gap", "label"), [(0.0, "time (s)"), (100.0, "sample")])
def test_a_heat_map_has_an_axis_of_time_only_if_its_samples_are_evenly_spaced(author, gap, label):
    times = np.arange(NUM_FRAMES) / 10
    times[15:] += gap
    author.add_traces(author.add_table(), timestamps=times)
    report = author.report()
    image, examples = trace_figures(report.traces[0], {})
    assert label in image.content
    assert "time (s)" in examples.content


def test_unknown_times_at_the_ends_do_not_bound_an_axis(author):
    times = np.arange(NUM_FRAMES) / 10 + 3
    times[[0, -1]] = np.nan
    author.add_traces(author.add_table(), timestamps=times)
    image, examples = trace_figures(author.report().traces[0], {})
    assert "nan" not in image.content + examples.content
    assert re.findall(r">([\d.]+)</text>", examples.content)[-1] == "5"


def test_times_of_the_unix_epoch_have_all_digits(author):
    author.add_movie(timestamps=1715951234.5 + np.arange(NUM_FRAMES) / 10)
    text = text_of(author.report())
    assert "1715951234.5 s" in text
    assert "1715951237.4 s" in text
    labels = tick_labels([1715951234.5 + each / 2 for each in range(6)])
    assert labels[1] == "1\u2009715\u2009951\u2009235"
    assert len({*labels}) == 6


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 0.5, 1.0], ["0", "0.5", "1"]),
        ([0.0, 2e-14, 4e-14], ["0", "2e-14", "4e-14"]),
        ([-0.1, 1e-17, 0.1], ["-0.1", "0", "0.1"]),
        ([1e6, 2e6], ["1e+06", "2e+06"]),
        ([1234567.0, 1234568.0], ["1\u2009234\u2009567", "1\u2009234\u2009568"]),
        ([3.0], ["3"]),
        ([0.0], ["0"]),
    ],
)
def test_labels_of_an_axis_differ(values, labels):
    assert tick_labels(values) == labels


def test_the_end_of_a_long_stream_is_that_of_its_last_sample(author, monkeypatch):
    monkeypatch.setattr(timing_module, "_MOST_TIMES", 12)
    author.add_movie(timestamps=np.arange(NUM_FRAMES) / 10)
    report = author.report()
    assert report.movies[0].times.end == (NUM_FRAMES - 1) / 10
    assert "first 12 timestamps" in text_of(report)
    assert report.timing.marks == {}


def test_a_series_without_times_is_not_said_to_have_a_rate(usual):
    with h5py.File(usual, "r+") as file:
        del file["acquisition/Movie/starting_time"]
    assert "not known: nothing states the times" in text_of(report_of(usual))


def test_timestamps_that_go_back_are_not_said_to_be_absent_or_whole(author):
    author.add_movie(timestamps=np.arange(NUM_FRAMES)[::-1] / 10)
    report = author.report()
    (marks,) = report.timing.marks.values()
    assert marks == (f"{NUM_FRAMES - 1} timestamps are not later than the one before.",)
    assert f", but {NUM_FRAMES - 1} timestamps are not known or not in order" in text_of(report)


def test_of_a_movie_that_was_read_in_part_nothing_is_said_of_the_rest(author):
    author.add_movie()
    report = author.report()
    assert "repeated frames none" in " ".join(text_of(report).split())
    (movie,) = report.movies
    for compared, words in (
        (NUM_FRAMES // 2, ("none of those read", "none found, but not all were compared")),
        (NUM_FRAMES, ("none", "none")),  # while a file was written
    ):
        part = attrs.evolve(
            movie.statistics, every=2, frames_read=NUM_FRAMES // 2, frames_compared=compared
        )
        shown = attrs.evolve(report, movies=(attrs.evolve(movie, statistics=part),))
        text = " ".join(text_of(shown).split())
        assert f"blank frames {words[0]} repeated frames {words[1]} frames read" in text
        assert "of those read saturated pixels (value 65535) none of those read" in text
        assert "One part in 2 of the movie was read." in text


def test_the_reason_for_which_pynwb_reads_no_file_is_one_line(author):
    author.add_table([np.ones((COLUMNS, ROWS))], form="image_mask")
    author.report()
    with h5py.File(author.path, "r+") as file:
        del file[f"{TABLE}/image_mask"]
        file[TABLE].attrs["colnames"] = np.array([], dtype="S1")
    (finding,) = (each for each in inspect_file(author.path) if each.importance == "ERROR")
    assert finding.message.startswith(f"The file cannot be read as NWB: {TABLE}: ")
    assert len(finding.message) < 300
    with pytest.raises(OutputError, match=f"left as it is: {TABLE}: ") as error:
        edit_metadata(author.path, {"NWBFile.lab": "X lab"})
    assert "Builder" not in str(error.value)
    page = write_report(author.path).read_text("utf-8")
    assert "nwb-ophys edit refuses a file" in page
    assert "as in:" not in page


def test_of_very_long_texts_the_beginning_is_shown(author):
    author.nwbfile.fields["session_description"] = "session " * 100_000
    author.add_movie(description="movie " * 100_000)
    author.add_traces(author.add_table(description="table " * 100_000), description="t" * 400_000)
    page = render_report(author.report())
    assert len(page) < 200_000
    assert page.count("characters)") == 4
    assert "the first of 800\u202f000 characters" in page


@pytest.mark.parametrize("largest", [1, 2, 40, 41, 1000])
def test_each_bin_of_sizes_holds_equally_many_whole_sizes(largest):
    counts, edges = size_bins(np.arange(1, largest + 1))
    assert len(counts) <= 40
    assert {*counts[:-1].tolist()} <= {counts[0]}
    assert (edges[0], counts.sum()) == (0.5, largest)
    assert len({*np.diff(edges).tolist()}) == 1
    assert np.diff(edges)[0] == counts[0]


def test_the_command_of_a_record_can_be_run_again():
    given = ["nwb-ophys", "convert", "my file.tif", "--set", "NWBFile.lab=A $lab"]
    record = Record(contents={"command": given}, datasets={}, values={}, attributes={})
    assert shlex.split(_written(record).command) == given


def test_the_column_that_states_acceptance_is_named(author):
    table = author.add_table()
    table.add_column("iscell", "x", data=[0.1, 0.2, 0.3])
    table.add_column("Accepted", "x", data=[1, 0, 1])
    found = author.report().tables[0]
    assert not isinstance(found, Unreadable)
    assert found.acceptance_origin == "Accepted"
    assert found.is_accepted.tolist() == [True, False, True]


def test_rois_that_are_neither_accepted_nor_rejected_are_a_third_kind(tmp_path):
    path = write_session(tmp_path / "a.nwb").path
    place = "processing/ophys/ImageSegmentation/Cells"
    with h5py.File(path, "r+") as file:
        table = file[place]
        table.create_dataset("rejected", data=[False, True, False, False, False])
        table["rejected"].attrs.update(dict(table["accepted"].attrs))
        table["rejected"].attrs["object_id"] = "0f0f"
        table.attrs["colnames"] = [*table.attrs["colnames"], "rejected"]
    found = next(each for each in gather_report(path).tables if each.path == place)
    assert counts_of(found) == {"accepted": 3, "rejected": 1, "undecided": 1}
    assert [found.state(row) for row in range(5)] == [
        *("accepted", "rejected", "accepted", "accepted", ""),
    ]
    text = write_report(path).read_text("utf-8")
    assert "3 accepted, 1 rejected, 1 undecided (columns accepted, rejected)" in text
    assert 'class="outlines roi"' in text


@pytest.mark.skipif(sys.platform != "linux", reason="Other systems have no such names.")
def test_names_whose_bytes_are_no_text_are_shown_by_their_codes(usual, tmp_path, capsys):
    folder = tmp_path / os.fsdecode(b"b\xff")
    folder.mkdir()
    shutil.copy(usual, folder / "a.nwb")
    with pytest.raises(SystemExit) as end:
        main(["report", str(tmp_path), "-o", str(tmp_path / "pages")])
    assert end.value.code == 0, capsys.readouterr().err
    page = tmp_path / "pages" / folder.name / "a.nwb.html"
    assert "b\\xff/a.nwb" in page.read_text("utf-8")
    index = (tmp_path / "pages" / "index.html").read_text("utf-8")
    assert 'href="b%FF/a.nwb.html">b\\xff/a.nwb</a>' in index


def rewritten(values=None):
    """Return what gives a movie other data; without values it has none."""

    def change(file):
        del file["acquisition/Movie/data"]
        if values is not None:
            file["acquisition/Movie/data"] = values

    return change


def linked(file):
    rewritten()(file)
    file["acquisition/Movie/data"] = h5py.ExternalLink("other.nwb", "/movie")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (rewritten(np.zeros((3, 4, 5, 2, 2))), "have the shape (3, 4, 5, 2, 2)"),
        (rewritten(np.zeros((6, 8))), "have the shape (6, 8)"),
        (rewritten(5), "have the shape ()"),
        (rewritten(h5py.Empty("u2")), "are empty"),
        (rewritten(), "Its 'data' is absent."),
        (linked, "is a link to 'other.nwb:/movie', which is not followed"),
    ],
)
def test_movies_whose_data_are_of_no_frames_are_named(usual, change, words):
    with h5py.File(usual, "r+") as file:
        change(file)
    report = report_of(usual)
    (found,) = report.movies
    assert words in found.reason
    assert report.num_movies == 1


def test_frames_that_were_never_written_are_named(usual):
    with h5py.File(usual, "r+") as file:
        shape = file["acquisition/Movie/data"].shape
        rewritten()(file)
        data = file["acquisition/Movie"].create_dataset(
            "data", shape, "u2", chunks=(10, *shape[1:])
        )
        data[:10] = 1
    assert "lacks 2 of 3 chunks" in text_of(report_of(usual))


def test_truth_values_have_no_saturation(usual):
    with h5py.File(usual, "r+") as file:
        rewritten(np.arange(NUM_FRAMES * 12).reshape(NUM_FRAMES, 4, 3) % 2 == 1)(file)
    text = text_of(report_of(usual))
    assert "180 (50 %)" in text
    assert "saturated" not in text


@pytest.mark.parametrize(
    ("name", "words"),
    [("rois", "It names no ROIs."), ("data", "is absent.")],
)
def test_traces_that_lack_a_part_are_named(usual, name, words):
    with h5py.File(usual, "r+") as file:
        del file[f"{RAW}/{name}"]
    assert words in text_of(report_of(usual))


def test_complex_traces_are_not_shown_as_their_real_part(usual):
    with h5py.File(usual, "r+") as file:
        replaced(file, f"{RAW}/data", TRACES * 1j)
    (found,) = report_of(usual).traces
    assert found.reason == "Its data are complex128; traces are of integers or floats."


def test_complex_images_are_not_shown_as_their_real_part(author):
    author.add_images(GrayscaleImage(name="a", data=np.ones((8, 6))))
    author.report()
    path = "processing/ophys/Summary/a"
    with h5py.File(author.path, "r+") as file:
        replaced(file, path, np.full((8, 6), 1j))
    (found,) = report_of(author.path).pictures
    assert found.reason == "Its values are complex128; an image has integers or floats."


def test_images_of_stimuli_are_shown(author):
    images = Images(name="Shown", images=[GrayscaleImage(name="a", data=np.ones((8, 6)))])
    author.nwbfile.add_stimulus_template(images)
    (found,) = author.report().pictures
    assert found.path == "stimulus/templates/Shown/a"


def test_rows_beyond_the_table_are_named(usual):
    with h5py.File(usual, "r+") as file:
        file[f"{RAW}/rois"][...] = [0, 1, 3]
    assert "It names row 3 of a table of 3 ROIs." in text_of(report_of(usual))


def test_traces_without_a_table_are_named(usual):
    with h5py.File(usual, "r+") as file:
        del file[f"{RAW}/rois"].attrs["table"]
    assert "It states no table of its ROIs." in text_of(report_of(usual))


def test_masks_of_voxels_lie_over_the_volume_of_several_movies(author):
    author.add_movie(name="A")
    author.add_movie(np.ones((2, COLUMNS, ROWS, 4), "u2"), name="B")
    author.add_table([[(1, 2, 0, 1.0), (1, 2, 1, 1.0)]], form="voxel_mask")
    (table,) = author.report().tables
    assert table.backdrop.origin == "the mean of 'B'"
    assert table.num_planes == 4


def test_controls_of_texts_are_shown_by_their_codes(author):
    author.nwbfile.fields["session_description"] = "\x1b[31m \u202e abc \x9b"
    page = render_report(author.report())
    assert r"\x1b[31m \u202e abc \x9b" in page
    assert not set("\x1b\u202e\x9b") & {*page}


def test_a_file_of_version_1_is_named(tmp_path):
    with h5py.File(tmp_path / "old.nwb", "w") as file:
        file["nwb_version"] = b"NWB-1.0.2"
    with pytest.raises(CorruptSourceError, match="is an NWB file of version 1"):
        gather_report(tmp_path / "old.nwb", inspection=Unchecked())


def test_images_of_the_plain_type_are_shown_and_lie_below_outlines(author):
    gray, rgb = np.arange(COLUMNS * ROWS).reshape(COLUMNS, ROWS), np.zeros((5, 4, 3), np.uint8)
    author.add_table()
    author.add_images(GrayscaleImage(name="maximum", data=gray), RGBImage(name="colours", data=rgb))
    author.report()
    with h5py.File(author.path, "r+") as file:
        for name in ("maximum", "colours"):
            file[f"processing/ophys/Summary/{name}"].attrs["neurodata_type"] = "Image"
    report = report_of(author.path)
    shown = {each.path.rpartition("/")[2]: each.image for each in report.pictures}
    np.testing.assert_array_equal(shown["maximum"], gray)
    assert shown["colours"].shape == (5, 4, 3)
    assert report.tables[0].backdrop.origin == "the image 'Summary/maximum'"


def test_images_in_other_files_are_named(usual):
    with h5py.File(usual, "r+") as file:
        group = file.create_group("processing/ophys/Summary")
        group.attrs["neurodata_type"] = "Images"
        group["brain"] = "brain.png"
        group["brain"].attrs["neurodata_type"] = "ExternalImage"
    (found,) = report_of(usual).pictures
    assert found.reason == "Its pixels are in the file 'brain.png', which is not read."


@pytest.mark.parametrize("name", ["data", "timestamps"])
def test_parts_of_traces_that_were_never_written_are_named(author, name):
    author.add_movie()
    author.add_traces(author.add_table(), timestamps=np.arange(NUM_FRAMES) / 10)
    author.report()
    with h5py.File(author.path, "r+") as file:
        whole = file[f"{RAW}/{name}"][()]
        attributes = dict(file[f"{RAW}/{name}"].attrs)
        del file[f"{RAW}/{name}"]
        made = file.create_dataset(
            f"{RAW}/{name}", whole.shape, whole.dtype, chunks=(10, *whole.shape[1:])
        )
        made[:20] = whole[:20]
        made.attrs.update(attributes)
    assert "lacks 1 of 3 chunks, positions 20 to 29" in text_of(report_of(author.path))


def test_images_that_were_never_written_are_named(author):
    author.add_images(GrayscaleImage(name="mean", data=np.ones((8, 6))))
    author.report()
    path = "processing/ophys/Summary/mean"
    with h5py.File(author.path, "r+") as file:
        attributes = dict(file[path].attrs)
        del file[path]
        file.create_dataset(path, (8, 6), "f8", chunks=(8, 6)).attrs.update(attributes)
    (found,) = report_of(author.path).pictures
    assert "never written" in found.reason


@pytest.mark.parametrize("rate", [0.0, -10.0])
def test_a_rate_that_is_not_above_zero_is_stated(usual, rate):
    with h5py.File(usual, "r+") as file:
        file["acquisition/Movie/starting_time"].attrs["rate"] = rate
    text = " ".join(text_of(report_of(usual)).split())
    assert f"rate {rate:g} Hz, which is not above 0" in text
    assert f"It states a rate of {rate:g} Hz, which gives its samples no times." in text


def test_image_masks_of_another_size_than_the_movie_are_named(author):
    author.add_movie()
    author.add_table([np.eye(ROWS, COLUMNS)], form="image_mask")
    text = text_of(author.report())
    assert "have 18 × 24 pixels (x, y), but the field 24 × 18." in text


def test_traces_are_compared_with_the_movie_of_as_many_frames(author):
    author.add_movie(MOVIE[:0], name="Begun")
    author.add_movie(MOVIE[:7], name="Calibration")
    author.add_movie(name="Session", timestamps=100 + np.arange(NUM_FRAMES) / 10)
    author.add_traces(author.add_table())
    (marks,) = author.report().timing.marks.values()
    assert marks == ("Its times differ from those of 'Session' on the same plane.",)


@pytest.mark.parametrize(("spacing", "label"), [((2.0, 2.0), "10 µm"), ((2.0, 3.0), "10 µm (x)")])
def test_the_scale_bar_of_pixels_that_are_not_square_names_its_axis(author, spacing, label):
    author.plane.grid_spacing = np.array(spacing) * 1e-6
    author.add_movie()
    author.add_table()
    page = render_report(author.report())
    bars = re.findall(r'<g class="bar">.*?<text[^>]*>([^<]*)</text>', page)
    assert bars == [label] * 4
    assert ("Its pixels are not square" in page) is (label != "10 µm")


def test_pictures_of_a_negative_conversion_show_the_light(author):
    light = MOVIE.astype(np.float64).mean(axis=0).T
    inverted = (65535 - MOVIE).astype(np.uint16)
    series = {"imaging_plane": author.plane, "unit": "n.a.", "rate": 10.0}
    author.nwbfile.add_acquisition(
        pynwb.ophys.TwoPhotonSeries(
            name="Movie", data=inverted, conversion=-1.0, offset=65535.0, **series
        )
    )
    author.add_table()
    report = author.report()
    page = render_report(report)
    uris = re.findall(r"data:image/png;base64,([^\"&]*)", page)
    shown = [np.asarray(_opened_png(uri)).astype(float) for uri in uris]
    pictures = [each for each in shown if each.shape == light.shape]
    # The thumbnail, the mean, the minimum, the standard deviation, and what lies below outlines.
    for number in (0, 1, 4):
        assert np.corrcoef(pictures[number].ravel(), light.ravel())[0, 1] > 0.9
    text = " ".join(text_of(report).split())
    assert "Minimum of 30 frames" in text
    assert "brightest pixels (value 0)" in text
    assert "saturated" not in text


def _opened_png(uri):
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(uri)))


def test_lines_are_interrupted_at_gaps_and_gaps_may_be_pauses(author):
    times = np.arange(NUM_FRAMES) / 10
    times[20:] += 100
    author.add_movie(timestamps=times)
    author.add_traces(author.add_table(), timestamps=times)
    report = author.report()
    lines = re.findall(r'<path class="line[^"]*" d="([^"]*)"', render_report(report))
    assert [line.count("M") for line in lines] == [2, 2, 2, 2]
    assert "1\u202f000 in 1 gap, unless these are pauses" in text_of(report)


def test_of_many_gaps_the_longest_are_drawn(author, monkeypatch):
    monkeypatch.setattr(timing_module, "_MOST_GAPS", 2)
    times = np.arange(NUM_FRAMES) / 10
    for number, pause in ((5, 1), (10, 7), (20, 2), (25, 9)):
        times[number:] += pause
    author.add_movie(timestamps=times)
    (stream,) = author.report().timing.streams
    assert stream.gaps == ((times[9], times[10]), (times[24], times[25]))


def test_volumes_are_not_called_frames(author):
    author.add_movie(np.arange(20 * 6 * 5 * 3, dtype=np.uint16).reshape(20, 6, 5, 3))
    text = " ".join(text_of(author.report()).split())
    assert "Mean of 20 volumes, plane 1 of 3" in text
    assert "Mean of each volume, of 20 volumes." in text


def test_numbers_of_rois_are_whole(author):
    author.add_table()
    page = render_report(author.report())
    chart = page[page.index("Sizes of masks") :].partition("</svg>")[0]
    ticks = re.findall(r'class="tick"[^>]*>([^<]*)<', chart)
    assert ticks == ["0", "1", "2", "1", "2"]


def test_a_store_that_leads_to_another_asks_for_the_folder(tmp_path):
    """Fault: a class of errors was named, and the advised option of verify was ignored."""
    for name in ("raw", "processed"):
        write_session(tmp_path / f"{name}.nwb.zarr", io=NWBZarrIO)
    path, other = tmp_path / "processed.nwb.zarr", tmp_path / "raw.nwb.zarr"
    link = {"name": "Linked", "source": "../raw.nwb.zarr", "path": "/acquisition/Movie"}
    (path / ".zmetadata").unlink()
    (path / "acquisition" / ".zattrs").write_text(json.dumps({"zarr_link": [link]}))
    for act in (report_of, verify):
        with pytest.raises(OutsideFolderError, match=r"^The reference .*allow_outside") as raised:
            act(path)
        assert str(other) in str(raised.value)
    assert gather_report(path, allow_outside=[tmp_path], inspection=Unchecked()).num_movies == 1
    with pytest.raises(SourceError, match="has no record"):
        verify(path, options={"allow_outside": str(other)})
