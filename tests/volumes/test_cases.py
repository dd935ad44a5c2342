from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from adelecli.errors import CaseError, ConfigError, InputError
from adelecli.volumes.cases import Case, Pairing, find_images, find_masks, list_images, list_masks, pair_cases


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def read_faults(pairing: Pairing) -> dict[str, str]:
    return {name: str(fault) for name, fault in pairing.faults}


def list_names(pairing: Pairing) -> dict[str, tuple[str, ...]]:
    return {case.id: tuple(path.name for path in case.images) for case in pairing.cases}


def test_masks_pair_with_the_sibling_images(tmp_path: Path) -> None:
    """Without options the images come from ``images/`` beside the masks, by stem, whatever the endings."""
    masks = touch(tmp_path / "masks", "b.nii.gz", "a.png")
    images = touch(tmp_path / "images", "a.jpg", "b.NII")
    assert pair_cases(masks).cases == (
        Case("a", (images / "a.jpg",), masks / "a.png"),
        Case("b", (images / "b.NII",), masks / "b.nii.gz"),
    )


def test_channels_of_one_case_come_in_order(tmp_path: Path) -> None:
    """``_0000``, ``_0001`` are channels of one case, as in nnU-Net folders, also when the mask carries ``_0000``."""
    masks = touch(tmp_path / "labelsTr", "p1.nii.gz", "p2_0000.nii.gz")
    touch(tmp_path / "imagesTr", "p1_0001.nii.gz", "p1_0000.nii.gz", "p2_0000.nii.gz")
    expected = {"p1": ("p1_0000.nii.gz", "p1_0001.nii.gz"), "p2": ("p2_0000.nii.gz",)}
    assert list_names(pair_cases(masks)) == expected
    assert list_names(list_images(tmp_path / "imagesTr")) == expected


def test_four_digits_that_number_patients_are_no_channels(tmp_path: Path) -> None:
    """Where each picture has its own mask of the same name, ``_0001`` belongs to the id."""
    names = ("scan_0000.png", "scan_0001.png", "scan_0007.png")
    masks = touch(tmp_path / "masks", *names)
    touch(tmp_path / "images", *names, "scan_0002.png")
    pairing = pair_cases(masks)
    assert list_names(pairing) == {name.removesuffix(".png"): (name,) for name in names}
    assert [path.name for path in pairing.spare_images] == ["scan_0002.png"]


def test_numbers_without_a_first_channel_are_ids(tmp_path: Path) -> None:
    """A set that does not start at ``_0000`` cannot be channels, so each image is a case."""
    assert list(list_names(list_images(touch(tmp_path / "images", "s_0001.png", "s_0002.png")))) == ["s_0001", "s_0002"]


def test_the_root_of_a_data_set_is_as_good_as_its_folders(tmp_path: Path) -> None:
    """Naming the folder that holds ``labelsTr`` and ``imagesTr`` pairs them; VOC folders are known too."""
    touch(tmp_path / "labelsTr", "a.nii.gz")
    touch(tmp_path / "imagesTr", "a.nii.gz")
    assert [case.id for case in pair_cases(tmp_path).cases] == ["a"]
    assert [case.id for case in list_images(tmp_path).cases] == ["a"]
    voc = touch(tmp_path / "voc" / "SegmentationClass", "x.png")
    touch(tmp_path / "voc" / "JPEGImages", "x.jpg", "y.jpg")
    assert list_names(pair_cases(voc)) == {"x": ("x.jpg",)}


def test_the_test_split_of_nnunet_finds_its_own_images(tmp_path: Path) -> None:
    """``labelsTs`` goes with ``imagesTs``, not with ``imagesTr``."""
    touch(tmp_path / "imagesTr")
    touch(tmp_path / "imagesTs")
    assert find_images(touch(tmp_path / "labelsTs")).name == "imagesTs"


