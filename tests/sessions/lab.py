"""A lab with sessions of five formats, some of them damaged, and its specification."""

from __future__ import annotations

import shutil
from pathlib import Path

from nwb_ophys.formats import builtin_rows
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

FORMATS = ("tiff", "suite2p", "scanimage", "bruker", "caiman")
SPECIFICATION = """\
output: dandi
metadata: lab.yaml
subjects: participants.tsv
sessions:
  - pattern: raw/tiff/{subject_id}/{session_id}
    options: {sampling_frequency: 30}
  - pattern: raw/suite2p/{subject_id}/{session_id}
  - pattern: raw/scanimage/{subject_id}/{session_id}
  - pattern: raw/bruker/{subject_id}/{session_id}
  - pattern: raw/caiman/{subject_id}/{session_id}
"""
LAB = """\
NWBFile:
  session_start_time: "2024-05-17T14:30:00+02:00"
  session_description: Drifting gratings.
  experimenter: ["Curie, Marie"]
  institution: University of X
  lab: X lab
"""


def make_lab(folder: Path, per_format: int = 12) -> Path:
    """Write sessions of five formats, and return the path of their specification.

    Parameters
    ----------
    folder : pathlib.Path
    per_format : int
        Number of sessions of each format; each subject has two.
    """
    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)
    rows = {row.name: row for row in builtin_rows()}
    subjects = ["participant_id\tspecies\tsex\tage\tstrain"]
    for letter, name in zip("TSIBC", FORMATS, strict=True):
        first = None
        for index in range(per_format):
            subject = f"{letter}{index // 2 + 1}"
            place = folder / "raw" / name / subject / f"day{index % 2 + 1}"
            if first is None:
                place.mkdir(parents=True)
                write_sample(rows[name], place, recording)
                first = place
            else:
                shutil.copytree(first, place)
            if index % 2 == 0:
                subjects.append(f"sub-{subject}\tMus musculus\tF\tP90D\tC57BL/6J")
    (folder / "participants.tsv").write_text("\n".join(subjects) + "\n")
    (folder / "lab.yaml").write_text(LAB)
    path = folder / "lab-sessions.yaml"
    path.write_text(SPECIFICATION)
    return path
