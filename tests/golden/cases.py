"""The cases: what is run, on what. Each gives nested facts; see `facts` for what of them is kept.

A case asks only for the public names of the package and for its command line, as pyproject.toml names it.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import importlib.util
import io
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import xrdcomp as xc
from tests.golden.facts import facts_of, fields_of

ROOT = Path(__file__).parents[2]
SPECIMENS = ROOT / "data" / "specimens"
Facts = dict[str, Any]
Settings = Mapping[str, Any]

NO_SEARCH = {"identification.search": False}
COPPER = {"instrument.radiation": "CuKa"}
FROM_NOTHING = {"identification.start": "nothing"}
ROUND_ROBIN = {**NO_SEARCH, **COPPER, "phases": ["corundum", "zincite", "fluorite"]}
FLUORAPATITE = {
    **NO_SEARCH,
    "phases": ["fluorapatite"],
    "instrument.wavelengths": [1.5405, 1.5443],
    "fit.two_theta_range": [15.0, 129.985],
}
SPIKED = {
    **NO_SEARCH,
    **COPPER,
    "phases": ["quartz"],
    "internal_standard": "corundum",
    "internal_standard_fraction": 0.2,
}


@dataclass(frozen=True)
class Place:
    """Where a case runs: an empty folder of its own, and that of the real measurements (None: not at hand)."""

    work: Path
    real: Path | None

    def fixture(self, name: str) -> Path:
        assert self.real is not None
        return self.real / name

    @property
    def hide(self) -> dict[str, str]:
        """Folders that differ between machines, longest first, with what stands for them."""
        known = {self.work: "", self.real: "", ROOT: ""}
        paths = sorted((str(path) + os.sep for path in known if path is not None), key=len, reverse=True)
        return dict.fromkeys(paths, "")


@dataclass(frozen=True)
class Case:
    """`real`: needs real measurements; `extras`: packages that only some environments have."""

    name: str
    run: Callable[[Place], Facts]
    real: bool = False
    extras: tuple[str, ...] = ()

    def missing(self, real: Path | None) -> str:
        """Why the case cannot be run here, "" where it can."""
        if self.real and real is None:
            return "XRDCOMP_FIXTURES is not set: it names the folder of real measurements, which are not shipped"
        absent = [name for name in self.extras if importlib.util.find_spec(name) is None]
        return f"needs the optional packages {', '.join(absent)}" if absent else ""


CASES: dict[str, Case] = {}


def add(name: str, run: Callable[[Place], Facts], *, real: bool = False, extras: tuple[str, ...] = ()) -> None:
    assert name not in CASES
    CASES[name] = Case(name, run, real, extras)


def run_case(case: Case, real: Path | None) -> Facts:
    """Facts of one case, from an empty folder, with one process."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"XRDCOMP_WORKERS": "1"}):
        place = Place(Path(folder).resolve(), real)
        with contextlib.chdir(folder):
            found = case.run(place)
        return facts_of(found, real=case.real, hide=place.hide)


# analyses in Python


def whole(result: Any) -> Facts:
    """Everything of one analysis: the JSON, and what only Python gives."""
    found = json.loads(result.to_json())
    return {
        "result": found,
        "fit": _beyond(result.xrd, found.get("xrd", ())),
        "tga": _beyond(result.tga, found.get("tga", ())),
        "draws": result.composition.draws,
    }


def _beyond(item: Any, told_already: Container[str]) -> Facts | None:
    """Fields of a dataclass that the JSON does not hold under the same name."""
    if item is None:
        return None
    return {name: value for name, value in fields_of(item).items() if name not in told_already}


def analysed(*measured: Any, settings: Settings | None = None, **given: Any) -> Facts:
    return whole(xc.analyze(*measured, recipe=xc.Recipe().with_settings(settings or {}), **given))


def on_real_file(name: str, file: str, settings: Settings, *, curves: bool = True, **others: str) -> None:
    """Add an analysis of a real scan; `others` are further files by argument."""

    def run(place: Place) -> Facts:
        further = {key: place.fixture(path) for key, path in others.items()}
        found = analysed(place.fixture(file), settings=settings, **further)
        return found if curves else without_curves(found)

    add(name, run, real=True)


def without_curves(found: Facts) -> Facts:
    """For cases that share their fit with another case."""
    return {name: value for name, value in found.items() if name not in {"fit", "tga"}}


