"""Files of programs whose formats are not read: names, first bytes, and the way to a TIFF file."""

from __future__ import annotations

from pathlib import Path

import attrs

from nwb_ophys.paths import PathProbe

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@attrs.frozen(kw_only=True)
class ForeignFormat:
    """Format of another program that is recognised, but not read.

    Attributes
    ----------
    suffixes : tuple of str
        Endings of the files, in lower case.
    what : str
        Description of the file, with its article.
    starts : tuple of bytes
        First bytes of the files, one of them; empty if they have none in common.
    at : int
        Position of these bytes.
    is_unique : bool
        Whether no other format starts with these bytes, so that they identify renamed files.
    program : str
        Program that exports TIFF files, with the name of the command if there is one.
    in_bioformats : bool
        Whether Bio-Formats reads the files.
    """

    suffixes: tuple[str, ...]
    what: str
    starts: tuple[bytes, ...] = ()
    at: int = 0
    is_unique: bool = False
    program: str = ""
    in_bioformats: bool = True

    def starts_like(self, head: bytes) -> bool:
        """Return whether the first bytes of a file are those of this format."""
        return not self.starts or head[self.at :].startswith(self.starts)

    def advice(self, path: Path) -> str:
        """Return the way from a file of this format to a file that is read."""
        ways = [f"export it as TIFF or OME-TIFF in {self.program}"] if self.program else []
        if self.in_bioformats:
            ways.append(
                "convert it with the command of Bio-Formats, "
                f"bfconvert '{path.name}' '{path.stem}.ome.tif'"
            )
        way = ", or ".join(ways)
        return f"{way[:1].upper()}{way[1:]}; then give the TIFF files."


@attrs.frozen(kw_only=True)
class ForeignVideo(ForeignFormat):
    """Format of videos, of cameras as well as of microscopes."""

    def advice(self, path: Path) -> str:
        """Return which videos are read, and how to make TIFF files of others."""
        return (
            "Only videos of a Miniscope are read: give the folder with their metaData.json or "
            "timestamp.dat. Save the video of another microscope as TIFF files: "
            f"ffmpeg -i '{path.name}' -pix_fmt gray '{path.stem}_%06d.tif'."
        )


