"""The pipeline on real files, where they are at hand: headers of scanners and of other people's programs."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tiny_models import make_contract, make_model

from adelecli.pipeline.conversion import convert
from adelecli.pipeline.correction import correct
from adelecli.pipeline.corruption import corrupt
from adelecli.pipeline.verification import verify
from adelecli.runtime.contract import Intensity

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "msd_hippocampus_3d"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/msd_hippocampus_3d is not here")


def test_real_masks_come_back_as_they_went_in(tmp_path) -> None:
    """Two corrupted masks through store and back: the header but for its data type, the original voxels, a store that verifies."""
    model = make_model(tmp_path / "m.onnx", make_contract(channels=(Intensity(kind="volume"),)))
    names = ["hippocampus_001", "hippocampus_003"]
    (tmp_path / "clean").mkdir()
    for name in names:
        (tmp_path / "clean" / f"{name}.nii.gz").write_bytes((DATA / "masks" / f"{name}.nii.gz").read_bytes())
    corrupt(tmp_path / "clean", out=tmp_path / "noisy")
    report = correct(tmp_path / "noisy", images=DATA / "images", out=tmp_path / "s.zarr", model=model)
    convert(tmp_path / "s.zarr", out=tmp_path / "back", which="original")
    assert [case.id for case in report.cases] == names
    assert report.count("failed") == 0
    assert verify(tmp_path / "s.zarr").findings == ()
    for name in names:
        source = nib.load(DATA / "masks" / f"{name}.nii.gz")
        noisy, back = (nib.load(tmp_path / place / f"{name}.nii.gz") for place in ("noisy", "back"))
        differing = {key for key in source.header if back.header[key].tobytes() != source.header[key].tobytes()}
        assert differing <= {"datatype", "bitpix", "scl_slope", "scl_inter"}  # some masks of this set are float files
        assert back.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(noisy.dataobj))
        assert (np.asarray(noisy.dataobj) != np.asarray(source.dataobj)).any()