def embedded(row: Mapping[str, Any], **settings: Any) -> Facts:
    known = {"instrument.radiation": row["radiation"], "thermal.atmosphere": row["atmosphere"], **settings}
    files = SPECIMENS / row["xrd"], SPECIMENS / row["tga"]
    return analysed(files[0], tga=files[1], sample_id=row["specimen_id"], settings=known)


LISTED: list[dict[str, Any]] = json.loads((SPECIMENS / "cohort.json").read_text(encoding="utf-8"))["specimens"]
for row in LISTED:
    add(f"embedded_{row['specimen_id']}", lambda _, row=row: embedded(row))
FIRST = LISTED[0]
FIRST_XRD, FIRST_TGA = str(SPECIMENS / FIRST["xrd"]), str(SPECIMENS / FIRST["tga"])
CSV_XRD, CSV_TGA = (str(SPECIMENS / LISTED[1][kind]) for kind in ("xrd", "tga"))

for name, settings in {
    "crystallinity": {"quantification.k": [1.5, 0.3]},
    "ponkcs": {"quantification.method": "ponkcs", "quantification.ponkcs_factors": {"non_crystalline": [1.2, 0.1]}},
    "dry_basis": {"composition.basis": "dry"},
    "other_aliquot": {"composition.aliquot_std": 0.03},
}.items():
    add(f"embedded_{name}", lambda _, settings=settings: without_curves(embedded(FIRST, **NO_SEARCH, **settings)))
add("embedded_xrd_only", lambda _: analysed(FIRST_XRD, settings=COPPER))
add("embedded_tga_only", lambda _: analysed(tga=FIRST_TGA, settings={"thermal.atmosphere": "air"}))
VARIANTS: dict[str, Settings] = {
    "peaks_mode": {"fit.mode": "peaks"},
    "flexible_background": {"fit.background": "flexible"},
    "isotropic_march_dollase": {
        "fit.size": "isotropic",
        "fit.texture": "march_dollase",
        "fit.zero_shift": True,
        "fit.displacement": False,
    },
    "lmfit": {"fit.solver": "lmfit", "fit.strain": False},
}
for name, settings in VARIANTS.items():
    add(
        f"embedded_{name}",
        lambda _, settings=settings: analysed(FIRST_XRD, settings={**NO_SEARCH, **COPPER, **settings}),
    )

on_real_file("fluorapatite", "xrd/gsas/FAP.XRA", FLUORAPATITE)
on_real_file(
    "fluorapatite_b_of_elements",
    "xrd/gsas/FAP.XRA",
    {**FLUORAPATITE, "fit.b_elements": True, "fit.transparency": True, "fit.texture": "none"},
)
on_real_file("fluorapatite_searched", "xrd/gsas/FAP.XRA", {"instrument.wavelengths": [1.5405, 1.5443]})
for letter in "adg":
    on_real_file(f"round_robin_1{letter}", f"standards/cpd_round_robin/cpd-1{letter}.prn", ROUND_ROBIN)
