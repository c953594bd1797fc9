"""From files to images: bit layouts, compressed syntaxes, polarity, and errors that quote no value."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    generate_uid,
)

from agent.foundation.errors import UnreadableImage
from agent.objects.films.choosing.view import view_of
from agent.objects.pixels import MAXIMUM_PIXELS, load_header, load_image

PATIENT = "CANARY^PATIENT"


def film(stored: NDArray[np.integer], **attributes: object) -> FileDataset:
    """A digital chest film with the given stored values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["film"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientName = PATIENT
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    bits = stored.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
    dataset.PixelData = stored.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def saved(dataset: FileDataset, folder: Path) -> Path:
    """The film, saved as a file."""
    path = folder / "film.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def test_image_twelve_bit_window_maps_to_full_range(tmp_path: Path) -> None:
    """A window over all of the values gives black to white in order."""
    path = saved(film(RAMP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096), tmp_path)
    pixels = load_image(path).pixels
    assert (int(pixels[0, 0]), int(pixels[-1, -1])) == (0, 255)
    assert bool(np.all(np.diff(pixels.ravel().astype(int)) >= 0))


def test_image_monochrome1_is_inverted(tmp_path: Path) -> None:
    """A MONOCHROME1 film and its MONOCHROME2 equivalent look the same."""
    window = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = load_image(saved(film(RAMP, **window), tmp_path)).pixels
    twin = film(
        4095 - RAMP, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE", **window
    )
    inverted = load_image(saved(twin, tmp_path)).pixels
    assert int(np.abs(plain.astype(int) - inverted).max()) <= 1


def test_image_signed_values_keep_their_order(tmp_path: Path) -> None:
    """Negative stored values are darker than positive ones, whatever the unused high bits contain."""
    signed = (RAMP.astype(np.int16) - 2048).reshape(64, 64)
    junk = np.where(np.arange(4096).reshape(64, 64) % 2 == 0, signed & 0x0FFF, (signed & 0x0FFF) | 0x7000)
    path = saved(
        film(junk.astype(np.int16), BitsStored=12, HighBit=11, WindowCenter=0, WindowWidth=4096), tmp_path
    )
    pixels = load_image(path).pixels
    assert bool(np.all(np.diff(pixels.ravel().astype(int)) >= 0))
    assert int(pixels[-1, -1]) == 255


def test_image_sample_in_upper_bits_is_shifted_down(tmp_path: Path) -> None:
    """High Bit 15 with 12 stored bits means that the sample is in the upper bits of its word."""
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = load_image(saved(film(RAMP, BitsStored=12, HighBit=11, **window), tmp_path)).pixels
    upper = load_image(saved(film(RAMP << 4, BitsStored=12, HighBit=15, **window), tmp_path)).pixels
    assert np.array_equal(plain, upper)


def test_image_without_window_uses_the_percentiles(tmp_path: Path) -> None:
    """A film without a window gets full contrast, and one hot pixel does not darken the rest."""
    stored = (RAMP // 8 + 1000).astype(np.uint16)
    stored[0, 0] = 60000
    pixels = load_image(saved(film(stored), tmp_path)).pixels
    assert int(pixels[-1, -1]) == 255
    assert 100 < float(pixels.mean()) < 155


def test_image_gray_rgb_becomes_luminance(tmp_path: Path) -> None:
    """A Secondary Capture with three equal channels is read as a grey image."""
    gray = (RAMP // 16).astype(np.uint8)
    pixels = load_image(saved(film(np.repeat(gray[..., None], 3, axis=2)), tmp_path)).pixels
    assert np.array_equal(pixels, gray)


def test_image_header_holds_no_pixels(tmp_path: Path) -> None:
    """The header that is passed to the documents is small."""
    image = load_image(saved(film(RAMP, ViewPosition="LL"), tmp_path))
    assert "PixelData" not in image.header
    assert "PixelData" not in load_header(tmp_path / "film.dcm")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"NumberOfFrames": 2}, "several frames"),
        ({"Rows": 60000, "Columns": 60000}, f"{MAXIMUM_PIXELS}"),
        ({"Rows": 65}, "cannot be decoded"),
        ({"Rows": 0}, "no rows"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "bits a sample"),
        ({"BitsStored": 12, "HighBit": 3}, "Bits Stored"),
        ({"SamplesPerPixel": 2}, "samples a pixel"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "display attributes"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
    ],
)
def test_image_refusal_names_the_cause_and_no_patient(
    tmp_path: Path, attributes: dict[str, object], said: str
) -> None:
    """Each error states the cause and quotes nothing from the dataset."""
    path = saved(film(RAMP, **attributes), tmp_path)
    with pytest.raises(UnreadableImage) as caught:
        load_image(path)
    assert said in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_image_colourful_rgb_is_refused(tmp_path: Path) -> None:
    """A colour photograph is not a radiograph."""
    colours = np.zeros((8, 8, 3), dtype=np.uint8)
    colours[..., 0] = 200
    with pytest.raises(UnreadableImage, match="colour"):
        load_image(saved(film(colours), tmp_path))


