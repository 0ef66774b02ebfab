"""A project of the bench app: nothing is lost, nothing is overwritten unnoticed, nothing leaves its folder."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from xrdcomp.app.forms import read_form, values_of
from xrdcomp.app.project import Conflict, Project, changes
from xrdcomp.batch.specimen_file import Measured, read_specimen_file
from xrdcomp.cli.main import main
from xrdcomp.disk import read_bytes
from xrdcomp.errors import OutputError, RecipeError
from xrdcomp.io import source
from xrdcomp.recipe import Recipe


def pattern(seed: int = 1, n: int = 1200) -> bytes:
    """Two columns that any reader of such text takes for a pattern."""
    rng = np.random.default_rng(seed)
    x = np.linspace(10, 70, n)
    y = rng.poisson(200 + 2000 * np.exp(-0.5 * ((x - 32) / 0.4) ** 2))
    return "".join(f"{a:.3f} {b}\n" for a, b in zip(x, y, strict=True)).encode()


@pytest.fixture
def project(tmp_path: Path):
    made = Project(tmp_path / "project")
    yield made
    made.close()


@pytest.fixture
def specimen(project: Project) -> str:
    project.add_file("A.xy", pattern())
    project.save("A", Measured(xrd="files/A.xy"), Recipe(), revision=0)
    return "A"


def test_a_file_is_told_at_once_and_what_it_lacks(project: Project) -> None:
    look, note = project.add_file("A.xy", pattern())
    assert (look.kind, look.problem, look.scans, note) == ("xrd", "", 1, "")
    assert "1200 points" in look.facts[0]
    assert look.missing[0].startswith("radiation")
    damaged, _ = project.add_file("B.xrdml", b"<?xml version='1.0'?><xrdMeasurements><xrdMeas")
    assert damaged.problem
    assert "B.xrdml" in damaged.problem
    assert str(project.root) not in damaged.problem
    assert [one.name for one in project.files()] == ["A.xy", "B.xrdml"]


@pytest.mark.parametrize("name", ["A.xy", "run.csv", "broken.brml"])
def test_a_dropped_file_is_opened_once(project: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(source, "read_bytes", lambda path, **limits: opened.append(path) or read_bytes(path, **limits))
    run = "".join(f"{t},{100 - 0.02 * t:.3f},{6 * t}\n" for t in range(25, 900, 5))
    contents = {
        "A.xy": pattern(),
        "run.csv": f"temperature (C),mass (mg),time (s)\n{run}".encode(),
        "broken.brml": b"PK\x03\x04",
    }
    look, _ = project.add_file(name, contents[name])
    assert look.kind == {"A.xy": "xrd", "run.csv": "tga"}.get(name, look.kind)
    assert opened == [project.path("files", name)]


def test_equal_files_are_one_and_others_of_the_name_are_kept_beside_it(project: Project) -> None:
    project.add_file("A.xy", pattern(1))
    assert project.add_file("A.xy", pattern(1))[1] == "was there already"
    look, note = project.add_file("A.xy", pattern(2))
    assert look.name == "A-2.xy"
    assert "another A.xy" in note
    assert project.path("files", "A.xy").read_bytes() == pattern(1)


@pytest.mark.parametrize(
    "name", ["../evil.xy", "a/b.xy", "a\\b.xy", "..", ".hidden", "", "a\x00b", "C:evil", "a\nb", "x" * 200, "a\u202eb"]
)
def test_names_that_lead_elsewhere_are_refused(project: Project, name: str) -> None:
    before = sorted(project.root.parent.rglob("*"))
    with pytest.raises(OutputError, match="name"):
        project.add_file(name, pattern())
    assert sorted(project.root.parent.rglob("*")) == before


def test_links_are_not_followed(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xy").write_bytes(pattern())
    (project.root / "files" / "link.xy").symlink_to(outside / "secret.xy")
    assert "link" in project.look("link.xy").problem
    with pytest.raises(OutputError, match="link"):
        project.add_file("link.xy", pattern(2))
    (project.root / "specimens" / "S.toml").symlink_to(outside / "S.toml")
    (project.root / "results" / "T").symlink_to(outside)
    with pytest.raises(OutputError, match="link"):
        project.save("S", Measured(), Recipe(), revision=0)
    with pytest.raises(OutputError, match="link"):
        project.save("T", Measured(xrd="files/link.xy"), Recipe(), revision=0)
    with pytest.raises(OutputError, match="link"):
        project.runs("T")
    assert sorted(file.name for file in outside.iterdir()) == ["secret.xy"]


def test_a_project_whose_folders_are_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "files").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="link"):
        Project(tmp_path / "project")


def test_a_second_app_may_not_open_the_project(project: Project) -> None:
    with pytest.raises(OutputError, match="another app"):
        Project(project.root)


def test_who_saved_last_is_not_overwritten(project: Project, specimen: str) -> None:
    measured = project.specimen(specimen).measured
    project.save(specimen, measured, Recipe.of(radiation="CuKa"), revision=1)
    with pytest.raises(Conflict, match="state 2"):
        project.save(specimen, measured, Recipe.of(radiation="CoKa"), revision=1)
    with pytest.raises(Conflict, match="there already"):
        project.save(specimen, measured, Recipe(), revision=0)
    assert project.specimen(specimen).recipe.instrument.radiation == "CuKa"


def test_of_many_who_save_at_once_one_wins(project: Project, specimen: str) -> None:
    measured, said = project.specimen(specimen).measured, []

    def save(number: int) -> None:
        try:
            project.save(specimen, measured, Recipe.of(range=(10, 40 + number)), revision=1)
            said.append(number)
        except Conflict:
            pass

    threads = [threading.Thread(target=save, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 1
    assert project.specimen(specimen).recipe.fit.two_theta_range == (10.0, 40.0 + said[0])
    assert len(project.states(specimen)) == 2


def test_changes_are_undone_one_after_the_other(project: Project, specimen: str) -> None:
    measured = project.specimen(specimen).measured
    for number, end in enumerate((40.0, 50.0), start=1):
        project.save(specimen, measured, Recipe.of(range=(10, end)), revision=number)
    assert project.go_back(specimen, revision=3).recipe.fit.two_theta_range == (10.0, 40.0)
    assert project.go_back(specimen, revision=4).recipe.fit.two_theta_range is None
    with pytest.raises(RecipeError, match="no earlier"):
        project.go_back(specimen, revision=5)
    assert project.go_back(specimen, revision=5, to=3).recipe.fit.two_theta_range == (10.0, 50.0)
    states = project.states(specimen)
    assert [state.measured.revision for state in states] == [1, 2, 3, 4, 5, 6]
    assert list(changes(states[0], states[1])) == [("fit.two_theta_range", "–", "10.0, 40.0")]
    with pytest.raises(Conflict):
        project.go_back(specimen, revision=3)


def test_a_specimen_that_was_taken_away_comes_back_by_its_name(project: Project, specimen: str) -> None:
    number = project.begin_run(specimen)
    project.take_away(specimen, revision=1)
    assert project.specimens() == []
    project.remove_file("A.xy")
    project.add_file("A.xy", pattern())
    assert project.save(specimen, Measured(xrd="files/A.xy"), Recipe(), revision=0).measured.revision == 2
    assert [run.number for run in project.runs(specimen)] == [number]


def test_a_file_in_use_is_not_removed(project: Project, specimen: str) -> None:
    with pytest.raises(OutputError, match="belongs to A"):
        project.remove_file("A.xy")
    with pytest.raises(OutputError, match="name"):
        project.remove_file("../A.xy")


def test_a_run_is_asked_for_what_stood_then_and_names_its_files_from_anywhere(project: Project, specimen: str) -> None:
    number = project.begin_run(specimen)
    project.save(specimen, project.specimen(specimen).measured, Recipe.of(range=(10, 40)), revision=1)
    asked = read_specimen_file(project.root / "results" / specimen / f"{number}.toml")
    assert asked is not None
    assert asked.folder == project.root
    assert asked.recipe.fit.two_theta_range is None
    assert asked.recipe.sample_id == specimen
    assert Recipe.of(project.root / "specimens" / "A.toml").fit.two_theta_range == (10.0, 40.0)
    state = read_specimen_file(project.root / "specimens" / ".history" / "A" / "00001.toml")
    assert state is not None
    assert state.folder == project.root
    with pytest.raises(RecipeError, match="no run"):
        project.run(specimen, "../001")


def test_a_recipe_without_files_is_none_of_a_specimen(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("[fit]\nmode = 'peaks'\n")
    assert read_specimen_file(file) is None
    file.write_text("[project]\nxrdd = 'a.xy'\n")
    with pytest.raises(RecipeError, match="xrd"):
        read_specimen_file(file)


def test_a_structure_is_offered_as_a_phase_and_found_from_anywhere(project: Project, specimen: str) -> None:
    from xrdcomp.phases.library import reference_folder

    cif = (reference_folder() / "calcite" / "structure.cif").read_bytes()
    look, _ = project.add_file("own.cif", cif)
    assert (look.kind, look.problem) == ("structure", "")
    assert "CaC" in look.facts[0]
    assert project.add_file("other.cif", b"data_x\n_cell_length_a 5\n")[0].problem
    form = {"xrd": "files/A.xy", "phases": ["files/own.cif"], "further": "identification.search = false"}
    measured, recipe, errors = read_form(form, "A", project.files())
    assert errors == {}
    assert measured is not None
    assert recipe is not None
    result = project.save("A", measured, recipe, revision=1).analyze()
    assert list(result.settings["phases"]) == ["files/own.cif"]
    assert result.settings["used"]["files"][0]["file"] == "own.cif"


def test_the_command_takes_files_of_the_recipe_or_of_its_own_but_not_both(project: Project, specimen: str) -> None:
    recipe = str(project.root / "specimens" / "A.toml")
    said = CliRunner().invoke(main, ["analyze", "--recipe", recipe, "--blank", "holder.xy"])
    assert said.exit_code == 2
    assert "--blank: the recipe names the measurements" in said.output
    (project.root / "files" / "A.xy").unlink()
    said = CliRunner().invoke(main, ["analyze", "--recipe", recipe, "--quiet"])
    assert said.exit_code == 2
    assert "A.xy" in said.output


def test_the_cohort_is_chosen_by_one_tab_at_a_time(project: Project, specimen: str) -> None:
    project.save_cohort([specimen, "nobody"], revision=0)
    assert project.cohort() == ([specimen], 1)
    with pytest.raises(Conflict):
        project.save_cohort([], revision=0)


FORM = {
    "xrd": "files/A.xy", "radiation": "CuKa", "range_min": "15,5", "range_max": "60", "atmosphere": "",
    "spike": "corundum",
    "spike_percent": "20", "phases": ["hydroxyapatite", "calcite"], "basis": "dry", "specimen_kind": "tissue",
    "further": 'fit.mode = "peaks"\ncomposition.draws = 500\n',
}  # fmt: skip


def test_a_form_becomes_a_recipe_and_the_recipe_the_same_form(project: Project, specimen: str) -> None:
    measured, recipe, errors = read_form(FORM, "12", project.files())
    assert errors == {}
    assert measured is not None
    assert recipe is not None
    assert recipe.sample_id == "12"
    assert recipe.fit.two_theta_range == (15.5, 60.0)
    assert (recipe.internal_standard, recipe.internal_standard_fraction) == ("corundum", 0.2)
    assert (recipe.fit.mode, recipe.composition.draws, recipe.composition.basis) == ("peaks", 500, "dry")
    project.save("12", measured, recipe, revision=0)
    values = values_of(project.specimen("12"))
    assert {key: values[key] for key in FORM} == FORM | {"range_min": "15.5"}


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"xrd": "files/nosuch.xy"}, "xrd", "not in the project"),
        ({"xrd": "", "tga": ""}, "xrd", "pattern, a TGA run, or both"),
        ({"tga": "files/A.xy"}, "tga", "not of this kind"),
        ({"tga_blank": "files/A.xy"}, "tga_blank", "of this kind"),
        ({"range_min": "60", "range_max": "20"}, "range_max", "not below"),
        ({"range_min": ""}, "range_max", "two ends"),
        ({"range_min": "abc"}, "range_min", "no number"),
        ({"range_min": "nan"}, "range_min", "no number"),
        ({"spike_percent": ""}, "spike_percent", "above 0"),
        ({"spike": ""}, "spike_percent", "phase of the spike"),
        ({"atmosphere": "nitrogn"}, "atmosphere", "nitrogen"),
        ({"basis": "wet"}, "basis", "as_received"),
        ({"further": "fit.modus = 1"}, "further", "fit.mode"),
        ({"further": "nonsense"}, "further", "KEY = VALUE"),
        ({"further": "fit.mode = 3"}, "further", "structure"),
    ],
)
def test_what_is_wrong_in_a_form_is_said_beside_its_field(
    project: Project, specimen: str, change: dict[str, str], field: str, words: str
) -> None:
    measured, recipe, errors = read_form(FORM | change, "A", project.files())
    assert measured is recipe is None
    assert words in errors[field]