on_real_file("round_robin_1g_from_nothing", "standards/cpd_round_robin/cpd-1g.prn", {**COPPER, **FROM_NOTHING})
on_real_file("zincite_from_apatite", "standards/cpd_round_robin/zincite.prn", COPPER)
on_real_file(
    "round_robin_hill_howard",
    "standards/cpd_round_robin/cpd-1d.prn",
    {
        **ROUND_ROBIN,
        "quantification.method": "hill_howard",
        "fit.background": "flexible",
        "quantification.particle_size_um": {"zincite": 2.0, "fluorite": 10.0},
    },
)
on_real_file(
    "round_robin_rir",
    "standards/cpd_round_robin/cpd-1d.prn",
    {
        **ROUND_ROBIN,
        "quantification.method": "rir",
        "quantification.reference_ratios": {"corundum": [1.0, 1e-4], "zincite": [5.28, 0.16], "fluorite": [4.03, 0.12]},
    },
    curves=False,
)
add(
    "round_robin_external_standard",
    lambda place: without_curves(
        analysed(
            place.fixture("standards/cpd_round_robin/cpd-1d.prn"),
            settings={
                **ROUND_ROBIN,
                "composition.method": "xrd+external_standard",
                "quantification.method": "external_standard",
                "quantification.external_scan": str(place.fixture("standards/cpd_round_robin/corundum.prn")),
            },
        )
    ),
    real=True,
)
on_real_file(
    "round_robin_given_constant",
    "standards/cpd_round_robin/cpd-1g.prn",
    {
        **ROUND_ROBIN,
        "quantification.method": "external_standard",
        "quantification.external_constant": [5e11, 2e10],
        "quantification.rest_attenuation": [8.0, 2.0],
    },
    curves=False,
)
on_real_file("soil_with_spike_mix1", "standards/rockjock/mix1.xy", SPIKED)
on_real_file(
    "soil_with_spike_mix2",
    "standards/rockjock/mix2.xy",
    {**SPIKED, "quantification.standard_crystallinity": [0.95, 0.01], "composition.seed": 4},
)
on_real_file(
    "gypsum_with_blank",
    "standards/rockjock/gypsum.xy",
    {**NO_SEARCH, **COPPER, "phases": ["gypsum"]},
    blank="standards/rockjock/back_pos.xy",
)
on_real_file("gypsum_from_nothing", "standards/rockjock/gypsum.xy", {**COPPER, **FROM_NOTHING})
on_real_file("calcite_from_nothing", "standards/rockjock/calcite.xy", {**COPPER, **FROM_NOTHING})
on_real_file("brucite_from_nothing", "standards/rockjock/brucite.xy", {**COPPER, **FROM_NOTHING})
on_real_file("organic_halo_alone", "standards/rockjock/organic_matter.xy", {**COPPER, **FROM_NOTHING})
on_real_file("soil_cobalt_stated", "xrd/bruker_raw_v3/D5000_3.RAW", FROM_NOTHING)
on_real_file("soil_cobalt_to_be_found", "xrd/xy/D5000_1.xy", FROM_NOTHING)
on_real_file(
    "soil_cobalt_variable_slit",
    "xrd/bruker_raw_v3/D5000_1.RAW",
    {**NO_SEARCH, "phases": ["quartz"], "instrument.variable_slit": True, "instrument.kbeta_ratio": 0.01},
)
on_real_file(
    "weighed_oxides_low_angle_range",
    "xrd/xrdml/TiO2_0p4009-ZnO_0p6010--8min.xrdml",
    {**NO_SEARCH, "phases": ["anatase", "rutile", "zincite"], "fit.grain_sizes_um": {"rutile": 1.0}},
)
on_real_file(
    "lab6_certificate",
    "xrd/pdcif/nist_srm660c_100a.cif",
    {**NO_SEARCH, "phases": ["lab6"], "instrument.monochromator_two_theta": 26.6},
)
on_real_file(
    "corundum_high_counts",
    "xrd/brml/SRM1976b_260105_D8A_20-155_0.008_4s_19hm.brml",
    {**NO_SEARCH, **COPPER, "phases": ["corundum"]},
)
on_real_file("metal_outside_library", "xrd/brml/test.brml", {})
on_real_file("rasx_outside_library", "xrd/rasx/geddes_sample.rasx", {})
on_real_file("quartz_rock_xrdml", "xrd/xrdml/geddes_sample.xrdml", {})
on_real_file("gsas_synchrotron", "xrd/fxye/11bmb_8714.fxye", {**NO_SEARCH, "phases": ["lab6"]})
on_real_file(
    "capillary_synchrotron",
    "xrd/xye/x3lactos.xye",
    {
        **FROM_NOTHING,
        "instrument.wavelengths": [0.7],
        "instrument.geometry": "debye_scherrer",
        "instrument.polarization_fraction": 0.05,
        "instrument.absorption_radius": 0.5,
    },
)
on_real_file(
    "ceria_transmission",
    "xrd/xy/CeO2_Pilatus1M.xy",
    {
        **FROM_NOTHING,
        "instrument.wavelengths": [0.4066],
        "instrument.geometry": "transmission",
        "instrument.absorption_radius": 0.2,
    },
)
on_real_file("zirconia_alumina_from_nothing", "xrd/dbws_dat/alzrc.dat", FROM_NOTHING)
on_real_file("phosphate_outside_library", "xrd/xy/CaNi(PO3)4_800_240_Ca(OH)2_(NH4)2HPO4_NiO.xy", COPPER)
add(
    "scan_chosen_of_several",
    lambda place: analysed(
        place.fixture("xrd/bruker_raw_v3/Keokuk_kaolinite.RAW"),
        scan=0,
        settings={**FROM_NOTHING, "fit.two_theta_range": [15.0, 80.0]},
    ),
    real=True,
)
add(
    "pattern_of_one_run_of_another",
    lambda place: analysed(
        place.fixture("standards/rockjock/calcite.xy"),
        tga=place.fixture("tga/netzsch_text/DIG10_1.txt"),
        settings={**COPPER, **NO_SEARCH, "phases": ["calcite"], "thermal.atmosphere": "air"},
    ),
    real=True,
)
add(
    "portlandite_pattern_missing_phase",
    lambda place: analysed(
        place.fixture("standards/cpd_round_robin/fluorite.prn"),
        tga=place.fixture("tga/netzsch_text/Ca(OH)2_roh.csv"),
        settings={**COPPER, **NO_SEARCH, "phases": ["portlandite", "fluorite"], "thermal.atmosphere": "argon"},
    ),
    real=True,
)