def test_image_without_pixel_data_is_refused(tmp_path: Path) -> None:
    """An object that has only a header has no image."""
    dataset = film(RAMP)
    del dataset.PixelData
    with pytest.raises(UnreadableImage, match="no pixel data"):
        load_image(saved(dataset, tmp_path))


def test_image_jpeg_bomb_is_refused_before_the_codec(tmp_path: Path) -> None:
    """A codestream that claims 65,535 by 65,535 pixels under a small header never reaches the codec."""
    frame = b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9"
    dataset = film(RAMP[:8, :8].astype(np.uint8), PixelData=encapsulate([frame]))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(UnreadableImage, match="another size"):
        load_image(saved(dataset, tmp_path))


def test_image_broken_codestream_is_refused(tmp_path: Path) -> None:
    """Noise in place of a codestream gives one clear error."""
    dataset = film(RAMP, PixelData=encapsulate([b"\x00\x01noise" * 9]))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(UnreadableImage, match="frame header"):
        load_image(saved(dataset, tmp_path))


def test_image_deflate_bomb_is_refused(tmp_path: Path) -> None:
    """A deflated dataset is first inflated without keeping the output, and only up to a limit."""
    dataset = film(RAMP)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = saved(dataset, tmp_path)
    head = path.read_bytes()[: 144 + int(read_file_meta_info(path).FileMetaInformationGroupLength)]
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(2**20)
    body = b"".join(squeezer.compress(zeros) for _ in range(300)) + squeezer.flush()
    path.write_bytes(head + body)
    with pytest.raises(UnreadableImage, match="larger than 64 MB"):
        load_image(path)


@pytest.mark.filterwarnings("ignore:End of file reached:UserWarning")
@pytest.mark.parametrize(
    "content", [b"", b"DICM", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 99]
)
def test_image_no_dicom_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes are, the error is UnreadableImage."""
    path = tmp_path / "film.dcm"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        load_image(path)


@pytest.mark.parametrize(
    "name",
    [
        "JPGExtended.dcm",
        "JPEGLSNearLossless_08.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "image_dfl.dcm",
    ],
)
def test_image_every_offered_syntax_decodes(name: str) -> None:
    """Each transfer syntax that the listener offers is decoded to an image with contrast."""
    pixels = load_image(Path(str(get_testdata_file(name)))).pixels
    assert pixels.dtype == np.uint8
    assert int(np.ptp(pixels)) > 100


def test_image_compressed_and_plain_twins_agree() -> None:
    """A lossless codec changes no pixel."""
    plain = load_image(Path(str(get_testdata_file("MR_small.dcm")))).pixels
    for name in ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"):
        assert np.array_equal(plain, load_image(Path(str(get_testdata_file(name)))).pixels)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("c01_philips_cr_pa_mono1_15bit_j2k_lossy.dcm", "frontal"),
        ("c06_rsna_pa_mono2_8bit_jpegbaseline_SCclass.dcm", "frontal"),
        ("c08_nih_dx_implicit_8bit_no_bodypart.dcm", "unknown"),
    ],
)
def test_image_real_chest_films_decode(shared_data: Path, name: str, view: str) -> None:
    """The real films have contrast, and their mediastinum is brighter than their lung fields."""
    image = load_image(shared_data / "01_cxr_dicom" / name)
    height, width = image.pixels.shape
    assert view_of(image.header) == view
    spine = image.pixels[height // 2 : 3 * height // 4, 9 * width // 20 : 11 * width // 20]
    lung = image.pixels[height // 3 : height // 2, width // 5 : 3 * width // 10]
    assert float(spine.mean()) > float(lung.mean())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "folder", ["02_xray_not_chest", "03_charset", "04_odd", "05_transfer_syntax", "07_fuzz_files"]
)
def test_image_odd_files_give_an_image_or_the_one_error(shared_data: Path, folder: str) -> None:
    """No file of the odd and hostile sets raises any other error."""
    outcomes = set()
    for path in sorted((shared_data / folder).rglob("*.dcm")):
        try:
            outcomes.add(load_image(path).pixels.dtype.name)
        except UnreadableImage as error:
            outcomes.add(error.code)
    assert outcomes <= {"uint8", "image-unreadable"}
    assert outcomes


def test_header_of_a_plain_dataset_is_a_dataset(tmp_path: Path) -> None:
    """The header keeps the patient's attributes for the documents."""
    header = load_header(saved(film(RAMP), tmp_path))
    assert isinstance(header, Dataset)
    assert str(header.PatientName) == PATIENT
