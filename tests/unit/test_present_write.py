"""Result folders: complete, strict, repeatable, and whole or not at all."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.builders import estimate, make_composition, make_result, phase_result
from xrdcomp.disk import LIST
from xrdcomp.errors import OutputError, ReadError
from xrdcomp.present.exchange import tables_of
from xrdcomp.present.files import draw_figures, read_result, safe_sample_id, write_result, write_text
from xrdcomp.present.tables import component_label
from xrdcomp.present.toml import to_toml
from xrdcomp.recipe import Recipe
from xrdcomp.results import XrdAmounts

SCHEMA = json.loads((Path(__file__).parents[2] / "xrdcomp" / "result.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("fit", "tga"), [(True, True), (True, False), (False, True)])
def test_result_json_keeps_the_contract(tmp_path: Path, *, fit: bool, tga: bool) -> None:
    folder = write_result(make_result(fit=fit, tga=tga), tmp_path, figures=False)
    data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    assert ("xrd" in data) is fit
    assert ("tga" in data) is tga
    assert data["phases"][0]["evidence"] == {"z": 120.0, "lines_seen": 14}


def test_result_json_is_what_json_writes() -> None:
    result = make_result(sample_id="Knochen")
    result = replace(result, metadata={"empty": {}, "none": [], "odd": "µ \u2028 \x1b", "small": 1e-9})
    assert result.to_json() == json.dumps(result.to_dict(), indent=2, ensure_ascii=False)


def test_the_folder_holds_what_the_contract_names(tmp_path: Path) -> None:
    folder = write_result(make_result(), tmp_path, report=True)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.svg" for name in ("fit", "tga", "composition", "uncertainty_budget")}
    tables = {f"tables/{name}.csv" for name in tables_of(make_result())}
    files = {"result.json", "curves.npz", "recipe.toml", "report.html"} | figures | tables
    assert names == files | {LIST}
    assert set(json.loads((folder / LIST).read_bytes())["files"]) == files
    assert set(json.loads((folder / "result.json").read_text(encoding="utf-8"))["figures"]) == figures
    assert folder == tmp_path / "S1"


def test_curves_need_no_pickle_and_hold_the_fit(tmp_path: Path) -> None:
    result = make_result()
    folder = write_result(result, tmp_path, figures=False)
    with np.load(folder / "curves.npz", allow_pickle=False) as curves:
        total = curves["xrd_background"] + sum(
            curves[name] for name in curves.files if name.startswith(("xrd_amorphous_", "xrd_phase_"))
        )
        np.testing.assert_allclose(total, curves["xrd_calculated"], rtol=1e-12)
        assert curves["tga_mass_fraction"].shape == result.tga.mass_fraction.shape
        assert curves["reflections_hydroxyapatite_hkl"].shape == (18, 3)


def test_recipe_toml_repeats_the_settings(tmp_path: Path) -> None:
    folder = write_result(make_result(), tmp_path, figures=False)
    text = (folder / "recipe.toml").read_text(encoding="utf-8")
    assert Recipe.from_toml(text) == Recipe(sample_id="S1")
    assert "SHA-256" in text


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    first = write_result(make_result(), tmp_path / "a")
    second = write_result(make_result(), tmp_path / "b")
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_nan_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    composition = make_composition()
    broken = {**composition.components, "organic": estimate(float("nan"), 0.1)}
    result = replace(make_result(), composition=replace(composition, components=broken))
    with pytest.raises(ValueError, match="JSON"):
        write_result(result, tmp_path, figures=False)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_stands_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_result(make_result(), tmp_path, figures=False)
    before = (folder / "result.json").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xrdcomp.present.files._write_curves", fail)
    with pytest.raises(KeyboardInterrupt):
        write_result(make_result(), tmp_path, figures=False)
    assert (folder / "result.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_an_earlier_result_is_replaced_whole(tmp_path: Path) -> None:
    folder = write_result(make_result(), tmp_path)
    (folder / "notes.txt").write_text("of the user")
    write_result(make_result(), tmp_path, figures=False)
    assert (folder / "notes.txt").read_text() == "of the user"
    assert not (folder / "figures").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_a_folder_that_is_no_result_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "S1").mkdir()
    (tmp_path / "S1" / "thesis.docx").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds no result\.json"):
        write_result(make_result(), tmp_path, figures=False)
    assert (tmp_path / "S1" / "thesis.docx").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["S1"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        write_result(make_result(), tmp_path / "file" / "below", figures=False)


@pytest.mark.parametrize("name", ["S1", "patient 7, left", "Ca(OH)2_roh", "probe-3.b", "Größe_µ", "1"])
def test_sample_ids_that_can_name_a_folder(name: str) -> None:
    if "," in name:
        with pytest.raises(OutputError):
            safe_sample_id(name)
    else:
        assert safe_sample_id(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "a/b", "a\\b", "../x", "/root", ".hidden", "a..b", "con", "NUL.txt", "a\n", "x" * 200, "a:b",
     "a."],
)  # fmt: skip
def test_sample_ids_that_are_paths_or_worse_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="sample id"):
        write_result(make_result(sample_id=name), tmp_path / "out", figures=False)
    assert not (tmp_path / "out").exists()


def test_text_is_written_whole(tmp_path: Path) -> None:
    target = write_text(tmp_path / "new" / "index.html", "<p>µ</p>")
    assert target.read_text(encoding="utf-8") == "<p>µ</p>"
    assert [path.name for path in target.parent.iterdir()] == ["index.html"]


def test_toml_writes_what_tomllib_reads() -> None:
    data = {
        "text": 'quote " backslash \\ newline \n tab \t del \x7f µ',
        "numbers": [1, -2.5, 1e-30, 3.0],
        "flag": True,
        "empty": [],
        "nothing": None,
        "dotted.key": "quoted",
        "rows": [{"a": 1, "b": "x"}, {"a": 2}],
        "table": {"inner": {"deep": 1}, "value": 2},
    }
    read = tomllib.loads(to_toml(data, comment="two\nlines"))
    assert read == {key: value for key, value in data.items() if value is not None}
    assert isinstance(read["numbers"][3], float)


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (object(), TypeError)])
def test_toml_refuses_what_it_cannot_hold(value: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        to_toml({"value": value})


@pytest.mark.parametrize(("fit", "tga"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_result_comes_back_as_it_was_written(tmp_path: Path, *, fit: bool, tga: bool) -> None:
    result = make_result(fit=fit, tga=tga, foreign=True)
    folder = write_result(result, tmp_path, figures=False)
    for place in (folder, folder / "result.json"):
        again = read_result(place)
        assert again.to_dict() == result.to_dict() == json.loads(result.to_json())
    assert again.phases == result.phases
    if fit:
        facts = {phase.id: phase.facts for phase in result.phases if phase.id in result.xrd.amounts.names}
        assert again.xrd.amounts == replace(result.xrd.amounts, facts=facts)
    assert set(draw_figures(again)) == set(draw_figures(result))
    assert write_result(again, tmp_path / "again", figures=False).is_dir()


def test_all_that_a_composition_needs_of_amounts_comes_back(tmp_path: Path) -> None:
    result = make_result()
    n = len(result.xrd.amounts.names)
    arrays = {
        item.name: np.full((n,) if item.name in ("lattice_diffuse", "flatter_halo") else (n, n), float(i))
        for i, item in enumerate(fields(XrdAmounts))
        if "FloatArray | None" in str(item.type)
    }
    full = replace(result, xrd=replace(result.xrd, amounts=replace(result.xrd.amounts, **arrays)))
    again = read_result(write_result(full, tmp_path, figures=False))
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(again.xrd.amounts, name), values, err_msg=name)


def test_a_result_read_back_knows_what_is_known_of_its_phases(tmp_path: Path) -> None:
    fluorapatite = phase_result(
        id="fluorapatite", name="Fluorapatite", formula="Ca5(PO4)3F", decision="detected", detection_limit=None
    )
    result = replace(make_result(), phases=(fluorapatite, *make_result(foreign=True).phases[1:]))
    folder = write_result(result, tmp_path, figures=False)
    again = read_result(folder)
    assert [phase.facts for phase in again.phases] == [phase.facts for phase in result.phases]
    assert again.phases[0].is_apatite
    assert again.phases["calcite"].facts.heating.kind == "carbonate"
    assert component_label("crystalline_hydroxyapatite", again) == "crystalline apatite (fluorapatite)"

    earlier = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for phase in earlier["phases"]:
        phase.pop("facts", None)
    (folder / "result.json").write_text(json.dumps(earlier))
    assert not any(phase.is_apatite for phase in read_result(folder).phases)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="a folder that `write` left"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"schema_version": "2.0"}')
    with pytest.raises(ReadError, match=r"schema_version is 2\.0"):
        read_result(tmp_path)
    folder = write_result(make_result(), tmp_path, figures=False)
    (folder / "curves.npz").unlink()
    with pytest.raises(ReadError, match="curves"):
        read_result(folder)


def test_results_of_every_past_schema_are_read() -> None:
    """One folder for each version that was ever written; it is never written anew."""
    folders = sorted((Path(__file__).parents[1] / "data" / "results").iterdir())
    assert [folder.name for folder in folders] == ["schema-1.0", "schema-1.1"]
    for folder in folders:
        result = read_result(folder)
        stored = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        again = json.loads(result.to_json())
        # a sentence, made anew: its rounding may change, and apatite without its carbonate is named so
        told, before = again.pop("verdict"), stored.pop("verdict", "")
        assert told.startswith(f"{folder.name}: ")
        if before:
            assert re.sub(r"[\d.]+", "", told.replace(" (excl. CO₃)", "")) == re.sub(r"[\d.]+", "", before)
        if stored["schema_version"] == "1.0":  # what 1.1 adds
            for message in again["messages"]:
                assert message.pop("concerns") == []
        if "gas_changes" not in stored["tga"]:
            assert again["tga"].pop("gas_changes") == []
        for part in ("xrd", "tga"):  # what came after the folder was written keeps its default
            for name in again[part].keys() - stored[part].keys():
                assert again[part].pop(name) in (None, "", [], "describes", "tissue"), name
        assert {**again, "figures": stored["figures"], "schema_version": stored["schema_version"]} == stored
        assert set(draw_figures(result)) == {"fit", "tga", "composition", "uncertainty_budget"}