def _summation(place: Place) -> Facts:
    root = place.fixture("standards/rockjock")
    with (root / "rir.csv").open(encoding="utf-8") as stream:
        ratios = {line["phase"]: float(line["rir_corundum"]) for line in csv.DictReader(stream)}
    names = ("quartz", "corundum", "zincite", "organic_matter")
    return analysed(
        root / "mix2.xy",
        settings={
            **NO_SEARCH,
            **COPPER,
            "phases": ["quartz", "corundum"],
            "quantification.method": "summation",
            "quantification.reference_patterns": {name: str(root / f"{name}.xy") for name in names},
            "quantification.reference_ratios": {name: [ratios[name], 0.02 * ratios[name]] for name in names},
        },
    )


add("soil_summation_of_references", _summation, real=True)
add(
    "measured_halo_in_embedded",
    lambda place: embedded(
        FIRST,
        **{
            **NO_SEARCH,
            "fit.two_theta_range": [10.0, 60.0],
            "fit.amorphous": ["protein", "water"],
            "fit.amorphous_patterns": {"protein": str(place.fixture("standards/rockjock/organic_matter.xy"))},
        },
    ),
    real=True,
)

ZINC_OXIDE = """data_zno
_cell_length_a 3.2498
_cell_length_b 3.2498
_cell_length_c 5.2066
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'P 63 m c'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
_atom_site_U_iso_or_equiv
Zn1 Zn 0.33333 0.66667 0.0 1.0 0.0079
O1 O 0.33333 0.66667 0.3819 1.0 0.0087
"""


def _own_cif(place: Place, *, named: bool) -> Facts:
    file = place.work / "my_oxide.cif"
    file.write_text(ZINC_OXIDE, encoding="utf-8")
    chosen: Settings = {**NO_SEARCH, "phases": [str(file), "corundum", "fluorite"]}
    if not named:
        library = ["corundum", "fluorite", "quartz", "hydroxyapatite"]
        chosen = {**FROM_NOTHING, "identification.library": library, "identification.own_phases": [str(file)]}
    found = analysed(place.fixture("standards/cpd_round_robin/cpd-1g.prn"), settings={**COPPER, **chosen})
    return found | {"phase": xc.load_phase(file)}


add("own_cif_fitted", lambda place: _own_cif(place, named=True), real=True)
add("own_cif_searched", lambda place: _own_cif(place, named=False), real=True)


# simulated specimens


def specimen(seed: int, *, conditions: Settings | None = None, **parts: Any) -> Any:
    """Both measurements of a simulated specimen."""
    simulate = importlib.import_module("xrdcomp.simulate")
    xrd = simulate.XrdConditions(**{"peak_counts": 8000.0, "step": 0.04, **(conditions or {})})
    tga = simulate.TgaConditions(points=1500)
    return xc.simulate_specimen(simulate.SpecimenModel(**parts), xrd=xrd, tga=tga, seed=seed)


TISSUE = {"apatite": 0.35, "carbonate": 0.02, "protein": 0.38, "lipid": 0.08, "water": 0.14, "amorphous_mineral": 0.03}


