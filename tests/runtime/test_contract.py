"""The contract: what is written can be read, and what is wrong is named."""

from __future__ import annotations

import json
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_contract

from adelecli.errors import ModelError
from adelecli.runtime.contract import (
    FORMAT,
    MAX_BYTES,
    Contract,
    Grid,
    Intensity,
    contract_schema,
    decode_contract,
    encode_contract,
)

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def as_json(**changes: object) -> dict[str, object]:
    """The default contract as JSON values, some replaced; a value of ... is left out."""
    fields = json.loads(encode_contract(make_contract())) | changes
    return {key: value for key, value in fields.items() if value is not ...}


@settings(max_examples=25, deadline=None)
@given(
    name=names,
    spacing=st.none() | st.tuples(*[st.floats(0.01, 10)] * 2),
    clip=st.none() | st.tuples(st.floats(-1e6, 0), st.floats(1, 1e6)),
    axis=st.sampled_from("zyx"),
)
def test_what_is_encoded_is_decoded_unchanged(name, spacing, clip, axis):
    """A contract survives its JSON form exactly, numbers to the last bit and any text."""
    contract = make_contract(
        4, name=name, channels=(Intensity(kind="fixed", clip=clip),), grid=Grid(axis=axis, spacing=spacing)
    )
    assert decode_contract(encode_contract(contract)) == contract


def test_the_json_form_does_not_depend_on_the_order_of_entries():
    """Equal contracts have equal bytes, so a model's hash does not depend on how a dictionary was filled."""
    one, other = make_contract(run={"a": 1, "b": 2}), make_contract(run={"b": 2, "a": 1})
    assert encode_contract(one) == encode_contract(other)


OPTIONAL = {
    "dims",
    "orientation",
    "flips",
    "padding",
    "batch",
    "tiles",
    "precision",
    "validation",
    "outline",
    "gate",
    "restore",
}


@pytest.mark.parametrize("field", sorted(set(Contract.__struct_fields__) - OPTIONAL))
def test_a_missing_field_is_named(field):
    """Without a field the error names it, the file and the way to repair it."""
    with pytest.raises(ModelError) as caught:
        decode_contract(json.dumps(as_json(**{field: ...})), "w.onnx")
    assert str(caught.value) == f"w.onnx: contract field `{field}` missing; export it with `adele export`"


def test_a_file_of_the_first_version_reads_as_before():
    """What was added later has a default: without those fields the contract is the one that is written without them."""
    assert decode_contract(json.dumps(as_json(**dict.fromkeys(OPTIONAL, ...)))) == make_contract()


def test_calibration_and_noise_travel_with_their_class():
    """Per class: how tau was chosen and how noisy the labels were; absent where nobody measured it."""
    measured = {"method": "isotonic", "precision": {"0.9": 0.7, "0.95": 0.8}}
    fields = change_class(1, calibration=measured, noise={"share": 0.1, "low": 0.05, "high": 0.2})
    first = decode_contract(json.dumps(fields)).classes[1]
    assert first.calibration.precision["0.95"] == 0.8
    assert (first.noise.low, first.noise.high) == (0.05, 0.2)
    assert decode_contract(json.dumps(fields)).classes[2].calibration is None


def test_a_missing_field_inside_a_class_is_named_with_its_place():
    """The place within a list is told as well."""
    fields = as_json()
    del fields["classes"][1]["tau"]
    with pytest.raises(ModelError, match=r"contract field `classes\[1\]\.tau` missing"):
        decode_contract(json.dumps(fields))


