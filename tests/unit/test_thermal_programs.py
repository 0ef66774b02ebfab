"""Programmes of gas and temperature, dried specimens, jumps, gaps, hydrates, by kinetics of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from tests.gas_programs import (
    AMMONIUM,
    CARBONATED,
    CHARRING,
    FADING,
    GELS,
    HYDRATES,
    INORGANIC,
    LATE_WATER,
    POLYMERS,
    SILICATES,
    WITHOUT_CHAR,
    Faults,
    Made,
    Pool,
    Programme,
    bone,
    make,
    untold,
)
from tests.helpers import assert_close
from tests.unit.thermal_curves import beside_phases
from xrdcomp.data import Atmosphere, TgaRun
from xrdcomp.errors import AnalysisError
from xrdcomp.recipe import Recipe, SpecimenRecipe, ThermalRecipe
from xrdcomp.results import TgaResult
from xrdcomp.stages import analyze_tga, compose
from xrdcomp.thermal.artefacts import _LEAST_FILTERED, _WINDOWS, _filtered_jump
from xrdcomp.thermal.programme import shift_with_rate
from xrdcomp.thermal.standards import tga_check
from xrdcomp.units import CO2_PER_CARBONATE

NO_BUOYANCY = ThermalRecipe(pan_volume_cm3=0.0, sample_density_g_cm3=1e6)
WATER, ORGANIC, CARBONATE = 0.10, 0.25, 0.035


def holds(result: TgaResult, *, atol: float = 0.006) -> None:
    """Each interval, widened by what a person would call the same, holds what was put in, and is no wider than 6 %."""
    truth = dict(zip(("water", "organic", "carbonate_co2"), (WATER, ORGANIC, CARBONATE), strict=True))
    for name, true in truth.items():
        low, high = result.quantities[name].ci95
        assert low - atol <= true <= high + atol, (name, low, high)
        assert high - low < 0.06, (name, low, high)


CHANGES = [
    pytest.param(Programme(gas="nitrogen", later=later, rate=rate, end_c=end, holds=((level, stay),),
                           oxygen_at_min=(level - 25.0) / rate + wait), id=f"{level:g}-{rate:g}-{later}-{wait:g}")
    for level, rate, later, wait, stay, end in [
        (600.0, 10.0, "air", 4.0, 30.0, 950.0), (550.0, 10.0, "air", 10.0, 40.0, 950.0),
        (650.0, 20.0, "oxygen", 5.0, 20.0, 980.0), (900.0, 10.0, "air", 5.0, 20.0, 900.0),
        (850.0, 20.0, "oxygen", 8.0, 25.0, 950.0), (800.0, 5.0, "air", 15.0, 40.0, 950.0),
        (950.0, 15.0, "air", 3.0, 15.0, 950.0),
    ]
]  # fmt: skip


@pytest.mark.parametrize("programme", CHANGES)
def test_char_that_burns_after_a_change_of_gas_is_organic(programme: Programme) -> None:
    made = make(bone(), programme)
    told = analyze_tga(made.run, NO_BUOYANCY)
    assert told.gas_changes[0].source == "user"
    assert told.char_fraction is None
    holds(told)
    for gas in ("nitrogen", "unknown"):
        guessed = analyze_tga(untold(made, gas), NO_BUOYANCY)  # type: ignore[arg-type]
        assert [c.source for c in guessed.gas_changes] == ["inferred"]
        holds(guessed)


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
def test_nothing_is_inferred_where_no_char_burns(rate: float) -> None:
    for gas in ("nitrogen", "air"):
        for stops in ((), ((600.0, 30.0),), ((900.0, 30.0),)):
            made = make(bone(), Programme(gas=gas, rate=rate, holds=stops))  # type: ignore[arg-type]
            assert analyze_tga(made.run, NO_BUOYANCY).gas_changes == ()


@pytest.mark.parametrize(("level", "minutes"), [(560.0, 60.0), (600.0, 60.0), (600.0, 120.0), (620.0, 30.0)])
def test_carbonate_of_a_run_with_a_hold(level: float, minutes: float) -> None:
    holds(analyze_tga(make(bone(), Programme(holds=((level, minutes),))).run, NO_BUOYANCY))


@pytest.mark.parametrize(("level", "minutes"), [(600.0, 60.0), (600.0, 120.0), (620.0, 60.0)])
def test_carbon_dioxide_that_goes_on_a_hold_while_char_burns_is_carbonate(level: float, minutes: float) -> None:
    """CO2 of one loss from 600 to 880 °C: a fifth to a third of it goes on the hold, much before the char has burnt."""
    tissue = [p for p in burning(0.2) if p.peak_c < 600]
    pools = [*tissue, *(Pool(mass=0.007, peak_c=t, energy_kj=200) for t in (660, 700, 740, 780, 820))]
    result = analyze_tga(make(pools, Programme(holds=((level, minutes),))).run, NO_BUOYANCY)
    low, high = result.quantities["carbonate_co2"].ci95
    assert low < 0.035 < high + 0.001
    assert high - low < 0.02


@pytest.mark.parametrize("start_c", [45.0, 70.0, 110.0, 150.0])
def test_what_was_lost_before_the_first_reading_is_unknown(start_c: float) -> None:
    result = analyze_tga(make(bone(), Programme(start_c=start_c)).run, NO_BUOYANCY)
    assert result.water_unknown
    assert "water" not in {step.name for step in result.steps}
    assert "water" not in result.quantities
    low, high = result.quantities["dry_organic"].ci95
    assert low - 0.01 <= ORGANIC / (1.0 - WATER) <= high + 0.01


@pytest.mark.parametrize("jump", [(250.0, -0.01), (480.0, -0.03), (650.0, 0.005), (820.0, -0.008), (180.0, 0.02)])
def test_jumps_are_named_and_belong_to_no_component(jump: tuple[float, float]) -> None:
    result = analyze_tga(make(bone(), Programme(), Faults(jumps=(jump,))).run, NO_BUOYANCY)
    assert "TGA_JUMP" in {m.code for m in result.messages}
    holds(result, atol=0.008)


@pytest.mark.parametrize("jump", [(320.0, -0.02), (330.0, 0.01), (100.0, -0.02), (440.0, -0.004), (765.0, 0.01)])
@pytest.mark.parametrize("reading_s", [1.0, 5.0, 10.0])
def test_jumps_are_found_on_steep_flanks(jump: tuple[float, float], reading_s: float) -> None:
    made = make(bone(), Programme(reading_s=reading_s), Faults(jumps=(jump,), noise_ug=3.0))
    result = analyze_tga(made.run, NO_BUOYANCY)
    (said,) = [m for m in result.messages if m.code == "TGA_JUMP"]
    assert_close(said.facts["lost"], -jump[1], atol=0.002, because="noise and curvature on the steepest flank")
    holds(result, atol=0.008)


def filtered(run: TgaRun, spread_s: float) -> TgaRun:
    """The run as a software exports it that smooths by a Gaussian over a standard deviation of some seconds."""
    return replace(run, mass=gaussian_filter1d(run.mass, spread_s / float(run.time_s[1]), mode="nearest"))


@pytest.mark.parametrize("jump", [(330.0, -0.02), (480.0, -0.02), (650.0, 0.015), (700.0, -0.02), (860.0, -0.01)])
@pytest.mark.parametrize("spread_s", [8.0, 15.0])
def test_jumps_that_smoothing_broadened_are_found(jump: tuple[float, float], spread_s: float) -> None:
    """Faster than 600 kJ/mol would let any reaction be; they are neither organic matter nor CO2."""
    whole = analyze_tga(filtered(make(bone(), Programme()).run, spread_s), NO_BUOYANCY)
    broken = analyze_tga(filtered(make(bone(), Programme(), Faults(jumps=(jump,))).run, spread_s), NO_BUOYANCY)
    assert "TGA_JUMP" not in {m.code for m in whole.messages}
    found = [m for m in broken.messages if m.code == "TGA_JUMP"]
    assert len(found) == 1
    assert abs(found[0].facts["lost"] + jump[1]) < 0.004
    for name in ("water", "organic", "carbonate_co2"):
        assert abs(broken.quantities[name].value - whole.quantities[name].value) < 0.005, name


@pytest.mark.parametrize("half", [12, 40])
def test_the_least_jump_that_counts_is_no_less_than_the_quick_test_of_it_lets_pass(half: int) -> None:
    """A Gaussian of nearly the widest width, and of the least size, on a cubic."""
    window, widest = _WINDOWS[0]
    limit, least = half / window, 1.02 * _LEAST_FILTERED
    u = np.arange(-half, half + 1.0)
    cubic = 0.6 - 1e-3 * u + 2e-6 * u**2 - 1e-8 * u**3
    found = _filtered_jump(cubic - least * ndtr(u / (0.99 * widest * limit)), 1.0, limit, widest, 1e-7)
    assert found is not None
    assert_close(found.size, -least, rtol=0.02, because="widths tried are a third apart, and the nearest is 1 % off")
    assert _filtered_jump(cubic, 1.0, limit, widest, 1e-7) is None


@pytest.mark.parametrize("order", [0.3, 0.5, 2 / 3, 1.0])
@pytest.mark.parametrize("place", [(140.0, 100.0), (300.0, 110.0), (390.0, 200.0), (465.0, 250.0), (775.0, 200.0)])
def test_sharp_ends_of_reactions_are_no_broadened_jumps(order: float, place: tuple[float, float]) -> None:
    pools = [
        Pool(mass=0.3, peak_c=place[0], energy_kj=place[1], order=order),
        Pool(mass=0.1, peak_c=330, energy_kj=160),
    ]
    for programme in (Programme(), Programme(holds=((105.0, 20.0), (550.0, 20.0)))):
        result = analyze_tga(filtered(make(pools, programme).run, 20.0), NO_BUOYANCY)
        assert "TGA_JUMP" not in {m.code for m in result.messages}


def test_narrow_reactions_are_no_jumps() -> None:
    for name, pools in HYDRATES.items():
        for rate in (5.0, 20.0):
            found = analyze_tga(make(pools, Programme(rate=rate)).run, NO_BUOYANCY)
            assert "TGA_JUMP" not in {m.code for m in found.messages}, name


@pytest.mark.parametrize("name", list(HYDRATES))
@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
def test_hydrates_are_not_read_as_moist_tissue(name: str, rate: float) -> None:
    result = analyze_tga(make(HYDRATES[name], Programme(rate=rate)).run, NO_BUOYANCY)
    assert result.nature == "not_tissue", (result.nature, [s.name for s in result.steps])
    assert result.nature_reason


@pytest.mark.parametrize("name", list(INORGANIC))
@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_gels_and_hydroxides_are_not_read_as_tissue(name: str, gas: Atmosphere) -> None:
    for rate in (5.0, 10.0):
        result = analyze_tga(make(INORGANIC[name], Programme(rate=rate, gas=gas)).run, NO_BUOYANCY)
        assert result.nature == "not_tissue", (rate, [s.name for s in result.steps])
        assert "organic" not in result.quantities


@pytest.mark.parametrize("name", list(GELS))
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_what_leaves_no_carbonate_is_not_tissue_for_sure(name: str, rate: float) -> None:
    """Unless diffraction found a mineral of tissue, or the user says so."""
    run = make(GELS[name], Programme(rate=rate)).run
    result = analyze_tga(run, NO_BUOYANCY)
    if result.nature == "open":  # else not read as tissue at all
        assert "TGA_DOUBTED" in {m.code for m in beside_phases(result)}
        assert "TGA_DOUBTED" in {m.code for m in beside_phases(result, "corundum")}
        assert "TGA_DOUBTED" not in {m.code for m in beside_phases(result, "hydroxyapatite")}
        composition = compose(result)
        assert composition["organic"] is composition["carbonate"] is None, "it may be water or CO2 of the mineral"
        assert "total_mineral" not in composition.identifiable_sums
    assert result.nature != "tissue"
    stated = msgspec.structs.replace(NO_BUOYANCY, assignment="tissue")
    tissue = analyze_tga(run, stated)
    assert tissue.nature == "tissue"
    assert compose(tissue)["organic"] is not None


@pytest.mark.parametrize(
    ("pools", "gas"),
    [pytest.param(pools, gas, id=f"{name}-{gas}") for name, pools in FADING.items() for gas in ("air", "nitrogen")]
    + [pytest.param(pools, "air", id=name) for name, pools in WITHOUT_CHAR.items()],
)
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_water_that_fades_or_leaves_no_char_is_not_organic(pools: list[Pool], gas: Atmosphere, rate: float) -> None:
    """Silanol goes on through the carbonate's window without a peak; water of a hydroxide leaves nothing to burn."""
    result = analyze_tga(make(pools, Programme(gas=gas, rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    assert result.nature_reason
    composition = compose(result)
    assert composition["organic"] is None
    assert composition["carbonate"] is None
    assert result.nature == "not_tissue" or "TGA_DOUBTED" in {m.code for m in beside_phases(result)}
    assert "TGA_DOUBTED" not in {m.code for m in beside_phases(result, "hydroxyapatite")}


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [5.0, 20.0])
@pytest.mark.parametrize("organic", [0.04, 0.12, 0.25, 0.6])
def test_bone_is_tissue_however_much_organic_it_has(organic: float, rate: float, gas: Atmosphere) -> None:
    mineral = (0.9 - organic) / 0.65
    pools = bone(organic=organic, carbonate=CARBONATE * mineral)
    if gas == "air":  # its char burns
        char = [Pool(mass=0.35 * organic, peak_c=500, energy_kj=140)]
        pools = [replace(p, mass=0.65 * p.mass) if 300 < p.peak_c < 450 else p for p in pools] + char
    result = analyze_tga(make(pools, Programme(gas=gas, rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "not_tissue", result.nature_reason
    assert result.doubted == ()
    assert (result.nature == "tissue") == (organic > 0.1), "4 % may be water of a mineral; the interval says so"


@pytest.mark.parametrize("name", list(CHARRING))
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_what_an_inert_gas_leaves_of_a_coal_is_not_said_to_be_mineral(name: str, rate: float) -> None:
    result = analyze_tga(make(CHARRING[name], Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    composition = compose(result)
    assert composition["organic"] is None
    assert "total_mineral" not in composition.identifiable_sums
    assert result.nature == "not_tissue" or "may be char" in " ".join(m.text for m in beside_phases(result))


@pytest.mark.parametrize(
    ("pools", "gas", "organic"),
    [pytest.param(p, gas, 0.0, id=f"{n}-{gas}") for n, p in LATE_WATER.items() for gas in ("air", "nitrogen")]
    + [pytest.param(p, "nitrogen", sum(x.mass for x in p if x.peak_c > 200), id=n) for n, p in POLYMERS.items()],
)
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_interval_holds_the_reading_without_tissue(
    pools: list[Pool], gas: Atmosphere, organic: float, rate: float
) -> None:
    """Late water of minerals beside hydroxyl that goes as CO2 does; char without any mineral."""
    result = analyze_tga(make(pools, Programme(gas=gas, rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    composition = compose(result)
    found = composition["organic"]
    if found is None:
        return
    assert found.ci95[0] - 0.004 <= organic <= found.ci95[1] + 0.004
    assert "FUSION_ORGANIC_OPEN" in [message.code for message in composition.messages]
    mineral = composition["total_mineral"]
    true = max(1.0 - organic - composition["water"].value, 0.0)
    assert mineral.ci95[0] - 0.004 <= true <= mineral.ci95[1] + 0.004
    stated = compose(result, recipe=Recipe(specimen=SpecimenRecipe(kind="tissue")))
    assert "FUSION_ORGANIC_OPEN" not in [message.code for message in stated.messages]


@pytest.mark.parametrize("name", list(AMMONIUM))
@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [3.0, 10.0])
def test_salts_that_evaporate_are_not_organic_for_sure(name: str, gas: Atmosphere, rate: float) -> None:
    """They leave no mineral and no char; of organic matter polymers alone do so."""
    result = analyze_tga(make(AMMONIUM[name], Programme(gas=gas, rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    organic = compose(result)["organic"]
    assert organic is None or organic.ci95[0] < 1e-9
    assert result.nature == "not_tissue" or "ammonium salts" in result.nature_reason


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_organic_matter_without_mineral_is_known_by_its_char(gas: Atmosphere) -> None:
    collagen = [replace(p, mass=0.9 * p.mass / 0.25) for p in bone(carbonate=0.0) if 300 < p.peak_c < 450]
    collagen.append(Pool(mass=0.08, peak_c=80, energy_kj=45))
    collagen += [Pool(mass=0.01, peak_c=t, energy_kj=200, order=1.5) for t in (500, 580)]  # charring goes on
    if gas == "air":
        collagen = [replace(p, mass=0.65 * p.mass) for p in collagen] + [Pool(mass=0.33, peak_c=510, energy_kj=140)]
    result = analyze_tga(make(collagen, Programme(gas=gas)).run, NO_BUOYANCY)
    assert (result.nature == "tissue") == (gas == "air"), "nitrogen leaves char that may be mineral"
    assert compose(result)["organic"].ci95[0] > 0.6


@pytest.mark.parametrize("name", list(CARBONATED))
@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_water_of_cement_and_gels_beside_a_carbonate_is_not_organic(name: str, gas: Atmosphere, rate: float) -> None:
    """It goes sooner than organic matter, or only slows down until portlandite goes."""
    result = analyze_tga(make(CARBONATED[name], Programme(gas=gas, rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    assert compose(result)["organic"] is None


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_hydroxyl_of_sepiolite_may_be_all_of_the_carbonate(gas: Atmosphere) -> None:
    """It goes at 820 °C, later than that of clays, and nothing says that the specimen is no such mineral."""
    result = analyze_tga(make(LATE_WATER["sepiolite"], Programme(gas=gas)).run, NO_BUOYANCY)
    composition = compose(result)
    assert composition["carbonate"].ci95[0] < 0.002
    assert "FUSION_HYDROXYL" in [message.code for message in composition.messages]


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [5.0, 20.0])
@pytest.mark.parametrize("calcite", [0.05, 0.3, 0.8])
def test_calcite_alone_is_told_by_its_shrinking_grains(calcite: float, rate: float, gas: Atmosphere) -> None:
    """First-order hydroxyl of silicates is not (above), and in oxygen carbon that burns is named."""
    pools = [Pool(mass=0.4397 * calcite, peak_c=775, energy_kj=190, order=2 / 3)]
    result = analyze_tga(make(pools, Programme(rate=rate, gas=gas, end_c=1000.0)).run)
    composition = compose(result)
    assert composition["carbonate"].ci95[0] - 1e-3 <= 0.5996 * calcite <= composition["carbonate"].ci95[1] + 1e-3
    assert composition["carbonate"].ci95[0] > 0.55 * calcite
    notes = {message.code: message for message in result.messages}
    assert ("TGA_AS_CALCITE" in notes) == (calcite < (0.9 if gas == "air" else 0.34))
    if "TGA_AS_CALCITE" in notes:
        assert notes["TGA_AS_CALCITE"].severity == ("warning" if gas == "air" else "info")


def test_tissue_whose_charring_hides_most_of_the_carbonate() -> None:
    """Its rate rises by a third over the valley: what coal and resins lose while they char only fades."""
    spread = [Pool(mass=0.007, peak_c=t, energy_kj=230) for t in (690, 750, 810)]
    collagen = [Pool(mass=0.50, peak_c=335, energy_kj=110, order=2.2, char=0.2)]
    tail = [Pool(mass=0.02, peak_c=t, energy_kj=200, order=1.5) for t in (480, 580)]
    water = [Pool(mass=0.07, peak_c=80, energy_kj=45)]
    result = analyze_tga(
        make([*water, *collagen, *tail, *spread], Programme(gas="nitrogen", rate=15.0)).run, NO_BUOYANCY
    )
    assert result.nature == "tissue", result.nature_reason


def test_late_char_of_nearly_no_mineral_is_no_carbonate() -> None:
    collagen = [Pool(mass=0.6, peak_c=335, energy_kj=160, order=1.6), Pool(mass=0.29, peak_c=505, energy_kj=140)]
    late = [Pool(mass=0.08, peak_c=80, energy_kj=45), Pool(mass=0.016, peak_c=690, energy_kj=190)]
    result = analyze_tga(make([*collagen, *late], Programme()).run, NO_BUOYANCY)
    assert result.nature == "tissue", result.nature_reason


@pytest.mark.parametrize(
    ("resin", "organic", "nature"),
    [
        (Pool(mass=0.4, peak_c=352, energy_kj=195), 0.55, "tissue"),  # an acrylic
        (Pool(mass=0.4, peak_c=467, energy_kj=240), 0.55, "tissue"),  # polyethylene
        # a polysaccharide, which goes where and as sharply as ammonium chloride does
        (Pool(mass=0.4, peak_c=300, energy_kj=180, char=0.24), 0.55, "open"),
    ],
)
def test_char_of_embedded_bone_is_not_that_of_protein(resin: Pool, organic: float, nature: str) -> None:
    pools = [replace(p, mass=0.6 * p.mass) for p in bone()]
    result = analyze_tga(make([*pools, resin], Programme(gas="nitrogen")).run, NO_BUOYANCY)
    assert result.nature == nature, result.nature_reason
    low, high = result.quantities["organic"].ci95
    assert low <= organic <= high


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize(
    ("stages", "mineral", "dioxide"),
    [
        ([Pool(mass=0.28, peak_c=352, energy_kj=200)], 0.35, 0.199),  # malachite
        ([Pool(mass=0.307, peak_c=380, energy_kj=190)], 0.35, 0.0),  # fine brucite
        ([Pool(mass=0.38, peak_c=515, energy_kj=230)], 0.38, 0.38),  # siderite
        (
            [Pool(mass=0.19, peak_c=p, energy_kj=e) for p, e in ((390, 150), (440, 210), (512, 400))],
            0.4,
            0.376,
        ),  # hydromagnesite after its crystal water
    ],
)
def test_mineral_on_the_flank_of_protein_bends_the_rate_as_no_protein_does(
    stages: list[Pool], mineral: float, dioxide: float, gas: Atmosphere
) -> None:
    """Without valleys of its own: the interval of thermogravimetry alone reaches the mineral's reading."""
    tissue = make([replace(p, mass=(1.0 - mineral) * p.mass) for p in bone()], Programme(gas=gas))
    assert analyze_tga(tissue.run, NO_BUOYANCY).nature == "tissue"
    pools = [replace(p, mass=(1.0 - mineral) * p.mass) for p in bone()]
    pools += [replace(p, mass=mineral * p.mass) for p in stages]
    result = analyze_tga(make(pools, Programme(gas=gas)).run, NO_BUOYANCY)
    assert result.nature == "open", result.nature_reason
    composition = compose(result)
    low, high = composition["organic"].ci95
    assert low - 0.005 <= 0.25 * (1.0 - mineral) <= high + 0.005
    carbonate = mineral * dioxide / CO2_PER_CARBONATE
    assert composition["carbonate"].ci95[1] > carbonate


def charring_on() -> list[Pool]:
    """Bone whose protein goes on charring, in an inert gas."""
    return [*bone(organic=0.20), *(Pool(mass=0.02, peak_c=t, energy_kj=150, order=2, char=0.22) for t in (470, 560))]


@pytest.mark.parametrize("told", ["unknown", "air"])
def test_char_that_nothing_burns_is_in_the_interval_whatever_was_told(told: Atmosphere) -> None:
    run = replace(make(charring_on(), Programme(gas="nitrogen")).run, atmosphere=told)
    result = analyze_tga(run, NO_BUOYANCY)
    assert "TGA_GAS_DOUBTED" in {message.code for message in result.messages}
    low, high = compose(result)["organic"].ci95
    assert low <= 0.24 <= high


@pytest.mark.parametrize("char", [0.02, 0.28])
def test_one_reaction_in_nitrogen_may_be_chitin_or_an_acrylic(char: float) -> None:
    pools = [
        *(replace(p, mass=0.6 * p.mass) for p in bone(organic=0.05)),
        Pool(mass=0.4, peak_c=378, energy_kj=195, char=char),
    ]
    low, high = compose(analyze_tga(make(pools, Programme(gas="nitrogen")).run, NO_BUOYANCY))["organic"].ci95
    assert low <= 0.43 <= high


def test_sugar_that_goes_before_the_end_of_the_water_may_be_no_water() -> None:
    sugar = [Pool(mass=0.10, peak_c=224, energy_kj=220), Pool(mass=0.08, peak_c=480, energy_kj=140)]
    pools = [*(replace(p, mass=0.82 * p.mass) for p in bone()), *sugar]
    composition = compose(analyze_tga(make(pools, Programme()).run, NO_BUOYANCY))
    low, high = composition["water"].ci95
    assert low <= 0.082 <= high
    assert composition["organic"].ci95[1] >= 0.18 + 0.82 * 0.25 - 0.005


def test_fat_in_nitrogen_beside_bone_is_more_than_hydroxides_lose() -> None:
    fatty = [*bone(organic=0.02, water=0.05), Pool(mass=0.42, peak_c=405, energy_kj=190, char=0.02)]
    result = analyze_tga(make(fatty, Programme(gas="nitrogen")).run, NO_BUOYANCY)
    assert result.nature == "tissue", result.nature_reason
    low, high = result.quantities["organic"].ci95
    assert low <= 0.44 <= high


@pytest.mark.parametrize("rate", [3.0, 10.0, 30.0])
@pytest.mark.parametrize(
    ("beside", "share", "dioxide"),
    [
        ([Pool(mass=0.309, peak_c=395, energy_kj=200, order=0.7)], 0.3, 0.0),  # brucite
        ([Pool(mass=0.87, peak_c=410, energy_kj=170, order=0.5)], 0.15, 0.0),  # the second stage of ammonium sulfate
        ([Pool(mass=0.522, peak_c=575, energy_kj=190, order=0.67)], 0.15, 0.522),  # magnesite
        ([Pool(mass=0.31, peak_c=500, energy_kj=170, order=0.67)], 0.15, 0.31),  # siderite
        ([Pool(mass=0.30, peak_c=120, energy_kj=70), Pool(mass=0.46, peak_c=575, energy_kj=230)], 0.2, 0.0),  # nitrate
    ],
)
def test_a_narrow_loss_beside_bone_in_an_inert_gas_may_be_no_organic_matter(
    beside: list[Pool], share: float, dioxide: float, rate: float
) -> None:
    """Fat and polymers go as narrowly about 400 °C; later, where tissue only chars on, carbonates and oxalates do."""
    mixed = [
        replace(pool, mass=part * pool.mass)
        for part, pools in ((1.0 - share, bone()), (share, beside))
        for pool in pools
    ]
    result = analyze_tga(make(mixed, Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY)
    assert "one narrow reaction" in result.nature_reason
    composition = compose(result)
    assert "FUSION_ORGANIC_OPEN" in [message.code for message in composition.messages]
    carbonate = ((1.0 - share) * CARBONATE + share * dioxide) / CO2_PER_CARBONATE
    for name, true in (("organic", (1.0 - share) * ORGANIC), ("carbonate", carbonate)):
        low, high = composition[name].ci95
        assert low < true < high, name


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [3.0, 10.0, 30.0])
def test_water_of_crystals_beside_bone_is_not_moisture_for_sure(gas: Atmosphere, rate: float) -> None:
    """Sodium hydrogencarbonate loses 37 % about 150 °C, 26 % of that CO2; moisture goes sooner and takes longer."""
    salt = [Pool(mass=0.2 * 0.369, peak_c=150, energy_kj=102, order=0.5)]
    mixed = [*(replace(p, mass=0.8 * p.mass) for p in bone()), *salt]
    composition = compose(analyze_tga(make(mixed, Programme(gas=gas, rate=rate)).run, NO_BUOYANCY))
    assert "FUSION_CRYSTAL_WATER_OPEN" in [message.code for message in composition.messages]
    assert composition["water"].ci95[0] < 0.8 * WATER < composition["water"].ci95[1]
    assert composition.identifiable_sums["total_mineral"].ci95[1] > 1.0 - 0.8 * (WATER + ORGANIC)
    moist = compose(analyze_tga(make(bone(), Programme(gas=gas, rate=rate)).run, NO_BUOYANCY))
    assert "FUSION_CRYSTAL_WATER_OPEN" not in [message.code for message in moist.messages]


@pytest.mark.parametrize("rise", [0.015, 0.03])
@pytest.mark.parametrize("minutes", [0.5, 2.0])
def test_a_balance_that_settles_does_not_spoil_the_run(rise: float, minutes: float) -> None:
    """Buoyancy and gas come to rest within minutes of closing the furnace."""
    made = make(bone(water=0.02), Programme(reading_s=3.0))
    clock = (made.run.time_s - made.run.time_s[0]) / 60.0
    run = replace(made.run, mass=made.run.mass - 12.0 * rise * np.exp(-clock / minutes))
    result = analyze_tga(run, NO_BUOYANCY)
    assert "TGA_SETTLES" in [m.code for m in result.messages]
    assert result.nature == "tissue", result.nature_reason
    for name, true in (("organic", ORGANIC), ("carbonate_co2", CARBONATE), ("water", 0.02)):
        low, high = result.quantities[name].ci95
        assert low - 0.006 <= true <= high + 0.006, name
    assert "TGA_SETTLES" not in [m.code for m in analyze_tga(made.run, NO_BUOYANCY).messages]


@pytest.mark.parametrize(("protein", "fat"), [(0.20, 0.10), (0.15, 0.15)])
def test_char_of_protein_and_fat_is_that_of_their_shares(protein: float, fat: float) -> None:
    mixed = [*bone(organic=protein, water=0.05), Pool(mass=fat, peak_c=405, energy_kj=190, char=0.02)]
    organic = analyze_tga(make(mixed, Programme(gas="nitrogen")).run, NO_BUOYANCY).quantities["organic"].value
    assert_close(organic, 0.30, atol=0.018, because="fat is told from the second stage of collagen to a fifth")


@pytest.mark.parametrize("rate", [3.0, 10.0])
def test_fat_in_nitrogen_is_read_though_a_hydroxide_would_go_so_too(rate: float) -> None:
    """One reaction beside CO2 in a peak of its own: the interval holds both, and the balance stands."""
    fatty = [*bone(organic=0.03, water=0.05), Pool(mass=0.22, peak_c=405, energy_kj=190, char=0.02)]
    result = analyze_tga(make(fatty, Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY)
    assert result.nature == "open"
    low, high = compose(result)["organic"].ci95
    assert low < 0.01 < 0.25 < high
    assert result.quantities["organic"].ci95[0] <= 0.25 <= result.quantities["organic"].ci95[1]


@pytest.mark.parametrize(("level", "gas"), [(420.0, "nitrogen"), (440.0, "air")])
def test_a_loss_that_a_hold_breaks_off_is_no_narrow_one(level: float, gas: Atmosphere) -> None:
    fatty = [*bone(organic=0.15), Pool(mass=0.10, peak_c=425, energy_kj=150)]
    made = make(fatty, Programme(gas=gas, holds=((level, 60.0),)))
    assert "narrow" not in analyze_tga(made.run, NO_BUOYANCY).nature_reason


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_graphite_in_air_is_no_carbonate(share: float) -> None:
    """It burns where calcite loses CO2; what nearly all of a calcite would lose is taken for it."""
    graphite = [Pool(mass=share, peak_c=740, energy_kj=180)]
    result = analyze_tga(make(graphite, Programme()).run, NO_BUOYANCY)
    assert compose(result)["carbonate"] is None
    alone, calcite = (" ".join(m.text for m in beside_phases(result, *found)) for found in ((), ("calcite",)))
    assert result.nature == "not_tissue" or "carbon that burns" in alone
    assert "carbon that burns" not in calcite


@pytest.mark.parametrize("name", list(SILICATES))
@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("rate", [3.0, 20.0])
def test_water_of_silicates_is_neither_organic_nor_carbonate(name: str, gas: Atmosphere, rate: float) -> None:
    """Thermogravimetry alone cannot tell them where no organic matter says that the specimen is tissue."""
    result = analyze_tga(make(SILICATES[name], Programme(rate=rate, gas=gas)).run, NO_BUOYANCY)
    assert result.nature != "tissue"
    composition = compose(result)
    assert composition["carbonate"] is None
    organic = composition["organic"]
    assert organic is None or organic.ci95[0] < 1e-3
    if result.nature == "open":
        alone, calcite = (" ".join(m.text for m in beside_phases(result, *found)) for found in ((), ("calcite",)))
        assert "CO2 may also be hydroxyl" in alone
        assert "CO2 may also be hydroxyl" not in calcite


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("clay", [0.2, 0.4])
def test_carbonate_of_bone_in_clay_reaches_down_to_what_is_its_own(clay: float, gas: Atmosphere) -> None:
    """Smectite loses its hydroxyl where bone loses CO2, and organic matter says tissue all the same."""
    parts = [(1.0 - clay, bone()), (clay, SILICATES["montmorillonite"])]
    mixed = [replace(pool, mass=share * pool.mass) for share, pools in parts for pool in pools]
    result = analyze_tga(make(mixed, Programme(gas=gas)).run, NO_BUOYANCY)
    assert result.nature == "tissue"
    composition = compose(result)
    true = (1.0 - clay) * CARBONATE / CO2_PER_CARBONATE
    assert composition["carbonate"].ci95[0] <= true <= composition["carbonate"].ci95[1]
    assert "FUSION_HYDROXYL" in [message.code for message in composition.messages]


@pytest.mark.parametrize(("kind", "held"), [("auto", True), ("tissue", False)])
def test_tissue_without_soil_keeps_its_carbonate(kind: Literal["auto", "tissue"], held: bool) -> None:
    """What may be clay's went by 750 °C: a bone's interval keeps what goes later, and all of it where stated."""
    result = analyze_tga(make(bone(), Programme()).run, NO_BUOYANCY)
    carbonate = compose(result, recipe=Recipe(specimen=SpecimenRecipe(kind=kind)))["carbonate"]
    true = CARBONATE / CO2_PER_CARBONATE
    assert (carbonate.ci95[0] < 0.5 * true) == held
    assert carbonate.ci95[0] > 0.2 * true  # two tenths of its CO2 peak well above
    assert carbonate.ci95[0] <= true <= carbonate.ci95[1]


@pytest.mark.parametrize("calcite", [0.6, 0.95])
def test_calcite_in_clay_is_bounded_by_what_is_no_calcite(calcite: float) -> None:
    """The purer the calcite, the less clay there is to have lost its hydroxyl; in nitrogen no carbon burns there."""
    parts = [(calcite, [Pool(mass=0.4397, peak_c=770, energy_kj=200)]), (1.0 - calcite, SILICATES["montmorillonite"])]
    mixed = [replace(pool, mass=share * pool.mass) for share, pools in parts for pool in pools]
    result = analyze_tga(make(mixed, Programme(gas="nitrogen")).run, NO_BUOYANCY)
    carbonate = compose(result)["carbonate"]
    assert carbonate.ci95[0] <= calcite * 0.5996 <= carbonate.ci95[1] + 1e-3
    assert carbonate.ci95[1] - carbonate.ci95[0] < 0.35 * (1.0 - calcite)


CARBON = {
    "charcoal": [Pool(mass=0.05, peak_c=70, energy_kj=45), Pool(mass=0.06, peak_c=700, energy_kj=180, order=2.5)],
    "bone char": [Pool(mass=0.05, peak_c=80, energy_kj=45), Pool(mass=0.03, peak_c=770, energy_kj=240)],
}


@pytest.mark.parametrize("name", list(CARBON))
def test_carbon_that_an_inert_gas_leaves_is_not_said_to_be_mineral(name: str) -> None:
    result = analyze_tga(make(CARBON[name], Programme(gas="nitrogen")).run, NO_BUOYANCY)
    assert "organic" in result.doubted
    composition = compose(result)
    assert composition["organic"] is None
    assert "total_mineral" not in composition.identifiable_sums
    assert "carbon (charcoal, soot)" in " ".join(m.text for m in beside_phases(result))
    in_air = analyze_tga(make(CARBON[name], Programme(gas="air")).run, NO_BUOYANCY)
    assert "organic" not in in_air.doubted


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_more_carbon_dioxide_than_a_silicate_holds_water_is_a_carbonate(gas: Atmosphere) -> None:
    result = analyze_tga(make([Pool(mass=0.43, peak_c=780, energy_kj=200)], Programme(gas=gas)).run, NO_BUOYANCY)
    assert result.nature == "open"
    assert abs(compose(result)["carbonate"].value - 0.43 * 60.009 / 44.010) < 0.004


@pytest.mark.parametrize(("rate", "end_c"), [(3.0, 900.0), (3.0, 980.0), (20.0, 1000.0)])
def test_carbonate_goes_late_in_carbon_dioxide(rate: float, end_c: float) -> None:
    """A run that ends before it has gone tells nothing of it, and none of it is taken for hydroxyl."""
    calcite = [Pool(mass=0.43, peak_c=925, energy_kj=700)]
    composition = compose(analyze_tga(make(calcite, Programme(rate=rate, end_c=end_c, gas="carbon_dioxide")).run))
    true, found = 0.43 * 60.009 / 44.010, composition["carbonate"]
    assert found is None or found.ci95[0] - 0.003 < true < found.ci95[1] + 0.003


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_char_that_carbonate_follows_at_once_ends_where_its_rate_no_longer_falls(rate: float) -> None:
    """On the ramp, where the gas changes just before the carbonate's peak: char 1 %, carbonate 6 %."""
    pools = [
        Pool(mass=0.10, peak_c=80, energy_kj=50), Pool(mass=0.11, peak_c=330, energy_kj=160, order=1.3, char=0.1),
        Pool(mass=0.06, peak_c=690, energy_kj=200),
    ]  # fmt: skip
    minutes = (shift_with_rate(625.0, rate, 200.0) - 25.0) / rate
    result = analyze_tga(make(pools, Programme(gas="nitrogen", rate=rate, oxygen_at_min=minutes)).run, NO_BUOYANCY)
    (burnt,) = [part for step in result.steps for part in step.parts if part.name.startswith("organic")][-1:]
    assert_close(burnt.mass_loss.value, 0.011, atol=0.006, because="the carbonate beside it is taken off")
    low, high = result.quantities["organic"].ci95
    assert low - 0.004 <= 0.11 <= high + 0.004
    low, high = result.quantities["carbonate_co2"].ci95
    assert low - 0.004 <= 0.06 <= high + 0.004


def test_a_fall_while_oxygen_comes_is_no_jump() -> None:
    made = make(bone(), Programme(gas="nitrogen", rate=2.0, oxygen_at_min=412.5, reading_s=60.0))
    result = analyze_tga(made.run, NO_BUOYANCY)
    assert "TGA_JUMP" not in {m.code for m in result.messages}
    holds(result)


@pytest.mark.parametrize("water", [0.4, 0.8])
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_wet_tissue_is_no_hydrate(water: float, rate: float) -> None:
    organic = 0.05 * (1.0 - water)
    pools = bone(water=water, organic=organic, carbonate=0.01 * (1.0 - water))
    result = analyze_tga(make(pools, Programme(rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "not_tissue", result.nature_reason
    low, high = result.quantities["organic"].ci95
    assert low - 0.003 <= organic <= high + 0.003


@pytest.mark.parametrize("gap", [(560.0, 640.0), (180.0, 260.0)])
def test_gaps_widen_what_they_cut(gap: tuple[float, float]) -> None:
    whole, cut = (analyze_tga(make(bone(), Programme(), Faults(gaps=g)).run, NO_BUOYANCY) for g in ((), (gap,)))
    assert "TGA_GAP" in {m.code for m in cut.messages}
    holds(cut)
    widths = [[np.ptp(r.quantities[n].ci95) for n in ("water", "organic", "carbonate_co2")] for r in (whole, cut)]
    assert (np.array(widths[1]) >= 0.95 * np.array(widths[0])).all()


def test_an_abrupt_step_adds_no_rise_beside_it() -> None:
    made: Made = make(bone(), Programme(gas="nitrogen", holds=((900.0, 20.0),), end_c=900.0, oxygen_at_min=92.5))
    mass = analyze_tga(made.run, NO_BUOYANCY).mass_fraction
    assert float((mass - np.minimum.accumulate(mass)).max()) < 1e-3


@pytest.mark.parametrize(
    ("top", "low", "rate", "after"),
    [
        (900.0, 650.0, 10.0, ()),
        (950.0, 600.0, 20.0, ((200.0, 5.0),)),
        (800.0, 500.0, 10.0, ()),
        (900.0, 750.0, 20.0, ((940.0, 20.0),)),
    ],
)
def test_ash_may_be_weighed_below_the_top(
    top: float, low: float, rate: float, after: tuple[tuple[float, float], ...]
) -> None:
    """Proximate analysis: pyrolysed to the top, cooled, burnt there; cooled or heated further."""
    levels = ((top, 7.0), (low, 40.0), *after)
    switch = (2.0 * top - low - 25.0) / rate + 11.0
    made = make(bone(), Programme(gas="nitrogen", rate=rate, end_c=top, after=levels, oxygen_at_min=switch))
    for run in (made.run, untold(made, "nitrogen"), untold(made, "unknown")):
        result = analyze_tga(run, NO_BUOYANCY)
        holds(result)
        low_end, high_end = result.residue.ci95
        assert low_end - 0.001 <= made.residue <= high_end + 0.001
    unburnt = analyze_tga(make(bone(), Programme(gas="nitrogen", rate=rate, end_c=top, after=levels)).run, NO_BUOYANCY)
    assert unburnt.gas_changes == ()


@pytest.mark.parametrize(("end_c", "minutes"), [(720.0, 90.0), (750.0, 30.0), (800.0, 20.0), (850.0, 10.0)])
def test_carbonate_is_complete_where_the_mass_stays(end_c: float, minutes: float) -> None:
    held = analyze_tga(make(bone(), Programme(end_c=end_c, holds=((end_c, minutes),))).run, NO_BUOYANCY)
    assert held.balance_names[-1] == "residue"
    holds(held, atol=0.001)
    stopped = analyze_tga(make(bone(), Programme(end_c=min(end_c, 800.0))).run, NO_BUOYANCY)
    assert stopped.balance_names[-1] == "residue_with_carbonate"
    (left,) = [m for m in stopped.messages if m.code == "TGA_CARBONATE_LEFT"]
    assert "950" not in left.text


@pytest.mark.parametrize("level", [110.0, 300.0])
def test_a_hold_within_a_loss_makes_no_single_reaction_of_it(level: float) -> None:
    holds(analyze_tga(make(bone(), Programme(holds=((level, 60.0),))).run, NO_BUOYANCY))


def test_standards_are_judged_by_what_still_happens() -> None:
    calcite = [Pool(mass=0.4397, peak_c=770.0, energy_kj=200.0)]
    held = make(calcite, Programme(start_c=105.0, end_c=750.0, holds=((750.0, 60.0),))).run
    assert tga_check(held, "calcite", NO_BUOYANCY).passed
    with pytest.raises(AnalysisError, match="until the mass is constant: it ends too early"):
        tga_check(make(calcite, Programme(end_c=750.0)).run, "calcite", NO_BUOYANCY)
    with pytest.raises(AnalysisError, match="ends too early"):
        tga_check(make(calcite, Programme(end_c=600.0)).run, "calcite", NO_BUOYANCY)


@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_enamel_holds_more_bound_water_than_organic_matter_and_is_no_gel(rate: float) -> None:
    water = [Pool(mass=0.015, peak_c=80, energy_kj=50), Pool(mass=0.012, peak_c=210, energy_kj=70, order=2.0)]
    gel = [*water, Pool(mass=0.008, peak_c=330, energy_kj=100, order=2.0)]
    assert analyze_tga(make(gel, Programme(rate=rate)).run, NO_BUOYANCY).nature != "tissue"
    enamel = [*gel, Pool(mass=0.015, peak_c=740, energy_kj=220)]
    result = analyze_tga(make(enamel, Programme(rate=rate)).run, NO_BUOYANCY)
    assert result.nature != "not_tissue"
    assert_close(result.quantities["carbonate_co2"].value, 0.015, atol=0.003, because="what late char may take")


@pytest.mark.parametrize(("end_c", "hold"), [(700.0, 60.0), (690.0, 90.0)])
def test_a_standard_ends_where_its_last_step_has_come_and_gone(end_c: float, hold: float) -> None:
    oxalate = [
        Pool(mass=0.1233, peak_c=165, energy_kj=105), Pool(mass=0.1917, peak_c=485, energy_kj=240),
        Pool(mass=0.3012, peak_c=700, energy_kj=210),
    ]  # fmt: skip
    made = make(oxalate, Programme(end_c=end_c, holds=((end_c, hold),), gas="nitrogen"))
    assert tga_check(made.run, "calcium-oxalate-monohydrate", NO_BUOYANCY).passed
    for level in (600.0, 690.0):  # before its last step, and in it
        cut = make(oxalate, Programme(end_c=level, gas="nitrogen"))
        with pytest.raises(AnalysisError, match="ends too early"):
            tga_check(cut.run, "calcium-oxalate-monohydrate", NO_BUOYANCY)


@pytest.mark.parametrize("end_c", [540.0, 600.0, 900.0])
@pytest.mark.parametrize("carbonate", [0.0, 0.05, 0.12])
def test_a_carbonated_standard_is_judged_where_its_carbonate_was_seen(end_c: float, carbonate: float) -> None:
    """5 % of calcite hide 1.2 % of water; a run that ends before them says so and does not blame the balance."""
    powder = [
        Pool(mass=0.2431 * (1.0 - carbonate), peak_c=450, energy_kj=180),
        Pool(mass=0.4397 * carbonate, peak_c=720, energy_kj=200),
    ]
    run = make(powder, Programme(end_c=end_c, gas="nitrogen")).run
    if carbonate and end_c < 800.0:
        with pytest.raises(AnalysisError, match="too low, as if that much of the powder were carbonate"):
            tga_check(run, "portlandite", NO_BUOYANCY)
    else:
        assert tga_check(run, "portlandite", NO_BUOYANCY).passed


def test_water_that_no_carbonate_explains_fails_a_standard() -> None:
    run = make([Pool(mass=0.18, peak_c=450, energy_kj=180)], Programme(end_c=600.0, gas="nitrogen")).run
    assert not tga_check(run, "portlandite", NO_BUOYANCY).passed


def charred(organic: float, *, charring_c: float, order: float, carbonate_c: float = 740.0) -> list[Pool]:
    """Protein in an inert gas, whose char goes on charring at a temperature, and 3 % of CO2."""
    return [
        Pool(mass=0.05, peak_c=80, energy_kj=50),
        Pool(mass=0.84 * organic, peak_c=333, energy_kj=165, order=1.6, char=0.22),
        Pool(mass=0.16 * organic, peak_c=charring_c, energy_kj=210, order=order, char=0.22),
        Pool(mass=0.03, peak_c=carbonate_c, energy_kj=230),
    ]


@pytest.mark.parametrize("organic", [0.25, 0.40, 0.60])
@pytest.mark.parametrize(("charring_c", "order"), [(480.0, 1.5), (520.0, 2.0)])
def test_carbonate_beside_char_that_nothing_gasifies(organic: float, charring_c: float, order: float) -> None:
    """Little late charring and no gasified char together are within what is known of them."""
    made = make(charred(organic, charring_c=charring_c, order=order), Programme(gas="nitrogen", rate=20.0))
    low, high = analyze_tga(made.run, NO_BUOYANCY).quantities["carbonate_co2"].ci95
    assert low < 0.03 < high


@pytest.mark.parametrize("rate", [1.5, 2.0, 5.0])
def test_slow_heating_makes_no_hydroxide_of_protein(rate: float) -> None:
    """Reactions go sooner, and within fewer °C, as R T²/E; what chars on at once is no more than left open."""
    pools = charred(0.25, charring_c=460.0, order=1.0)
    assert analyze_tga(make(pools, Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY).nature != "not_tissue"
    pools = charred(0.25, charring_c=460.0, order=1.5)
    assert analyze_tga(make(pools, Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY).nature == "tissue"


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_readings_that_leave_their_neighbours_and_come_back_are_not_used(gas: Atmosphere) -> None:
    made = make(bone(), Programme(gas=gas))
    rng = np.random.default_rng(3)
    mass = np.array(made.run.mass)
    for at in rng.integers(50, len(mass) - 50, 6):
        mass[at : at + int(rng.integers(1, 4))] += rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 2.0)
    clean = analyze_tga(made.run, NO_BUOYANCY)
    disturbed = analyze_tga(replace(made.run, mass=mass), NO_BUOYANCY)
    assert "TGA_OUTLIERS" in [m.code for m in disturbed.messages]
    assert "TGA_OUTLIERS" not in [m.code for m in clean.messages]
    assert disturbed.balance_names == clean.balance_names
    assert_close(disturbed.balance, clean.balance, atol=0.002, because="a dozen readings of a thousand are missing")


def test_masses_with_few_digits_have_no_outliers() -> None:
    made = make(bone(), Programme())
    rounded = replace(made.run, mass=np.round(made.run.mass, 2))
    assert "TGA_OUTLIERS" not in [m.code for m in analyze_tga(rounded, NO_BUOYANCY).messages]


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("digit_mg", [0.01, 0.05, 0.1, 0.2])
def test_masses_with_few_digits_have_no_jumps(digit_mg: float, gas: Atmosphere) -> None:
    """Each stair of 0.1 to 1.7 % stands where the mass passed the middle of two levels."""
    made = make(bone(), Programme(gas=gas))
    rounded = replace(made.run, mass=digit_mg * np.round(made.run.mass / digit_mg))
    result = analyze_tga(rounded, NO_BUOYANCY)
    assert "TGA_JUMP" not in [m.code for m in result.messages]
    assert result.nature == "tissue"
    for name, true in (("water", WATER), ("organic", ORGANIC), ("carbonate_co2", CARBONATE)):
        low, high = result.quantities[name].ci95
        assert low - 0.006 <= true <= high + 0.006, (name, low, high)


@pytest.mark.parametrize("start_mg", [1.2, 11.0, 13.0, 110.0])
def test_masses_of_three_significant_digits_have_no_jumps(start_mg: float) -> None:
    """Stairs of 0.1 mg above 10 mg and of 0.01 below."""
    run = make(bone(), Programme(reading_s=3.0), Faults(mass_mg=start_mg)).run
    rounded = replace(run, mass=np.array([float(f"{m:.3g}") for m in run.mass]))
    result = analyze_tga(rounded, NO_BUOYANCY)
    assert "TGA_JUMP" not in [m.code for m in result.messages]
    for name, true in (("water", WATER), ("organic", ORGANIC), ("carbonate_co2", CARBONATE)):
        low, high = result.quantities[name].ci95
        assert low - 0.006 <= true <= high + 0.006, (name, low, high)


def test_a_lost_grain_is_found_in_a_mass_with_few_digits() -> None:
    made = make(bone(), Programme(), Faults(jumps=((480.0, -0.03),)))
    result = analyze_tga(replace(made.run, mass=np.round(made.run.mass, 1)), NO_BUOYANCY)
    assert [m.code for m in result.messages].count("TGA_JUMP") == 1
    said = {m.code: m.facts for m in result.messages}
    assert_close(said["TGA_JUMP"]["lost"], 0.03, atol=0.009, because="one stair of 0.1 mg in 12 mg")


@pytest.mark.parametrize("starts", [0.85, 0.97, 1.04])
def test_a_relative_curve_that_does_not_start_at_the_whole_holds_both_readings(starts: float) -> None:
    """Its first reading is the whole, or the rest of it: water was lost before, or 100 % are another mass's."""
    run = make(bone(), Programme()).run
    relative = replace(run, mass=100.0 * starts * run.mass / float(run.mass[:5].mean()), mass_unit="percent")
    result = analyze_tga(relative, NO_BUOYANCY)
    for name, true in (("water", WATER), ("organic", ORGANIC), ("carbonate_co2", CARBONATE)):
        low, high = result.quantities[name].ci95
        assert low - 0.003 <= true <= high + 0.003, (name, low, high)
        if starts < 1.0:
            kept = starts * true + (1.0 - starts if name == "water" else 0.0)
            assert low - 0.003 <= kept <= high + 0.003, (name, low, high)


def test_a_crucible_weighed_with_the_specimen_gives_no_shares() -> None:
    run = make(bone(), Programme()).run
    result = analyze_tga(replace(run, mass=run.mass + 40.0, initial_mass_mg=12.0), NO_BUOYANCY)
    assert "crucible" in result.nature_reason
    assert not result.quantities


def test_wet_tissue_read_every_ten_degrees_keeps_its_first_water() -> None:
    run = make(bone(water=0.30, organic=0.20, carbonate=0.02), Programme()).run
    sparse = TgaRun(temperature_c=run.temperature_c[::12], mass=run.mass[::12], mass_unit="mg", atmosphere="air")
    low, high = analyze_tga(sparse, NO_BUOYANCY).quantities["water"].ci95
    assert low - 0.002 < 0.30 < high + 0.002


@pytest.mark.parametrize(("level", "minutes"), [(350.0, 30.0), (300.0, 120.0)])
def test_a_hold_does_as_much_as_heating_on(level: float, minutes: float) -> None:
    """A vinyl polymer that goes on a hold below 360 °C is no protein, and leaves no char."""
    pools = [*(replace(p, mass=0.6 * p.mass) for p in bone(water=0.04)), Pool(mass=0.4, peak_c=370, energy_kj=210)]
    made = make(pools, Programme(gas="nitrogen", holds=((level, minutes),)))
    low, high = analyze_tga(made.run, NO_BUOYANCY).quantities["organic"].ci95
    assert low < 0.6 * 0.25 + 0.4 < high


@pytest.mark.parametrize("place_c", [480.0, 560.0, 800.0])
def test_a_broadened_knock_in_an_inert_gas_is_no_char_that_burns(place_c: float) -> None:
    """All char of protein is an eighth of what left it or more; a hundredth of the specimen is a grain."""
    made = make(bone(), Programme(gas="nitrogen"), Faults(jumps=((place_c, -0.01),)))
    smooth = replace(made.run, mass=gaussian_filter1d(made.run.mass, 3.0))
    result = analyze_tga(smooth, NO_BUOYANCY)
    codes = [m.code for m in result.messages]
    assert "TGA_JUMP" in codes
    assert "TGA_GAS_INFERRED" not in codes
    clean = analyze_tga(made.run, NO_BUOYANCY).quantities["organic"].value
    assert_close(
        result.quantities["organic"].value, clean, atol=0.004, because="half of the jump's scaling, and its edges"
    )


@pytest.mark.parametrize("rate", [3.0, 10.0, 30.0])
@pytest.mark.parametrize(
    ("beside", "organic"),
    [
        ([replace(p, mass=0.1 * p.mass) for p in AMMONIUM["sulfate"]], 0.225),
        ([replace(p, mass=0.3 * p.mass) for p in AMMONIUM["sulfate"]], 0.175),
        ([Pool(mass=0.3 * 0.309, peak_c=395, energy_kj=180)], 0.175),
    ],
)
def test_a_narrow_loss_beside_bone_in_air_may_be_no_organic_matter(
    beside: list[Pool], organic: float, rate: float
) -> None:
    """Ammonium sulfate and brucite, which go where fat does, but in fewer degrees."""
    share = organic / 0.25
    tissue = [
        *(replace(p, mass=share * p.mass) for p in bone() if p.peak_c < 350 or p.peak_c > 500),
        Pool(mass=0.35 * organic, peak_c=505, energy_kj=150),
    ]
    result = analyze_tga(make([*tissue, *beside], Programme(rate=rate)).run, NO_BUOYANCY)
    assert "narrow" in result.nature_reason
    composition = compose(result)
    low, high = composition["organic"].ci95
    assert low < organic < high
    assert "FUSION_ORGANIC_OPEN" in [message.code for message in composition.messages]


@pytest.mark.parametrize("fat", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("rate", [3.0, 10.0, 30.0])
def test_fat_that_burns_is_no_narrow_loss(fat: float, rate: float) -> None:
    pools = [replace(p, mass=(1.0 - fat) * p.mass) for p in bone() if p.peak_c < 400 or p.peak_c > 500]
    pools += [Pool(mass=0.35 * 0.25 * (1.0 - fat), peak_c=505, energy_kj=150)]
    pools += [
        Pool(mass=share * fat, peak_c=t, energy_kj=e)
        for share, t, e in ((0.45, 312.0, 105.0), (0.4, 392.0, 120.0), (0.15, 490.0, 150.0))
    ]
    assert analyze_tga(make(pools, Programme(rate=rate)).run, NO_BUOYANCY).nature == "tissue"


def burning(organic: float = 0.25, *, water: float = 0.10, carbonate: float = 0.035) -> list[Pool]:
    """Bone in air whose char burns about 505 °C."""
    tissue = [p for p in bone(water=water, organic=organic, carbonate=carbonate) if p.peak_c < 350 or p.peak_c > 500]
    return [*tissue, Pool(mass=0.35 * organic, peak_c=505, energy_kj=150)]


def salted(salt: list[Pool], share: float, gas: Atmosphere) -> list[Pool]:
    """A share of a salt in bone."""
    tissue = burning() if gas == "air" else bone()
    return [replace(p, mass=(1.0 - share) * p.mass) for p in tissue] + [replace(p, mass=share * p.mass) for p in salt]


@pytest.mark.parametrize("rate", [5.0, 20.0])
@pytest.mark.parametrize("said", ["air", "unknown"])
@pytest.mark.parametrize("end_c", [950.0, 600.0])
def test_char_that_nothing_burnt_tells_that_the_gas_was_inert(rate: float, said: Atmosphere, end_c: float) -> None:
    made = make(bone(), Programme(gas="nitrogen", rate=rate, end_c=end_c, holds=((600.0, 15.0),)))
    result = analyze_tga(untold(made, said), NO_BUOYANCY)
    assert "TGA_GAS_DOUBTED" in [m.code for m in result.messages]
    assert (result.char_fraction is None) == (said == "air")  # as unsure beside a pattern, where nobody stated the gas
    low, high = compose(result)["organic"].ci95
    assert low < ORGANIC < high


@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_char_that_burns_tells_that_the_gas_was_not_inert(rate: float) -> None:
    """With and without diffraction: the char fraction itself is unsure."""
    made = make(burning(), Programme(rate=rate))
    result = analyze_tga(untold(made, "nitrogen"), NO_BUOYANCY)
    assert "TGA_GAS_DOUBTED" in [m.code for m in result.messages]
    low, high = result.quantities["organic"].ci95
    assert low < ORGANIC < high
    told = analyze_tga(made.run, NO_BUOYANCY)
    assert "TGA_GAS_DOUBTED" not in [m.code for m in told.messages]
    inert = analyze_tga(make(bone(), Programme(rate=rate, gas="nitrogen")).run, NO_BUOYANCY)
    assert "TGA_GAS_DOUBTED" not in [m.code for m in inert.messages]


NARROW = {
    "gibbsite": [
        Pool(mass=0.05, peak_c=240, energy_kj=115), Pool(mass=0.235, peak_c=300, energy_kj=190, order=0.5),
        Pool(mass=0.05, peak_c=515, energy_kj=190),
    ],
    "sulfur": [Pool(mass=1.0, peak_c=280, energy_kj=90, order=0.1)],
    "ammonium chloride": [Pool(mass=1.0, peak_c=270, energy_kj=85, order=0.1)],
}  # fmt: skip


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("gas", ["air", "nitrogen"])
@pytest.mark.parametrize("share", [0.2, 0.3])
def test_a_narrow_loss_where_protein_goes_may_be_no_organic_matter(name: str, gas: Atmosphere, share: float) -> None:
    """Hydroxides, sulfur and salts that sublime: protein takes 27 °C and more for half of its peak."""
    pools = salted(NARROW[name], share, gas)
    composition = compose(analyze_tga(make(pools, Programme(gas=gas)).run, NO_BUOYANCY))
    if (organic := composition["organic"]) is not None:
        assert organic.ci95[0] < (1.0 - share) * ORGANIC < organic.ci95[1]


@pytest.mark.parametrize(("share", "rate"), [(0.2, 10.0), (0.3, 5.0), (0.3, 20.0)])
def test_a_narrow_loss_after_char_has_burnt_may_be_carbon_dioxide(share: float, rate: float) -> None:
    """Magnesite in air, whose CO2 goes before 600 °C: char of tissue burns there over more degrees."""
    pools = salted([Pool(mass=0.522, peak_c=575, energy_kj=190, order=0.67)], share, "air")
    composition = compose(analyze_tga(make(pools, Programme(rate=rate)).run, NO_BUOYANCY))
    organic, carbonate = composition["organic"], composition["carbonate"]
    assert organic.ci95[0] < (1.0 - share) * ORGANIC < organic.ci95[1]
    true = ((1.0 - share) * CARBONATE + share * 0.522) / CO2_PER_CARBONATE
    assert carbonate.ci95[0] < true < carbonate.ci95[1] + 0.005


EARLY_CARBONATES = {  # by published steps: share of CO2, and reactions
    "smithsonite": (0.351, [Pool(mass=0.351, peak_c=440, energy_kj=190, order=0.67)]),
    "azurite": (0.255, [Pool(mass=0.307, peak_c=375, energy_kj=280)]),
}


@pytest.mark.parametrize("name", EARLY_CARBONATES)
@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_a_carbonate_that_goes_with_the_organic_is_within_both_intervals(name: str, rate: float) -> None:
    dioxide, reactions = EARLY_CARBONATES[name]
    composition = compose(analyze_tga(make(salted(reactions, 0.25, "air"), Programme(rate=rate)).run, NO_BUOYANCY))
    organic, carbonate = composition["organic"], composition["carbonate"]
    assert organic.ci95[0] < 0.75 * ORGANIC < organic.ci95[1]
    assert carbonate.ci95[0] < (0.75 * CARBONATE + 0.25 * dioxide) / CO2_PER_CARBONATE < carbonate.ci95[1]


@pytest.mark.parametrize("rate", [5.0, 20.0])
def test_a_liquid_that_evaporates_is_not_water_for_sure(rate: float) -> None:
    """Glycerol or an oil in bone leaves at the rate of its surface, to the last."""
    liquid = Pool(mass=1.0, peak_c=185, energy_kj=75, order=0.3)
    composition = compose(analyze_tga(make(salted([liquid], 0.2, "air"), Programme(rate=rate)).run, NO_BUOYANCY))
    for name, true in (("organic", 0.8 * ORGANIC + 0.2), ("water", 0.8 * WATER)):
        low, high = composition[name].ci95
        assert low < true < high + 0.01, name  # what goes with the moisture is told by nothing


@pytest.mark.parametrize("gas", ["air", "nitrogen"])
def test_gas_of_a_nitrate_is_no_carbonate_for_sure(gas: Atmosphere) -> None:
    """Potassium nitrate loses N2, O2 and K2O by first order, calcite CO2 from a shrinking surface."""
    pools = salted([Pool(mass=0.45, peak_c=720, energy_kj=220)], 0.3, gas)
    carbonate = compose(analyze_tga(make(pools, Programme(gas=gas)).run, NO_BUOYANCY))["carbonate"]
    assert carbonate.ci95[0] < 0.7 * CARBONATE / CO2_PER_CARBONATE
    pools = salted([Pool(mass=0.44, peak_c=740, energy_kj=195, order=0.67)], 0.4, gas)
    carbonate = compose(analyze_tga(make(pools, Programme(gas=gas)).run, NO_BUOYANCY))["carbonate"]
    assert carbonate.ci95[0] > 0.05


@pytest.mark.parametrize(("share", "rate"), [(0.25, 20.0), (0.35, 5.0), (0.35, 20.0)])
def test_organic_matter_that_chars_on_in_an_inert_gas_leaves_more_char(share: float, rate: float) -> None:
    """Lignite in bone: the organic's interval holds the char that protein would not leave."""
    matter = [p for p in CHARRING["lignite"] if p.peak_c > 200]
    pools = [*(replace(p, mass=(1.0 - share) * p.mass) for p in bone()),
             *(replace(p, mass=share * p.mass) for p in matter)]  # fmt: skip
    organic = compose(analyze_tga(make(pools, Programme(gas="nitrogen", rate=rate)).run, NO_BUOYANCY))["organic"]
    true = (1.0 - share) * ORGANIC + share * sum(p.mass for p in matter)
    assert organic.ci95[0] < true < organic.ci95[1]
    tissue = analyze_tga(make(bone(), Programme(gas="nitrogen")).run, NO_BUOYANCY)
    assert compose(tissue)["organic"].ci95[1] < 0.35