def _simulated(name: str, settings: Settings, *, conditions: Settings | None = None, **parts: Any) -> None:
    def run(_: Place) -> Facts:
        found = specimen(11, conditions=conditions, **(parts or TISSUE))
        return {"truth": found.truth, **analysed(found.pattern, settings=settings)}

    add(f"simulated_{name}", run)


_simulated("molybdenum", NO_SEARCH, conditions={"anode": "Mo", "two_theta_max": 50.0, "step": 0.02})
_simulated("cobalt", {}, conditions={"anode": "Co", "two_theta_min": 8.0})
_simulated("first_line_only", NO_SEARCH, conditions={"kalpha2_ratio": 0.0, "variable_slit": True})
_simulated(
    "spiked_nano_apatite",
    {
        **NO_SEARCH,
        "phases": ["hydroxyapatite"],
        "internal_standard": "corundum",
        "internal_standard_fraction": 0.2,
        "composition.method": "xrd+internal_standard",
    },
    apatite=0.48,
    protein=0.32,
    other={"corundum": 0.2},
)
_simulated(
    "stone_of_several_phases", COPPER, apatite=0.3, protein=0.2, water=0.1, other={"calcite": 0.1, "whewellite": 0.3}
)


def _second_scan_as_blank(_: Place) -> Facts:
    found = specimen(11, **TISSUE)
    holder = specimen(12, conditions={"peak_counts": 60.0}, protein=1.0)
    return analysed(found.pattern, blank=holder.pattern, tga=found.tga, settings=NO_SEARCH)


add("simulated_with_blank", _second_scan_as_blank)


def _stages(_: Place) -> Facts:
    """Each stage called alone, as the README shows."""
    pattern, run = xc.read_xrd(FIRST_XRD), xc.read_tga(FIRST_TGA)
    recipe = xc.Recipe()
    instrument = xc.build_instrument(pattern, recipe.instrument)
    fit = xc.fit_pattern(pattern, xc.load_phases(["hydroxyapatite"]), instrument)
    thermal = xc.analyze_tga(run)
    found = xc.identify(pattern, instrument)
    composition = xc.compose(fit, found.phases, thermal)
    return {
        "instrument": instrument,
        "fit": fit,
        "tga": thermal,
        "phases": [phase.to_dict() for phase in found.phases],
        "composition": composition.to_dict(),
        "claims": [claim.to_dict() for claim in xc.evaluate_claims(composition, found.phases)],
    }


add("stages_called_alone", _stages)
add("default_recipe", lambda _: {"recipe": xc.Recipe().to_dict()})


def _library(_: Place) -> Facts:
    """Structures as loaded; the atoms are those of the full cell."""
    return {
        name: {key: value for key, value in vars(xc.load_phase(name)).items() if key != "atoms"}
        for name in xc.list_phases()
    }


add("library_of_phases", _library)


# thermogravimetry alone

OXALATE = ((0.1233, 160.0, 10.0), (0.1917, 490.0, 9.0), (0.3012, 720.0, 14.0))
MINERAL = ((0.10, 90.0, 12.0), (0.25, 320.0, 16.0), (0.12, 470.0, 14.0), (0.03, 770.0, 16.0))


def heated(rows: Iterable[tuple[float, float, float]], atmosphere: str, *, drift: float = 0.0) -> Any:
    """Run of 20 mg at 10 K/min with logistic steps of (loss, centre °C, width °C); `drift` in mg per 1000 K."""
    temperature = np.arange(25.0, 1000.0, 0.5)
    mass = np.ones(len(temperature))
    for loss, centre, width in rows:
        mass -= loss / (1.0 + np.exp(-(temperature - centre) / width))
    mass += 5e-5 * np.random.default_rng(7).standard_normal(len(mass))
    mass = 20.0 * mass + drift * temperature / 1000.0
    return xc.TgaRun(
        temperature_c=temperature,
        mass=mass,
        mass_unit="mg",
        time_s=(temperature - 25.0) * 6.0,
        initial_mass_mg=20.0,
        atmosphere=atmosphere,
    )


def on_run(name: str, run: Callable[[Place], Any], settings: Settings | None = None) -> None:
    add(f"tga_{name}", lambda place: analysed(tga=run(place), settings=settings))


