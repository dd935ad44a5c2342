"""The phantom poses the problem of real chest CT: unequal organs, known tissue, no two patients alike, all of it from a seed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from adelecli.errors import OutputError
from adelecli.showcase.datasets import write_cases
from adelecli.showcase.phantom import CLASS_NAMES, SHAPE, SPACING, make_case
from adelecli.volumes.cases import pair_cases
from adelecli.volumes.naming import read_class_table
from adelecli.volumes.reading import read_image, read_labels

ESOPHAGUS, HEART, TRACHEA, AORTA = 1, 2, 3, 4


@pytest.fixture(scope="module")
def cases():
    return [make_case(0, index) for index in range(4)]


def test_the_same_numbers_give_the_same_patient(cases):
    """A case is a function of seed and index alone."""
    image, labels, spacing = make_case(0, 2)
    assert np.array_equal(image, cases[2][0])
    assert np.array_equal(labels, cases[2][1])
    assert spacing == SPACING


def test_another_seed_gives_another_patient(cases):
    """The seed changes anatomy, not only noise."""
    assert np.count_nonzero(make_case(1, 2)[1] != cases[2][1]) > 500


def test_arrays_have_the_promised_types(cases):
    """Images are int16 HU, labels uint8 indices, both on one grid."""
    for image, labels, _ in cases:
        assert image.dtype == np.int16
        assert labels.dtype == np.uint8
        assert image.shape == labels.shape == SHAPE


def test_hounsfield_units_are_those_of_a_chest(cases):
    """Air around the patient, lungs, soft tissue and bone are all there, and nothing leaves the range of a scanner."""
    for image, _, _ in cases:
        assert image.min() >= -1024
        assert image.max() <= 3071
        assert abs(np.median(image[:, :3, :3]) + 1000) < 40
        shares = [np.mean((image > low) & (image < high)) for low, high in ((-950, -700), (-150, 100), (250, 800))]
        assert shares[0] > 0.1
        assert shares[1] > 0.15
        assert shares[2] > 0.01


def test_every_patient_has_all_organs_and_the_heart_dwarfs_the_rest(cases):
    """Organ sizes differ by an order of magnitude: heart, aorta, then esophagus and trachea."""
    for _, labels, _ in cases:
        sizes = np.bincount(labels.ravel(), minlength=5)
        assert sizes[HEART] > 1.5 * sizes[AORTA]
        assert sizes[AORTA] > 2.5 * max(sizes[ESOPHAGUS], sizes[TRACHEA])
        assert sizes[HEART] > 4 * sizes[ESOPHAGUS]
        assert sizes[HEART] > 10 * sizes[TRACHEA]
        assert min(sizes[1:]) > 100


def test_labels_lie_on_the_tissue_they_name(cases):
    """Mean HU by organ: air in the trachea, then esophagus, heart, and the blood of the aorta brightest."""
    for image, labels, _ in cases:
        means = [image[labels == organ].mean() for organ in range(5)]
        assert means[TRACHEA] < -650
        assert -80 < means[ESOPHAGUS] < 60
        assert means[ESOPHAGUS] < means[HEART] < means[AORTA]
        assert means[AORTA] > 90


def test_the_esophagus_is_hardly_visible(cases):
    """Its contrast to what surrounds it is a small part of the trachea's: a network must learn where it lies."""
    for image, labels, _ in cases:
        contrast = {}
        for organ in (ESOPHAGUS, TRACHEA):
            mask = labels == organ
            ring = ndimage.binary_dilation(mask, np.ones((1, 3, 3)), iterations=2) & (labels == 0)
            contrast[organ] = abs(np.median(image[mask]) - np.median(image[ring]))
        assert contrast[ESOPHAGUS] < 0.3 * contrast[TRACHEA]


def test_organs_lie_where_they_lie_in_people(cases):
    """Esophagus behind the trachea, heart low and in front, trachea high, the descending aorta to the left of the spine."""
    for _, labels, _ in cases:
        centre = {organ: np.argwhere(labels == organ).mean(axis=0) for organ in range(1, 5)}
        assert centre[TRACHEA][0] > centre[HEART][0] + 4
        assert centre[ESOPHAGUS][1] > centre[TRACHEA][1]
        assert centre[HEART][1] < centre[ESOPHAGUS][1]
        lowest = np.argwhere(labels[1] == AORTA)
        assert lowest[:, 1].mean() > SHAPE[2] / 2


def test_the_aorta_is_seen_twice_below_its_arch_and_once_in_it(cases):
    """Somewhere two cross-sections (ascending, descending), above them one long one: the arch."""
    for _, labels, _ in cases:
        pieces = [ndimage.label(plane == AORTA)[1] for plane in labels]
        assert 2 in pieces
        top = max(z for z, plane in enumerate(labels) if (plane == AORTA).sum() > 20)
        assert pieces[top] == 1


def test_patients_differ(cases):
    """Between any two patients the hearts overlap by far less than one heart with itself."""
    hearts = [labels == HEART for _, labels, _ in cases]
    for i, one in enumerate(hearts):
        for other in hearts[i + 1 :]:
            assert (one & other).sum() / (one | other).sum() < 0.85


def test_files_are_read_back_as_they_were_made(tmp_path):
    """Images, masks and class names on disk give the arrays, the spacing and the names back; progress counts the cases."""
    seen = []
    write_cases(tmp_path / "set", "chest", cases=2, seed=3, progress=seen.append)
    assert [(event.done, event.total, event.case) for event in seen] == [(1, 2, "case_000"), (2, 2, "case_001")]
    pairing = pair_cases(tmp_path / "set" / "masks", None)
    assert [case.id for case in pairing.cases] == ["case_000", "case_001"]
    image, labels, spacing = make_case(3, 1)
    volume, mask = read_image(pairing.cases[1]), read_labels(pairing.cases[1].mask)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array[0], image)
    assert np.array_equal(mask.array, labels)
    assert volume.geometry.spacing == pytest.approx(spacing)
    assert volume.geometry.codes == "LPS"
    assert read_class_table(tmp_path / "set" / "masks").names == CLASS_NAMES
    assert json.loads((tmp_path / "set" / "labels.json").read_text())["4"] == "aorta"


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    """The path of the obstacle is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_cases(tmp_path / "file" / "set", "chest", cases=1)
