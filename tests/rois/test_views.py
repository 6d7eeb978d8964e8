"""Tests of views of a segmentation: correct masks, traces and properties for any selection."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.formats.caiman.reader import CaimanExtractor
from nwb_ophys.formats.suite2p.rois import MendedSuite2pExtractor
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.traces import TraceView
from nwb_ophys.rois.views import BackgroundComponents, FirstSamples, SelectedRois
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p

NUM_ROIS, NUM_SAMPLES = 5, 12
RECORDING = simulate_recording(num_samples=NUM_SAMPLES, num_cells=NUM_ROIS)


@attrs.define
class _Stored:
    """Return a trace in the form of roiextractors."""

    response_type: str
    data: np.ndarray
    roi_ids: list


def _arrays(ids=("a", "b", "c", "d", "e")):
    traces = np.arange(NUM_SAMPLES * NUM_ROIS, dtype=float).reshape(NUM_SAMPLES, NUM_ROIS)
    extractor = ArraySegmentationExtractor(
        np.moveaxis(RECORDING.image_masks(), 0, -1),
        {"raw": traces, "dff": -traces},
        sampling_frequency=30.0,
        roi_ids=list(ids),
        images={"mean": RECORDING.mean_image()},
        accepted=[True, False, True, True, False],
    )
    extractor.set_property("rank", np.arange(NUM_ROIS) * 1.5, list(ids), description="Rank.")
    extractor.set_property("pair", np.arange(NUM_ROIS * 2).reshape(-1, 2), list(ids))
    return extractor


@pytest.fixture(scope="module")
def caiman(tmp_path_factory):
    path = tmp_path_factory.mktemp("caiman") / "a.hdf5"
    extractor = CaimanExtractor(write_caiman(path, RECORDING, accepted=[1, 3]))
    yield extractor
    extractor._dataset_file.close()


@pytest.fixture(scope="module")
def suite2p(tmp_path_factory):
    folder = write_suite2p(
        tmp_path_factory.mktemp("suite2p"),
        RECORDING,
        iscell=[[True, False, True, False, False]],
        second_channel=True,
    )
    return MendedSuite2pExtractor(folder, "chan1", "plane0")


# --- some of the ROIs ---------------------------------------------------------------------------


@given(st.permutations("abcde").flatmap(lambda ids: st.integers(1, 5).map(lambda n: ids[:n])))
def test_selected_rois_keep_their_masks_traces_and_properties(ids):
    parent = _arrays()
    view = SelectedRois(parent, ids)
    index = ["abcde".index(roi_id) for roi_id in ids]
    assert view.get_roi_ids() == ids
    assert view.get_num_rois() == len(ids)
    np.testing.assert_array_equal(
        view.get_roi_image_masks(), np.moveaxis(RECORDING.image_masks()[index], 0, -1)
    )
    traces = parent.get_traces_dict()
    for name in ("raw", "dff"):
        np.testing.assert_array_equal(view.get_traces_dict()[name][:], traces[name][:, index])
        np.testing.assert_array_equal(view.get_traces(name=name), traces[name][:, index])
    assert view.get_property("is_accepted", ids).tolist() == [
        [True, False, True, True, False][i] for i in index
    ]
    info = view.get_property_info("rank")
    assert info.data.tolist() == [i * 1.5 for i in index]
    assert info.description == "Rank."
    assert view.get_property_info("pair").data.tolist() == [[2 * i, 2 * i + 1] for i in index]
    assert set(view.get_property_keys()) == {"is_accepted", "rank", "pair"}


def test_a_selection_of_a_selection_and_of_first_samples():
    parent = _arrays(ids=[10, 3, 7, 0, 5])
    raw = parent.get_traces_dict()["raw"]
    for view in (
        SelectedRois(SelectedRois(FirstSamples(parent, 4), [5, 10, 7]), [7, 5]),
        FirstSamples(SelectedRois(SelectedRois(parent, [5, 10, 7]), [7, 5]), 4),
        SelectedRois(FirstSamples(SelectedRois(parent, [5, 10, 7]), 4), (7, 5)),
    ):
        assert view.get_num_samples() == 4
        np.testing.assert_array_equal(view.get_traces_dict()["raw"][:], raw[:4, [2, 4]])
        np.testing.assert_array_equal(Rois.of(view).traces["raw"][:], raw[:4, [2, 4]])
        np.testing.assert_array_equal(
            np.moveaxis(view.get_roi_image_masks(), -1, 0), RECORDING.image_masks()[[2, 4]]
        )
        assert view.get_property("rank", [5, 7]).tolist() == [6.0, 3.0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["z"], r"roi_ids: \['z'\] are not among them; the 5 ROIs are 'a', 'b', 'c', 'd', 'e'\."),
        (["a", 1], r"\[1\] are not among them"),
        ([], "give each id once, at least one"),
        (["a", "b", "a"], r"give each id once, not 'a' \(2 times\), at least one"),
    ],
)
def test_rois_that_there_are_not_are_an_error(ids, message):
    with pytest.raises(OptionError, match=message):
        SelectedRois(_arrays(), ids)


def test_ids_of_numpy_are_ids():
    view = SelectedRois(_arrays(ids=range(5)), np.array([3, 1]))
    np.testing.assert_array_equal(
        np.moveaxis(view.get_roi_image_masks(), -1, 0), RECORDING.image_masks()[[3, 1]]
    )
    assert view.get_property("rank", view.get_roi_ids()).tolist() == [4.5, 1.5]


def test_selected_components_of_caiman_keep_the_background(caiman):
    view = SelectedRois(caiman, [4, 1])
    assert view.get_background_ids() == ["background0", "background1"]
    traces = view.get_traces_dict()
    fluorescence = RECORDING.fluorescence[:, [4, 1]]
    np.testing.assert_allclose(traces["raw"][:], fluorescence, rtol=1e-6)
    np.testing.assert_allclose(traces["denoised"][:], RECORDING.calcium[:, [4, 1]])
    np.testing.assert_array_equal(traces["background"], caiman.get_traces_dict()["background"])
    assert list(Rois.of(view).background_traces) == ["background"]
    assert "background" not in Rois.of(view).traces
    assert view.get_property_info("is_accepted").data.tolist() == [False, True]
    assert view.get_property("snr", [4, 1]).tolist() == pytest.approx([1.8, 5.2])
    masks = attrs.evolve(Rois.of(view), ids=[1, 4]).images
    np.testing.assert_allclose(masks.image(0), RECORDING.image_masks()[1].T)
    np.testing.assert_allclose(masks.image(1), RECORDING.image_masks()[4].T)


def test_selected_rois_of_suite2p(suite2p):
    view = SelectedRois(suite2p, [3, 0, 2])
    np.testing.assert_array_equal(
        view.get_traces_dict()["neuropil"][:], RECORDING.neuropil[:, [3, 0, 2]]
    )
    assert view.get_property_info("iscell").data.tolist() == [0, 1, 1]
    assert view.get_property_info("redcell").data.tolist() == [0, 1, 1]
    for found, index in zip(attrs.evolve(Rois.of(view), ids=[2, 3]).pixels, (2, 3), strict=True):
        # NWB counts (x, y), roiextractors (row, column).
        expected = RECORDING.pixel_masks[index][:, [1, 0, 2]]
        np.testing.assert_array_equal(found, expected)


# --- the first samples --------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (5, 5), (12, 12), (99, 12)])
def test_the_first_samples_are_those_of_every_trace(caiman, asked, given):
    view = FirstSamples(caiman, asked)
    assert view.get_num_samples() == given
    whole = caiman.get_traces_dict()
    for name, trace in view.get_traces_dict().items():
        if trace is not None:
            assert trace.shape == (given, whole[name].shape[1])
            np.testing.assert_array_equal(trace[:], np.asarray(whole[name])[:given])
            np.testing.assert_array_equal(np.asarray(trace), np.asarray(whole[name])[:given])
    assert view.get_roi_ids() == list(range(5))
    np.testing.assert_array_equal(view.get_roi_image_masks(), caiman.get_roi_image_masks())
    assert list(Rois.of(view).background_traces) == ["background"]
    assert view.get_sampling_frequency() == 30.0
    assert list(view.get_images_dict()) == ["correlation"]
    np.testing.assert_array_equal(
        view.get_background_image_masks(), caiman.get_background_image_masks()
    )


def test_times_of_a_view_are_the_first_of_the_parents():
    parent = _arrays()
    view = FirstSamples(SelectedRois(parent, ["b"]), 3)
    assert not view.has_time_vector()
    assert view.get_native_timestamps() is None
    parent.set_times(np.arange(NUM_SAMPLES) + 5.0)
    assert view.has_time_vector()
    assert view.get_timestamps().tolist() == [5, 6, 7]
    assert view.get_timestamps(1, 2).tolist() == [6]
    view.set_times([1.0, 2.0, 4.0])
    assert view.get_timestamps().tolist() == [1, 2, 4]
    assert parent.get_timestamps()[0] == 5


# --- the background as ROIs ---------------------------------------------------------------------


def test_background_components_as_rois(caiman):
    view = BackgroundComponents(caiman)
    assert view.get_roi_ids() == ["background0", "background1"]
    assert view.get_num_rois() == 2
    assert view.get_background_ids() == []
    assert view.get_num_background_components() == 0
    assert view.get_images_dict() == {}
    assert view.get_property_keys() == []
    traces = {name: t for name, t in view.get_traces_dict().items() if t is not None}
    assert list(traces) == ["background"]
    np.testing.assert_array_equal(
        Rois.of(view).traces["background"], caiman.get_traces_dict()["background"]
    )
    for index, roi_id in enumerate(view.get_roi_ids()):
        np.testing.assert_array_equal(
            view.get_roi_image_masks([roi_id])[..., 0],
            caiman.get_background_image_masks()[..., index],
        )
    assert len(view.get_roi_pixel_masks()) == 2
    first = FirstSamples(view, 3)
    assert Rois.of(first).traces["background"].shape == (3, 2)


def test_the_background_of_first_samples(caiman):
    view = BackgroundComponents(FirstSamples(SelectedRois(caiman, [2]), 4))
    assert Rois.of(view).traces["background"].shape == (4, 2)
    assert view.get_roi_ids() == ["background0", "background1"]


def test_neuropil_of_rois_is_no_background(suite2p):
    assert Rois.of(suite2p).background_ids == []
    assert list(Rois.of(suite2p).background_traces) == []
    assert set(Rois.of(suite2p).traces) == {"raw", "neuropil", "deconvolved"}


class _WithCountedNeuropil(ArraySegmentationExtractor):
    """Neuropil of the ROIs, which roiextractors counts as background where it keeps no masks."""

    def get_background_ids(self):
        return [0, 1, 2, 3, 4]


def test_components_that_are_rois_are_no_background():
    trace = np.arange(NUM_SAMPLES * NUM_ROIS, dtype=float).reshape(NUM_SAMPLES, NUM_ROIS)
    masks = np.moveaxis(RECORDING.image_masks(), 0, -1)
    parent = _WithCountedNeuropil(masks, {"neuropil": trace, "background": trace})
    for view in (parent, FirstSamples(parent, 12), SelectedRois(parent, [0, 1, 2, 3, 4])):
        assert Rois.of(view).background_ids == []
        assert list(Rois.of(view).background_traces) == []
        assert set(Rois.of(view).traces) == {"neuropil", "background"}
    view = SelectedRois(parent, [3, 1])
    np.testing.assert_array_equal(Rois.of(view).traces["neuropil"][:], trace[:, [3, 1]])


class _WithBackground(ArraySegmentationExtractor):
    """Traces of background components under another name, as many as there are ROIs."""

    def get_background_ids(self):
        return ["n0", "n1", "n2", "n3", "n4"]


def test_traces_are_of_the_background_if_they_say_so_in_views_too():
    parent = _WithBackground(np.moveaxis(RECORDING.image_masks(), 0, -1), {})
    cells = np.arange(NUM_SAMPLES * NUM_ROIS, dtype=float).reshape(NUM_SAMPLES, NUM_ROIS)
    stored = [
        _Stored("raw", cells, [0, 1, 2, 3, 4]),
        _Stored("neuropil", -cells, parent.get_background_ids()),
    ]
    parent._roi_responses = stored
    parent._traces = {one.response_type: one.data for one in stored}
    for view in (parent, FirstSamples(parent, 12), SelectedRois(parent, [4, 3, 2, 1, 0])):
        assert list(Rois.of(view).background_traces) == ["neuropil"]
        assert set(Rois.of(view).traces) == {"raw"}
        np.testing.assert_array_equal(view.get_traces_dict()["neuropil"][:], -cells)


# --- whose a trace is ---------------------------------------------------------------------------


def test_traces_in_another_order_of_rois_are_put_in_theirs():
    parent = _arrays()
    raw = parent.get_traces_dict()["raw"]
    order = ["d", "a", "e", "c", "b"]
    columns = ["abcde".index(roi_id) for roi_id in order]
    parent._traces["raw"] = raw[:, columns]
    parent._roi_responses = [_Stored("raw", raw[:, columns], order)]
    np.testing.assert_array_equal(Rois.of(parent).traces["raw"][:], raw)
    np.testing.assert_array_equal(
        SelectedRois(parent, ["e", "b"]).get_traces_dict()["raw"][:], raw[:, [4, 1]]
    )
    np.testing.assert_array_equal(FirstSamples(parent, 2).get_traces_dict()["raw"][:], raw[:2])
    # Told twice of the order, it would be undone.
    twice = FirstSamples(SelectedRois(parent, ["a", "b", "c", "d", "e"]), 3)
    np.testing.assert_array_equal(Rois.of(twice).traces["raw"][:], raw[:3])


def test_a_trace_that_cannot_be_assigned_is_an_error():
    parent = _arrays()
    parent._traces["raw"] = parent._traces["raw"][:, :3]
    with pytest.raises(SourceError, match=r"'raw' .* has 3 columns for 5 ROIs"):
        _ = Rois.of(parent).traces


def test_absent_and_empty_traces_are_left_out():
    parent = _arrays()
    parent._traces |= {"none": None, "empty": np.zeros((12, 0)), "neither": np.zeros(0)}
    parent._traces["zeros"] = np.zeros((12, 5))
    assert set(Rois.of(parent).traces) == {"raw", "dff", "zeros"}


@pytest.mark.parametrize("shape", [(12,), (12, 5, 1)])
def test_traces_with_other_axes_are_refused(shape):
    """Fault: they were left out without a word."""
    parent = _arrays()
    parent._traces["flat"] = np.zeros(shape)
    with pytest.raises(SourceError, match=r"'flat' of .* has the shape .* \(samples, ROIs\), with"):
        Rois.of(parent).traces  # noqa: B018


@given(st.data())
def test_a_trace_view_slices_like_the_array_it_stands_for(data):
    whole = np.arange(60).reshape(10, 6)
    columns = data.draw(st.none() | st.lists(st.integers(0, 5), min_size=1, max_size=6))
    num_samples = data.draw(st.none() | st.integers(0, 12))
    view = TraceView(whole, columns, num_samples)
    expected = whole[:num_samples][:, columns] if columns else whole[:num_samples]
    assert view.shape == expected.shape
    assert view.dtype == whole.dtype
    assert len(view) == len(expected)
    np.testing.assert_array_equal(np.asarray(view), expected)
    rows = data.draw(st.slices(12))
    np.testing.assert_array_equal(view[rows], expected[rows])
    np.testing.assert_array_equal(view[rows, ::-1], expected[rows, ::-1])
    np.testing.assert_array_equal(view[rows, 0], expected[rows, 0])
    if len(expected):
        row = data.draw(st.integers(-len(expected), len(expected) - 1))
        np.testing.assert_array_equal(view[row], expected[row])
        assert view[row, 0] == expected[row, 0]


def test_a_trace_view_is_read_when_it_is_sliced_and_only_there():
    class Source:
        shape, dtype, asked = (1000, 3), np.dtype("f4"), []

        def __getitem__(self, selection):
            self.asked.append(selection)
            return np.zeros(self.shape, self.dtype)[selection]

    view = TraceView(Source(), [2, 0], num_samples=500)
    assert Source.asked == []
    assert view[10:20].shape == (10, 2)
    assert Source.asked == [(slice(10, 20), slice(None))]
    assert view[490:].shape == (10, 2)
    with pytest.raises(IndexError):
        view[500]
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(view, copy=False)