on_run("oxalate", lambda _: heated(OXALATE, "nitrogen"))
on_run("oxalate_components", lambda _: heated(OXALATE, "nitrogen"), {"thermal.decompose": "always"})
on_run("tissue_air", lambda _: heated(MINERAL, "air"))
on_run("tissue_nitrogen", lambda _: heated(MINERAL, "nitrogen"))
on_run(
    "tissue_smoothed",
    lambda _: heated(MINERAL, "air"),
    {"thermal.smoothing_c": 8.0, "thermal.water_end_c": 200.0, "thermal.decompose": "never", "thermal.seed": 3},
)
add(
    "tga_blank_corrected",
    lambda _: analysed(tga=heated(MINERAL, "air", drift=0.2), tga_blank=heated((), "air", drift=0.2)),
)
for name, file in {
    "portlandite": "netzsch_text/Ca(OH)2_roh.csv",
    "cement": "netzsch_text/80CASH01_20CH.csv",
    "digestate": "netzsch_text/DIG10_1.txt",
    "wood_short": "csv/TUBS_Wood_TGA_N2_10K_R1.csv",
    "wood": "csv/CERIB_Wood_STA_N2_10K_R1.csv",
    "husks": "ta_trios/CLSOx10_2.txt",
    "char_burns": "ta_trios/MIS_1.txt",
    "many_steps": "ta_trios/SDa_1.txt",
    "gains": "perkinelmer/Methane_Pyrolysis.txt",
    "inert": "perkinelmer/perkinElmer_tga4000.txt",
    "cooling": "mettler_stare/MettlerToledo_example_file.txt",
    "too_short": "ta_universal/TAInstruments.txt",
}.items():
    add(f"tga_real_{name}", lambda place, file=file: analysed(tga=place.fixture(f"tga/{file}")), real=True)
add(
    "tga_real_nitrogen_stated",
    lambda place: analysed(
        tga=place.fixture("tga/csv/Aalto_Wood_TGA_N2_10K_R1.csv"),
        settings={"thermal.atmosphere": "nitrogen", "thermal.char_fraction": 0.15},
    ),
    real=True,
)


# readers


def _read(read: Callable[..., Any], file: Path, **given: Any) -> Facts:
    """What a file holds, or in which format and with which error it is refused."""
    try:
        return {"read": read(file, **given)}
    except xc.XrdcompError as error:
        if given or "scan=0" not in str(error):
            return {"refused": type(error).__name__, "format": getattr(error, "format_id", None)}
        return {"scan 0": _read(read, file, scan=0)}


def _all_files(place: Place, kind: str, read: Callable[..., Any], skip: tuple[str, ...]) -> Facts:
    files = sorted(path for path in place.fixture(kind).rglob("*") if path.is_file() and path.suffix not in skip)
    return {path.relative_to(place.fixture(kind)).as_posix(): _read(read, path) for path in files}


add("read_xrd", lambda place: _all_files(place, "xrd", xc.read_xrd, ()), real=True)
# .xls and .xlsx need packages of the test environment, the binary files one of another environment
add("read_tga", lambda place: _all_files(place, "tga", xc.read_tga, (".ngb-ds3", ".ngb-ss3")), real=True)
add(
    "read_tga_binary", lambda place: _all_files(place, "tga/netzsch_ngb", xc.read_tga, ()), real=True, extras=("pyngb",)
)
add(
    "read_embedded",
    lambda _: {
        row["specimen_id"]: [xc.read_xrd(SPECIMENS / row["xrd"]), xc.read_tga(SPECIMENS / row["tga"])] for row in LISTED
    },
)


# the command line


@cache
def _command() -> Callable[[], None]:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, name = scripts["xrdcomp"].partition(":")
    start: Callable[[], None] = getattr(importlib.import_module(module), name)
    return start


def command(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and standard output of ``xrdcomp ARGUMENTS``, run in this process and in the current folder."""
    out = io.StringIO()
    code: Any = 0
    with (
        mock.patch.object(sys, "argv", ["xrdcomp", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            _command()()
        except SystemExit as end:
            code = end.code
    return int(code or 0), out.getvalue()


def told_with_own_file(*arguments: str | Path) -> Facts:
    """As `told`, without the hash of a calibration that was just made: it turns on the last digit."""
    found = told(*arguments)
    del found["json"]["settings"]["used"]["files"]
    return found


_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def told(*arguments: str | Path) -> Facts:
    """Exit code, and what was printed: JSON as it is, of text the numbers only."""
    code, out = command(*arguments)
    if out.startswith(("{", "[")):
        return {"exit": code, "json": json.loads(out)}
    return {"exit": code, "numbers": _NUMBER.findall(out)}


def written(folder: Path, *skip: str) -> Facts:
    """What the files of a folder hold, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in skip)
    return {path.relative_to(folder).as_posix(): _held(path) for path in files}