FOREIGN_FORMATS: tuple[ForeignFormat, ...] = (
    ForeignFormat(
        suffixes=(".nd2",),
        what="a file of Nikon's NIS-Elements",
        starts=(b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP  "),
        program="NIS-Elements (Export ND Document)",
    ),
    ForeignFormat(
        suffixes=(".czi",),
        what="a file of Zeiss ZEN",
        starts=(b"ZISRAWFILE",),
        is_unique=True,
        program="ZEN (OME TIFF-Export)",
    ),
    ForeignFormat(
        suffixes=(".lsm",),
        what="a file of a Zeiss LSM microscope",
        starts=_TIFF,
        program="ZEN (OME TIFF-Export)",
    ),
    ForeignFormat(
        suffixes=(".lif", ".lof", ".xlef"),
        what="a file of Leica's LAS X",
        program="LAS X",
    ),
    ForeignFormat(
        suffixes=(".oib",),
        what="a file of Olympus FluoView",
        starts=(_COMPOUND,),
        program="FluoView",
    ),
    ForeignFormat(
        suffixes=(".oif",),
        what="a recording of Olympus FluoView (settings; the images are in the folder .oif.files)",
        starts=(*_UTF16, b"["),
        program="FluoView",
    ),
    ForeignFormat(
        suffixes=(".oir", ".poir"),
        what="a file of Olympus (Evident) FluoView",
        starts=(b"OLYMPUSRAWFORMAT", b"PK\x03\x04"),
        program="FluoView",
    ),
    ForeignFormat(
        suffixes=(".vsi",),
        what="a file of Olympus (Evident) cellSens",
        starts=_TIFF,
        program="cellSens",
    ),
    ForeignFormat(suffixes=(".ims",), what="a file of Imaris", starts=(_HDF5,), program="Imaris"),
    ForeignFormat(
        suffixes=(".sif", ".sifx"),
        what="a file of Andor Solis",
        starts=(b"Andor Technology Multi-Channel File",),
        is_unique=True,
        program="Andor Solis",
    ),
    ForeignFormat(
        suffixes=(".dcimg",),
        what="a file of Hamamatsu's HCImage",
        starts=(b"DCIMG",),
        is_unique=True,
        program="HCImage",
        in_bioformats=False,
    ),
    ForeignFormat(
        suffixes=(".cxd",),
        what="a file of Hamamatsu's SimplePCI or HCImage",
        starts=(_COMPOUND,),
        program="HCImage",
    ),
    ForeignFormat(
        suffixes=(".spe",), what="a file of Princeton Instruments' WinSpec or LightField"
    ),
    ForeignFormat(
        suffixes=(".tsm",),
        what="a file of TurboSM",
        starts=(b"SIMPLE",),
        program="the software of the camera",
        in_bioformats=False,
    ),
    ForeignFormat(
        suffixes=(".lei",), what="a file of the Leica Confocal Software", program="LAS X"
    ),
    ForeignFormat(suffixes=(".zvi",), what="a file of Zeiss AxioVision", starts=(_COMPOUND,)),
    ForeignFormat(suffixes=(".sld", ".sldy"), what="a file of SlideBook", program="SlideBook"),
    ForeignFormat(
        suffixes=(".dv", ".r3d"), what="a file of a DeltaVision microscope", program="softWoRx"
    ),
    ForeignFormat(suffixes=(".ics", ".ids"), what="a file in the Image Cytometry Standard"),
    ForeignVideo(suffixes=(".avi",), what="a video (AVI)", starts=(b"AVI ",), at=8, is_unique=True),
    ForeignVideo(
        suffixes=(".mkv", ".webm"),
        what="a video (Matroska)",
        starts=(b"\x1aE\xdf\xa3",),
        is_unique=True,
    ),
    ForeignVideo(
        suffixes=(".mp4", ".m4v", ".mov"),
        what="a video (MP4 or QuickTime)",
        starts=(b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
        at=4,
    ),
    ForeignVideo(
        suffixes=(".wmv",),
        what="a video (Windows Media)",
        starts=(b"0&\xb2u\x8ef\xcf\x11",),
        is_unique=True,
    ),
)
"""All formats that are recognised, but not read."""


_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")


# Of gzip, bzip2, xz, Zstandard, 7-Zip and RAR; files of many programs begin as ZIP archives do.
_PACKED_HEADS = (
    *(b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
)


def packed_refusal(probe: PathProbe) -> str | None:
    """Return that an archive must be unpacked, or None for other files and folders.

    Parameters
    ----------
    probe : PathProbe
    """
    if not probe.is_file:
        return None
    if not probe.path.name.lower().endswith(_PACKED):
        if not probe.head().startswith(_PACKED_HEADS):
            return None
        return (
            f"'{probe.path}' is compressed, whatever its name says: its first bytes are those of "
            "such a file, or of an object that was uploaded with Content-Encoding. Such files are "
            "not read; unpack it, and give what was in it."
        )
    return (
        f"'{probe.path}' is an archive or a compressed file, which is not read. Unpack it, and "
        "give the files or the folder that were in it."
    )


def foreign_refusal(probe: PathProbe) -> str | None:
    """Return what a file of another program is and how it becomes a TIFF file, or None.

    Parameters
    ----------
    probe : PathProbe
        File with the ending of a foreign format, or with first bytes that only one format has.
    """
    if not probe.is_file:
        return None
    name, head = probe.path.name.lower(), probe.head()
    named = [each for each in FOREIGN_FORMATS if name.endswith(each.suffixes)]
    alike = [each for each in named if each.starts_like(head)]
    by_bytes = [each for each in FOREIGN_FORMATS if each.is_unique and each.starts_like(head)]
    for each in (*alike, *by_bytes, *named):
        found = f"is {each.what}"
        if not each.starts_like(head):
            found = f"is named like {each.what} but does not begin like one; such a file"
            return f"'{probe.path}' {found} is not read yet. {each.advice(probe.path)}"
        return f"'{probe.path}' {found}, which is not read yet. {each.advice(probe.path)}"
    return None