def test_folders_are_found_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.`` has a parent too."""
    touch(tmp_path / "masks", "a.png")
    touch(tmp_path / "images", "a.png")
    monkeypatch.chdir(tmp_path / "masks")
    assert [case.id for case in pair_cases(Path()).cases] == ["a"]
    monkeypatch.chdir(tmp_path)
    assert find_masks(Path()) == Path("masks")


def test_a_mask_without_image_is_a_fault_and_an_image_without_mask_is_spare(tmp_path: Path) -> None:
    """One missing image costs one case; a missing mask costs nothing."""
    masks = touch(tmp_path / "masks", "a.png", "b.png")
    images = touch(tmp_path / "images", "a.png", "c.png")
    pairing = pair_cases(masks)
    assert [case.id for case in pairing.cases] == ["a"]
    assert pairing.spare_images == (images / "c.png",)
    assert list(read_faults(pairing)) == ["b"]
    assert f"{masks / 'b.png'}: has no image in {images}" in read_faults(pairing)["b"]


@pytest.mark.parametrize(
    ("names", "fact"),
    [
        (("p_0000.nii", "p_0002.nii"), "not one set of channels (p_0000.nii, p_0002.nii)"),
        (("p.nii", "p.nii.gz"), "not one set of channels (p.nii, p.nii.gz)"),
        (("p.nii", "p_0000.nii"), "not one set of channels (p.nii, p_0000.nii)"),
        (("p_0000.nii", "p_0000.png"), "not one set of channels"),
    ],
)
def test_images_that_are_not_one_set_of_channels_are_a_fault(tmp_path: Path, names: tuple[str, ...], fact: str) -> None:
    """A gap, a duplicate or a mixture of channels is never guessed away."""
    masks = touch(tmp_path / "masks", "p.nii.gz", "ok.png")
    touch(tmp_path / "images", *names, "ok.png")
    assert fact in read_faults(pair_cases(masks))["p"]


def test_two_masks_of_one_case_are_a_fault(tmp_path: Path) -> None:
    """Nobody knows which of the two is meant."""
    masks = touch(tmp_path / "masks", "p.nii.gz", "p.nii", "ok.png")
    touch(tmp_path / "images", "p.nii.gz", "ok.png")
    assert "has 2 masks (p.nii, p.nii.gz)" in read_faults(pair_cases(masks))["p"]


def test_unsafe_names_and_names_that_differ_by_case_are_faults(tmp_path: Path) -> None:
    """An id becomes a place in a store and a file on any file system, so it must be safe and unique there."""
    names = (
        "Patient 1.png",
        "-x.png",
        "A.png",
        "a.png",
        "é.png",
        f"{'n' * 249}.png",
        "ok-1.2_3.png",
        "a\n.png",
        "con.png",
    )
    pairing = list_images(touch(tmp_path / "images", *names))
    assert [case.id for case in pairing.cases] == ["Patient 1", "ok-1.2_3", "é"]
    faults = read_faults(pairing)
    assert set(faults) == {"-x", "A", "a", "n" * 249, "a\\n", "con"}
    images = tmp_path / "images"
    dash = "cannot be a case id: it starts with a dash, as an option does; rename it with a letter or digit first"
    assert faults["-x"] == f"{images}/-x.png: {dash}"
    assert "it has 249 bytes; rename it with 248 at most" in faults["n" * 249]
    assert "it holds U+000A" in faults["a\\n"]
    assert "Windows keeps the name for a device; give it another name" in faults["con"]
    assert faults["a"].startswith(f"{images}/a.png and A: these names differ only by case")
    assert faults["a"].endswith("rename all but one")


def test_names_pair_however_their_accents_are_spelt(tmp_path: Path) -> None:
    """Systems differ: macOS hands out decomposed names (NFD), most others composed ones (NFC); channels and spaces make no difference."""
    name = "Mu\u0308ller 2019-03"
    masks = touch(tmp_path / "masks", f"{unicodedata.normalize('NFC', name)}.nii.gz", "患者 一.nii.gz")
    images = touch(tmp_path / "images", f"{name}_0000.nii.gz", f"{name}_0001.nii.gz", "患者 一.nii.gz")
    pairing = pair_cases(masks, images)
    assert pairing.faults == ()
    assert [case.id for case in pairing.cases] == ["M\u00fcller 2019-03", "患者 一"]
    assert [path.name for path in pairing.cases[0].images] == [f"{name}_0000.nii.gz", f"{name}_0001.nii.gz"]


@pytest.mark.parametrize(
    "names",
    [
        ("Mu\u0308ller.png", "M\u00fcller.png"),
        ("M\u00fcller.png", "M\u00dcLLER.png"),
        ("stra\u00dfe.png", "STRASSE.png"),
        ("a.png", "a .png"),
        ("a.png", "a..png"),
        ("１.png", "1.png"),
        ("می\u200cخواهم.png", "میخواهم.png"),
    ],
)
def test_names_that_a_system_takes_for_one_are_faults(tmp_path: Path, names: tuple[str, ...]) -> None:
    """NFC and NFD, upper and lower case, spaces and dots at the end, width, invisible joiners: both fail, others do not."""
    pairing = list_images(touch(tmp_path / "images", *names, "b.png"))
    assert [case.id for case in pairing.cases] == ["b"]
    assert {
        str(fault).count("rename all but one") + str(fault).count("its images are not one set")
        for _, fault in pairing.faults
    } == {1}
    assert len(pairing.faults) == len({unicodedata.normalize("NFC", name) for name in names})


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    """A link may rename a file beside it, but not reach out of the folder or into nothing."""
    outside = touch(tmp_path / "private", "secret.png") / "secret.png"
    images = touch(tmp_path / "images", "a.png")
    (images / "b.png").symlink_to(outside)
    (images / "c.png").symlink_to("a.png")
    (images / "d.png").symlink_to("nowhere.png")
    pairing = list_images(images)
    assert [case.id for case in pairing.cases] == ["a", "c"]
    assert "a link that leaves its folder" in read_faults(pairing)["b"]
    assert "a link to a file that is not there" in read_faults(pairing)["d"]


def test_a_folder_may_be_a_link_itself(tmp_path: Path) -> None:
    """Only links inside the folder are suspicious."""
    touch(tmp_path / "data", "a.png")
    (tmp_path / "images").symlink_to("data")
    assert [case.id for case in list_images(tmp_path / "images").cases] == ["a"]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    """Hidden files, tables, notes and folders are no cases."""
    images = touch(tmp_path / "images", "a.nii.gz", ".b.nii.gz", "._a.nii.gz", "dataset.json", "split.csv", "notes.txt")
    (images / "c.png").mkdir()
    assert [case.id for case in list_images(images).cases] == ["a"]


def test_single_files_pair_by_hand(tmp_path: Path) -> None:
    """Two files named on the command line belong together; one mask finds its image in a folder and leaves no spare ones."""
    mask = touch(tmp_path / "x" / "masks", "truth.nii.gz", "scan.nii.gz") / "truth.nii.gz"
    image = touch(tmp_path / "x" / "images", "scan.nii.gz", "truth_0000.nii.gz") / "scan.nii.gz"
    assert pair_cases(mask, image).cases == (Case("truth", (image,), mask),)
    alone = pair_cases(mask)
    assert list_names(alone) == {"truth": ("truth_0000.nii.gz",)}
    assert alone.spare_images == ()
    assert list_images(image).cases == (Case("scan", (image,)),)


def test_masks_alone_are_listed(tmp_path: Path) -> None:
    """Masks without images are cases too, for `corrupt` and `evaluate`."""
    masks = touch(tmp_path / "masks", "a.png", "b_0000.png")
    assert list_masks(masks).cases == (Case("a", (), masks / "a.png"), Case("b", (), masks / "b_0000.png"))


def test_no_usable_input_says_what_to_do(tmp_path: Path) -> None:
    """Missing, empty, unpaired: each is one line with its remedy, exit code 7."""
    masks = touch(tmp_path / "masks", "a.png")
    with pytest.raises(
        InputError, match=r"masks: no images/ or imagesTr/ lies beside the masks; name it with --images"
    ):
        pair_cases(masks)
    with pytest.raises(InputError, match=r"nowhere: there is no such file or folder"):
        pair_cases(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere: there is no such file or folder"):
        pair_cases(masks, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"empty: holds no masks; expected \.nii\.gz"):
        pair_cases(touch(tmp_path / "empty"))
    touch(tmp_path / "above" / "study", "a.png")
    with pytest.raises(
        InputError, match=r"above: holds no masks itself, but its folder study may; name the folder in which"
    ):
        pair_cases(tmp_path / "above")
    with pytest.raises(InputError, match=r"empty: holds no images"):
        pair_cases(masks, tmp_path / "empty")
    with pytest.raises(InputError, match=r"none of its 1 masks has a usable image in .* that are there: z\.png; give"):
        pair_cases(masks, touch(tmp_path / "images", "z.png"))
    with pytest.raises(InputError, match="holds neither masks/ nor labelsTr/"):
        find_masks(tmp_path / "empty")
    with pytest.raises(InputError, match=r"scan\.ima: has an unknown ending"):
        list_images(touch(tmp_path / "odd", "scan.ima") / "scan.ima")
    with pytest.raises(InputError, match="none of its images can be used"):
        list_images(touch(tmp_path / "bad", "-b.png"))
    with pytest.raises(InputError, match="none of its masks can be used"):
        list_masks(tmp_path / "bad")
    assert InputError.exit_code == 7


def test_masks_are_not_their_own_images(tmp_path: Path) -> None:
    """The same folder on both sides is a mistake in the command."""
    masks = touch(tmp_path / "masks", "a.png")
    with pytest.raises(ConfigError, match="given both as masks and as images"):
        pair_cases(masks, masks)


def test_a_closed_folder_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are the user's business, so no traceback."""
    folder = touch(tmp_path / "closed", "a.png")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"closed: cannot be listed \(Permission denied\); check its permissions"):
        list_images(folder)


def test_faults_are_case_errors(tmp_path: Path) -> None:
    """A fault is an exception object ready for the report."""
    pairing = list_images(touch(tmp_path / "images", "-b.png", "c.png"))
    assert isinstance(pairing.faults[0][1], CaseError)