def _held(path: Path) -> Any:
    if path.name == ".xrdcomp-files.json":  # hashes turn on fonts, and on the time that a page tells
        return sorted(json.loads(path.read_text(encoding="utf-8"))["files"])
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            held = {name.removeprefix("xrd_").removeprefix("tga_"): arrays[name] for name in arrays.files}
        # the order of reflections of one angle turns on rounding; a fit keeps them in a fixed one
        return {k: v.shape if k.startswith("reflections_") else v for k, v in held.items()}
    if path.suffix == ".svg":
        drawn = re.sub(r"<defs>.*?</defs>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        curves = " ".join(re.findall(r'\bd="([^"]*)"', drawn))
        return {"drawn": np.array([float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", curves)])}
    if path.suffix in {".png", ".html", ".nxs"}:
        return "<written>"
    rows = [_NUMBER.findall(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return {"lines": len(rows), "intensity": np.array([float(number) for row in rows for number in row])}


QUIET = ("--format", "json", "--quiet")


def on_command(
    name: str, *arguments: str, real: bool = False, files: bool = False, extras: tuple[str, ...] = ()
) -> None:
    """Add a command; ``@name`` stands for a real file."""

    def run(place: Place) -> Facts:
        given = [str(place.fixture(item[1:])) if item.startswith("@") else item for item in arguments]
        found = told(*given)
        return found | ({"files": written(place.work, "result.json")} if files else {})

    add(f"cli_{name}", run, real=real, extras=extras)


ONE = ("--set", "identification.search=false")
on_command("analyze", "analyze", FIRST_XRD, "--tga", FIRST_TGA, "--atmosphere", "air", *ONE, *QUIET)
on_command(
    "analyze_text", "analyze", CSV_XRD, "--tga", CSV_TGA, "--radiation", "CuKa", "--no-figures", "--quiet", "--out", "o"
)
on_command(
    "analyze_figures", "analyze", FIRST_XRD, "--tga", FIRST_TGA, "--set", "identification.search=false", *QUIET,
    "--out", "o", "--report", files=True,
)  # fmt: skip
on_command("identify", "identify", "@standards/rockjock/brucite.xy", "--radiation", "CuKa", *QUIET, real=True)
on_command("identify_text", "identify", FIRST_XRD, "--no-figures", "--quiet", "--out", "o")
on_command("tga", "tga", FIRST_TGA, "--atmosphere", "air", *QUIET)
on_command("tga_text", "tga", CSV_TGA, "--atmosphere", "air", "--quiet", "--no-figures", "--out", "o")
on_command(
    "tga_check",
    "tga-check",
    "@tga/netzsch_text/Ca(OH)2_roh.csv",
    "--standard",
    "portlandite",
    "--format",
    "json",
    real=True,
)
on_command("formats", "formats", "--format", "json")
on_command("phases", "phases", "--format", "json")
on_command("phase", "phases", "hydroxyapatite", "--format", "json")
on_command(
    "calibrate", "calibrate", "@xrd/pdcif/nist_srm660c_100a.cif", "--standard", "srm660c", "--refine-cell", *QUIET,
    real=True, files=True,
)  # fmt: skip
on_command(
    "integrate_calibrated", "integrate", "@xrd/image2d/CeO2_Pilatus1M.tif.bz2",
    "--poni", "@xrd/image2d/CeO2_Pilatus1M.poni", "--orientation", "2", "--points", "600", "--ring", "1.913",
    "--no-figures", "-o", "o.xye", *QUIET, real=True, files=True, extras=("fabio", "pyFAI"),
)  # fmt: skip
on_command(
    "integrate_molybdenum", "integrate", "@xrd/sfrm/powCeO2_00.sfrm", "@xrd/sfrm/powCeO2_02.sfrm",
    "--sector", "0,180", "--no-figures", "-o", "o.cif", *QUIET, real=True, files=True, extras=("fabio", "pyFAI"),
)  # fmt: skip


def _demo(place: Place) -> Facts:
    found = told("demo", "--no-figures", "--quiet", "--out", "o")
    results = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in place.work.rglob("result.json")
    }
    kept = ("status", "metadata")  # the rest is that of the cases of these specimens
    return found | {name: {key: results[name][key] for key in kept} for name in sorted(results)}


add("cli_demo", _demo)


def _simulate(place: Place) -> Facts:
    one = ",".join(f"{name}={value}" for name, value in TISSUE.items())
    code, _ = command("simulate", "--composition", one, "--sample-id", "T1", "--seed", "3", "--atmosphere", "nitrogen")
    return {"exit": code, "files": written(place.work)}


add("cli_simulate", _simulate)


def _simulate_cohort(place: Place) -> Facts:
    code, _ = command("simulate", "--out", "cohort")
    return {"exit": code, "files": written(place.work)}


add("cli_simulate_cohort", _simulate_cohort)


def _inspect(place: Place) -> Facts:
    names = [
        *("xrd/gsas/FAP.XRA", "xrd/bruker_raw_v3/Keokuk_kaolinite.RAW", "xrd/pdcif/nist_srm660c_100a.cif"),
        *("xrd/xrdml/2theta-omega.xrdml", "xrd/uxd/BT86_.UXD", "xrd/ras/Cr-Zn.ras", "xrd/stoe_raw/stoe.raw"),
        *("tga/perkinelmer/Methane_Pyrolysis.txt", "tga/ta_universal/TAInstruments.txt"),
        "tga/mettler_stare/mettlerToledoWeight.txt",
    ]
    return {name: told("inspect", place.fixture(name), "--format", "json") for name in names}


add("cli_inspect", _inspect, real=True)


def _convert(place: Place) -> Facts:
    codes = [command("convert", FIRST_XRD, f"out.{suffix}")[0] for suffix in ("xy", "xye", "csv", "cif")]
    return {"exit": codes, "files": written(place.work)}


add("cli_convert", _convert)


def _calibrate_then_analyze(place: Place) -> Facts:
    file = place.fixture("xrd/gsas/FAP.XRA")
    waves = ("--wavelength", "1.5405,1.5443", "--range", "15,129.985")
    found = told("calibrate", file, "--standard", "fluorapatite", *waves, "-o", "i.toml", *QUIET)
    chosen = ("--instrument", "i.toml", "--phases", "fluorapatite", "--set", "identification.search=false")
    return {
        "calibrate": found,
        "analyze": told_with_own_file("analyze", file, *chosen, "--range", "15,129.985", *QUIET),
    }


add("cli_calibrate_then_analyze", _calibrate_then_analyze, real=True)


def _calibrate_amorphous(place: Place) -> Facts:
    for name, share in (("a", 0.3), ("b", 0.7), ("c", 0.5)):
        parts = f"apatite={share},protein={1.0 - share:.1f}"
        command("simulate", "--composition", parts, "--sample-id", name, "--seed", "5", "--out", "s")
    mixtures = [f"s/{name}/{name}.xy:{share}" for name, share in (("a", 0.3), ("b", 0.7))]
    found = told("calibrate-amorphous", *mixtures, "--phases", "hydroxyapatite", "--radiation", "CuKa", "-o", "k.toml")
    constant = written(place.work, *(path.name for path in (place.work / "s").rglob("*")))
    chosen = (
        *("--set", "quantification.amorphous_file=k.toml", "--set", "identification.search=false"),
        *("--radiation", "CuKa"),
    )
    ponkcs = ("--set", "quantification.method=ponkcs")
    return {
        "calibrate": found,
        "constant": constant,
        "crystallinity": told_with_own_file("analyze", "s/c/c.xy", *chosen, *QUIET),
        "ponkcs": told_with_own_file("analyze", "s/c/c.xy", *chosen, *ponkcs, *QUIET),
    }


add("cli_calibrate_amorphous", _calibrate_amorphous)


def chosen_cases(parts: Iterable[str]) -> Iterator[Case]:
    """Cases whose names contain any of `parts`; all without one."""
    wanted = tuple(parts)
    return (case for name, case in CASES.items() if not wanted or any(part in name for part in wanted))