def change_class(index: int, **changes: object) -> dict[str, object]:
    classes = as_json()["classes"]
    classes[index] |= changes
    return as_json(classes=classes)


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        (as_json(format=2), "has format 2, this version reads format 1"),
        (as_json(dims=4), "invalid enum value 4 at `dims`"),
        (as_json(orientation="LPS"), "invalid enum value 'LPS' at `orientation`"),
        (as_json(precision="bf16"), "invalid enum value 'bf16' at `precision`"),
        (as_json(tiles={"shape": [64, 64, 64], "overlap": 0.5}), "`tiles.shape` has 3 sizes for 2 `dims`"),
        (as_json(tiles={"shape": [64, 64], "overlap": 1.0}), "< 1.0 at `tiles.overlap`"),
        (
            change_class(1, noise={"share": 0.5, "low": 0.1, "high": 0.2}),
            r"`classes\[1\].noise` lies outside its own interval",
        ),
        (as_json(name=3), "expected `str`, got `int` at `name`"),
        (as_json(divisor=0), ">= 1 at `divisor`"),
        (as_json(classes=[]), "`classes` holds 0 entries"),
        (change_class(0, id=7), r"`classes\[0\].id` is 7"),
        (change_class(2, id=1), "2 entries with the id 1"),
        (change_class(2, name="class 1"), "2 entries with the name 'class 1'"),
        (change_class(1, tau=1.5), r"<= 1.0 at `classes\[1\].tau`"),
        (change_class(1, id=70000), r"<= 65535 at `classes\[1\].id`"),
        (change_class(1, colour=[0, 0, 256]), r"<= 255 at `classes\[1\].colour\[2\]`"),
        (as_json(ignore=1), "`ignore` is 1, which is also a class"),
        (as_json(channels=[]), "`channels` is empty"),
        (as_json(channel_names=["a", "b"]), "2 `channel_names` for 1 `channels`"),
        (as_json(channels=[{"kind": "volume", "percentiles": [99, 1]}]), r"`channels\[0\].percentiles` do not ascend"),
        (as_json(channels=[{"kind": "fixed", "clip": [5, 5]}]), r"`channels\[0\].clip` does not ascend"),
        (as_json(channels=[{"kind": "fixed", "std": 0}]), r"> 0.0 at `channels\[0\].std`"),
        (as_json(scales=[]), "`scales` is empty"),
        (as_json(constraint="rows"), "invalid enum value 'rows' at `constraint`"),
        (as_json(grid={"spacing": [1, -1]}), r"> 0.0 at `grid.spacing\[1\]`"),
    ],
)
def test_a_wrong_value_is_named(fields, fact):
    """Each promise that a contract can break is told with the field's name."""
    with pytest.raises(ModelError, match=fact):
        decode_contract(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"format": 1', b"\xff\xfe", '{"format": NaN}'])
def test_what_is_no_json_object_is_refused(text):
    """Damaged metadata is a model error, never a decoder's own exception."""
    with pytest.raises(ModelError, match="contract"):
        decode_contract(text)


def test_a_contract_has_a_limit():
    """64 KB bound the work that a foreign file can ask for, when reading and when writing."""
    with pytest.raises(ModelError, match="larger than 65536 bytes"):
        decode_contract("x" * (MAX_BYTES + 1))
    with pytest.raises(ModelError, match="larger than 65536 bytes"):
        encode_contract(make_contract(run={"notes": "x" * MAX_BYTES}))


def test_unknown_keys_are_allowed():
    """A later version may add fields without making its models unreadable."""
    assert decode_contract(json.dumps(as_json(added="later"))) == make_contract()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_written(value):
    """JSON has no NaN; instead of a silent null there is an error that names the place, also inside free records."""
    with pytest.raises(ModelError, match=r"`parity.differences\[1\]` is (nan|inf)"):
        encode_contract(make_contract(parity={"differences": [0.0, value]}))


def test_a_contract_built_with_wrong_types_is_not_written():
    """A struct does not check what it is built from, so writing does."""
    with pytest.raises(ModelError, match="expected `str`, got `int` at `name`"):
        encode_contract(make_contract(name=3))


def test_the_schema_describes_what_is_written():
    """The JSON Schema names every field, so that other readers can check a contract."""
    schema = contract_schema()
    assert set(schema["$defs"]["Contract"]["properties"]) == set(Contract.__struct_fields__)
    assert schema["$defs"]["ClassEntry"]["properties"]["tau"] == {"type": "number", "minimum": 0, "maximum": 1}


def test_the_schema_in_the_package_is_the_contracts_own():
    """Other programs read the file; when this fails, write ``contract_schema()`` there (or raise FORMAT when a meaning changed)."""
    text = files("adelecli.runtime").joinpath(f"contract-{FORMAT}.schema.json").read_text(encoding="utf-8")
    assert msgspec.json.decode(text) == msgspec.json.decode(msgspec.json.encode(contract_schema()))


def test_records_cannot_be_changed():
    """A contract is a fact about a file."""
    with pytest.raises(AttributeError):
        make_contract().name = "other"
    assert msgspec.structs.replace(make_contract(), name="other").name == "other"


def test_a_gate_of_an_older_file_multiplies_by_one():
    """`factor` came later: without it a gate reads as one without trusted cases; a wrong number of factors is refused."""
    gate = {"network": [0.1, None], "threshold": 1.2}
    assert decode_contract(json.dumps(as_json(gate=gate))).gate.factor == ()
    assert decode_contract(json.dumps(as_json(gate=gate | {"factor": [1.5, 1.0]}))).gate.factor == (1.5, 1.0)
    with pytest.raises(ModelError, match=r"`gate.factor` has 3 entries for 2 foreground classes"):
        decode_contract(json.dumps(as_json(gate=gate | {"factor": [1.0] * 3})))
