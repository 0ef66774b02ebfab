"""What a curve can be of: tissue, something else, or what cannot be told apart by losses.

Water, organic matter and carbonate are read by the temperatures at which they leave, and other matter loses mass at the
same ones. `read_as_tissue` says whether the losses are read so, and what may be something else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from xrdcomp.data import Diagnostic, message_kind
from xrdcomp.results import OpenReading, TgaResult
from xrdcomp.thermal.char import CHAIN_FROM_C, CHAIN_TO_C, LATE_MOST, with_char_of_kind
from xrdcomp.thermal.curve import SmoothedCurve
from xrdcomp.thermal.losses import Boundaries, half_width_c, shares_gone
from xrdcomp.thermal.programme import INERT_GASES, shift_with_rate
from xrdcomp.thermal.smoothing import Z95
from xrdcomp.units import CELSIUS_ZERO_K, GAS_CONSTANT, FloatArray, celsius_to_kelvin, molar_mass

NOT_ASSIGNED = message_kind("TGA_NOT_ASSIGNED", "warning",
    "The steps are numbered, not assigned to water, organic matter and carbonate, for the reason given in the text.",
    remedy='If the specimen is tissue, set thermal.assignment = "tissue".',
    threshold="docs/thermal.md, When the steps are only numbered",
    origin="simulated specimens; measured plastics, hydroxides, oxalates, cements",
)  # fmt: skip


RUN_TOO_SHORT = message_kind("TGA_RUN_TOO_SHORT", "warning",
    "The run ends before the organic matter is lost; the steps are numbered and no balance is given.",
    remedy="Heat further, or hold, until the mass is constant.",
    threshold="end of the organic loss at the run's rate, or 120 °C below it if the mass is constant",
)  # fmt: skip


GAS_DOUBTED = message_kind("TGA_GAS_DOUBTED", "warning",
    "The char does not behave as in the stated or assumed gas: it burns in an inert gas, or seems to remain in oxygen.",
    remedy="State the gas, check purge and seals, or burn the residue off in air.",
    threshold="in an inert gas a peak of 1 % between 475 and 620 °C, as wide as that of burning char; in other gases "
    "no peak, and less than 15 % of the organic loss above 450 °C (20 % if not stated; but 6 % above 420 °C)",
    origin="specimens of two simulators in air and in inert gases; polymers",
)  # fmt: skip


AS_CALCITE = message_kind("TGA_AS_CALCITE", "warning",
    "There is no organic matter, and by its shape a single late loss is assigned to CO2 of calcite.",
    remedy="Burning graphite or coke can look the same; a run in nitrogen distinguishes them.",
    threshold="docs/thermal.md, Carbon, calcite and clay; info in an inert gas",
    origin="contracting volumes and first order at 3 to 30 K/min",
)  # fmt: skip


_CO2, _CALCITE = molar_mass(C=1, O=2), molar_mass(Ca=1, C=1, O=3)
_EARLY_C, _EARLY_ENERGY_KJ, _EARLY_SHARE = 355.0, 180.0, 0.2
# by when organic matter goes, and where its first stage is at the earliest fastest: published maxima at 10 K/min are
# hemicellulose 270, starch 310, keratin and collagen 310 to 340, cellulose 350; of gels and cement 230 to 260
_BEGUN_C, _FASTEST_C = 400.0, 265.0
# Fat alone in an inert gas: 10 to 20 % have gone by then on simulated specimens; of measured plastics 1 to 5 %, of a
# hydroxide 3 %, of hydrated cement 17 %, which holds no more than 15 % of bound water in all.
_EARLY_SHARE_OF_FAT, _MOST_BOUND_WATER = 0.1, 0.15
_NOTICEABLE, _NOTICEABLE_CARBONATE = 0.025, 0.01  # losses
_LATEST_START_C, _LEAST_START, _MOST_START = 180.0, 0.5, 1.05
# °C over which crystal water goes and how far above the start; least organic beside it; a tail, its rise, if organic
_NARROW_C, _LATE_C, _LEAST_ORGANIC, _TAIL, _RISE_OF_ORGANIC = 60.0, 25.0, 0.1, 0.01, 2.0
_BOUND_C, _BOUND_ENERGY_KJ = 105.0, 90.0  # moisture has begun to go by then
_HALF_WATER_C, _HALF_BEGINS_C = 40.0, 90.0  # half of crystal water goes within, and begins
_HALF_ORGANIC_C, _MOST_OF_MINERAL = 40.0, 0.5
_GAIN, _UNSURE = 0.01, 0.06
# residue that is to hold carbonate, and least CO2 of it: 3 to 8 % CO3 in bone and dentine, 2 to 4 in enamel
_MUCH_MINERAL, _LEAST_DIOXIDE = 0.3, 0.006
# organic matter and CO2 that are worth a doubt; most hydroxyl that a silicate loses so late (serpentine 13 %), and °C
# at 10 K/min by which clays have lost it (Földvári 2011: kaolinite 450 to 600, illite to 650, smectites 600 to 750)
_DOUBTED, _MOST_LATE_HYDROXYL = 0.005, 0.15
_CLAYS_LOST_IT_C, _CLAY_ENERGY_KJ = 750.0, 200.0
# A peak of CO2: its mass above the valley before it, of the residue (0.6 % of specimens of the kinetics world with less
# than a tenth of organic matter, 0.2 % of silanol of gels), and its rise over charring, which only fades
_LEAST_PEAK, _RISE_OVER_CHARRING = 0.002, 1.2
# most silanol, of dry silica: 4.9 OH/nm² [Zhuravlev, Colloids Surf. A 173 (2000) 1] on 1000 m²/g are 7.3 % of water
_MOST_SILANOL = 0.08
# Without such a peak tissue of that world takes 81 °C or more for half of its organic loss in air, 68 in an inert gas.
_HALF_OF_TISSUE_C = 65.0
# Collagen, keratin, fat and polysaccharide leave char that burns: 10 % or more of their loss come above 420 °C, of
# vinyl polymers 1 to 4 %, as of water of gels. Hydroxides lose no more than gibbsite (34.6 %).
_CHAR_BURNS_C, _CHAR_ENERGY_KJ, _LEAST_CHAR, _MOST_HYDROXIDE_WATER = 420.0, 180.0, 0.06, 0.35
# Ammonium sulfate, the last of the ammonium salts, has gone by 450 °C (10 K/min). In an inert gas collagen, keratin
# and polysaccharide of the kinetics world lose 3 % or more above 480 °C, in oxygen five times as much.
_CHAR_LASTS_C, _LEAST_LATE, _HALF_OF_SALT_C = 480.0, 0.015, 50.0
# Between a tenth and half, and between half and nine tenths, a contracting sphere of 160 to 230 kJ/mol takes times as
# 1 : 0.60, a first-order reaction as 1 : 0.72, and 2.0 to 2.8 R T²/E with E = 190 in all; half of calcite has gone at
# 720 to 790 °C of 5 to 20 mg [ICTAC project, Brown et al., Thermochim. Acta 355 (2000) 125: 190 to 210 kJ/mol]
_SHRINKING, _CALCITE_ENERGY_KJ, _CALCITE_WIDTH, _HALF_OF_CALCITE_C = 0.66, 190.0, (1.9, 2.85), (690.0, 810.0)
# A narrow loss among organic matter: from where on it may be found, where protein goes, where fat goes, where char
# burns and from where on no longer narrowly, and how far on; most °C for half of it from each of these on, in oxygen
# and in an inert gas (at 420 °C, elsewhere as T²); where in an inert gas polymers go as narrowly; its valleys, least
# mass above them, least height over the higher one, least heating per progress, and all of ammonium sulfate's loss over
# its second stage's [Kiyoura & Urano 1970]
_NARROW_FROM_C, _NARROW_TO_C, _CHAR_PLACE = (215.0, 315.0, 375.0, 475.0, 540.0), 620.0, 3
_NARROW_HALF_C, _NARROW_INERT_HALF_C = (31.0, 25.0, 23.0, 27.0, 30.0), (25.0, 25.0, 23.0, 27.0, 27.0)
_POLYMERS_FROM_C, _VALLEYS_WITHIN_C = 330.0, 60.0
_LEAST_NARROW, _LEAST_BESIDE_FAT = 0.01, 0.02  # the second in an inert gas before 475 °C: char alone is unsure by it
_OVER_VALLEYS, _HEATING_ON, _WITH_FIRST_STAGE = 1.5, 0.8, 1.25
# Full width by the curvature of the rate where it bends most, °C at 420 °C: 2.45 R T²/E of one first-order reaction are
# 60 with 160 kJ/mol, and organic matter of tissue goes over a distribution of energies; 50 with the 200 kJ/mol of char
# that burns. The range of the fit to each side, its certainty, and the height over the highest; bands of one range
# each, without 450 to 490 °C, where polyolefins go and char burns (that of a digestate within 43 °C), to 540 °C in
# oxygen unless more than half of the loss is so late; and all stages of a mineral over the sharp ones (hydromagnesite,
# ammonium sulfate, cerussite)
_SHARP_C, _SHARP_BURNING_C, _FIT_C, _SHARP_SIGMAS, _SHARP_HEIGHT, _WITH_OTHER_STAGES = 60.0, 50.0, 18.0, 3.0, 0.3, 2.0
_SHARP_BANDS_C = (215.0, 300.0), (300.0, 390.0), (390.0, 450.0), (490.0, 540.0), (540.0, 640.0)
_CHAR_BAND, _MOST_BURNT = 3, 0.55
# In air protein and polysaccharide lose a quarter or more above 450 °C, mixtures with much fat 12 % or more; in an
# inert gas most lose less than 15 %, all but fat at slow rates less than a fifth. Between the two nothing tells them
# apart where nobody stated the gas.
_CHAR_GOES_C, _LEAST_BURNT, _LEAST_BURNT_UNTOLD = 450.0, 0.15, 0.2
# Lignin, humic matter and coal char on: a tenth and more of their loss comes above 480 °C in an inert gas, of protein,
# fat and polysaccharide less (103 of 105 specimens of the two worlds), and up to half of them stays as char, as of
# lignite (fixed carbon of proximate analysis)
_CHARS_ON, _MOST_CHAR = 0.10, 0.5
# char of chitin, the most that goes in one reaction leaves; fastest by then at 10 K/min, beyond only polyolefins
_MOST_CHAR_OF_ONE, _LAST_POLYSACCHARIDE_C = 0.3, 400.0
# a narrow loss beside moisture: where at 10 K/min, most °C for half of it and at which temperature, and least reach of
# its valleys over that of later ones
_CRYSTAL_WATER_C, _CRYSTAL_WATER_HALF_C, _CRYSTAL_WATER_AT_C, _LEAST_REACH = (110.0, 215.0), 18.0, 150.0, 0.6
# Most CO2 of mineral of tissue, 8 % CO3 in its apatite; more is a carbonate's, or what nitrates (sodium and potassium
# nitrate lose half of their mass between 600 and 800 °C) and sulfates of aluminium and iron (SO3, from 650 °C) lose
_MOST_OF_TISSUE = 0.06
_NEARLY_ALL_CALCITE = 0.9  # a carbon's burning gives such a loss by chance only


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """If the losses are read as tissue's, what the specimen seems to be, why, and what may be something else.

    Of the organic matter that may be all (`may_be_none`), or what goes in a `narrow` loss. Where the curve looks as if
    the gas was another than was said (`gas_doubted`), its char may have burnt in an inert gas, or be left in oxygen.
    What `chars_on` leaves more char than matter of tissue.
    """

    read: bool
    nature: Literal["tissue", "not_tissue", "open"]
    reason: str = ""
    doubted: tuple[str, ...] = ()
    may_be_none: bool = False
    narrow: _Narrow | None = None
    gas_doubted: bool = False
    chars_on: bool = False
    messages: tuple[Diagnostic, ...] = ()


def read_as_tissue(curve: SmoothedCurve, boundaries: Boundaries) -> Judged:
    """Judge if the losses can be read as water, organic and carbonate, and tell why not."""
    assignment, end_c = curve.recipe.assignment, float(curve.raw.temperature_c[-1])
    if assignment == "none":
        return Judged(read=False, nature="open", reason="the settings ask for steps without assignment")
    if len(boundaries.mass) < 2:
        text = f"The run ends at {end_c:.0f} °C before the organic matter is lost; the steps are numbered and no "
        text += f"balance is given. {RUN_TOO_SHORT.remedy}"
        return Judged(
            read=False, nature="open", reason="the run ends too early", messages=(RUN_TOO_SHORT(text, end_c=end_c),)
        )
    reasons = [] if assignment == "tissue" else _reasons_against(curve, boundaries)
    if reasons:
        reason = "; ".join(reasons)
        text = f"The steps are numbered, not assigned to water, organic matter and carbonate: {reason}. "
        note = NOT_ASSIGNED(text + NOT_ASSIGNED.remedy)
        return Judged(read=False, nature="not_tissue", reason=reason, messages=(note,))
    if assignment == "tissue":
        return _doubt_of_losses(curve, boundaries) or Judged(read=True, nature="tissue")
    doubt = _doubt_without_organic(curve, boundaries)
    if doubt is None:
        doubt = (_doubt_of_tissue if len(boundaries.mass) > 2 else _doubt_of_losses)(curve, boundaries)
    return doubt or Judged(read=True, nature="tissue")


def _doubt_without_organic(curve: SmoothedCurve, boundaries: Boundaries) -> Judged | None:
    """Doubt where no organic matter vouches for tissue: gels lose water there, and silicates hydroxyl with CO2."""
    organic = float(boundaries.mass[0] - boundaries.mass[1]) + (0.0 if curve.burn is None else curve.burn.mass)
    falls = curve.burn is None and _only_slows_down(curve, boundaries)
    if organic >= _NOTICEABLE and not falls:
        return None
    before = float(boundaries.mass[1])
    dioxide = before - float(boundaries.mass[2]) if len(boundaries.mass) > 2 else _DOUBTED
    # of more than silicates hold, carbon that burns may be all in oxygen, unless it is all that calcite has
    most = _MOST_LATE_HYDROXYL if curve.inert else _NEARLY_ALL_CALCITE * _CO2 / _CALCITE
    likely = _as_of_calcite(
        curve.raw.temperature_c, curve.shown, curve.raw.heating_rate_k_min, boundaries.temperature_c, boundaries.mass
    )
    doubts = ("organic", organic > _DOUBTED), ("carbonate", _DOUBTED <= dioxide < most * before and not likely)
    reason = f"only {100 * organic:.1f} % are lost in the range of organic matter"
    if organic >= _NOTICEABLE:
        reason = f"the loss of {100 * organic:.1f} % in the range of organic matter only slows down, like that of "
        reason += "bound water"
    doubted = tuple(name for name, doubtful in doubts if doubtful)
    if curve.inert and "organic" not in doubted and curve.burn is None:
        # nothing charred, and soot or charcoal that the specimen held stays as it is
        doubted, reason = ("organic", *doubted), f"{reason}, and carbon remains in {curve.atmosphere}"
    notes: tuple[Diagnostic, ...] = ()
    if likely and dioxide < most * before:
        text = f"The loss of {100 * dioxide:.1f} % looks like CO2 of calcite: it is the only one, late, and fastest at "
        text += "its end."
        note = AS_CALCITE(text if curve.inert else f"{text} {AS_CALCITE.remedy}", lost=dioxide)
        notes = (replace(note, severity="info") if curve.inert else note,)
    return Judged(read=True, nature="open", reason=reason, doubted=doubted, messages=notes)


def _doubt_of_tissue(curve: SmoothedCurve, boundaries: Boundaries) -> Judged | None:
    """Doubt of organic matter and CO2 that their amounts, shapes and places do not bear out; None where they do."""
    organic = float(boundaries.mass[0] - boundaries.mass[1]) + (0.0 if curve.burn is None else curve.burn.mass)
    mass = boundaries.mass
    left, dioxide = float(mass[2]), float(mass[1] - mass[2])
    covariance = boundaries.total_covariance
    std = float(np.sqrt(max(covariance[1, 1] + covariance[2, 2] - 2.0 * covariance[1, 2], 0.0)))
    if left > _MUCH_MINERAL and dioxide + 2.0 * std < _LEAST_DIOXIDE * left:
        reason = f"the residue ({100 * left:.0f} %) loses no CO2 ({100 * dioxide:.2f} %), unlike mineral of tissue"
        return Judged(read=True, nature="open", reason=reason, doubted=("organic", "carbonate"))
    if curve.burn is None and (doubt := _doubt_of_organic(curve, boundaries)) is not None:
        return Judged(read=True, nature="open", reason=doubt, doubted=("organic", "carbonate"))
    if curve.burn is None and left > _MUCH_MINERAL and organic < _MOST_SILANOL * float(boundaries.mass[0]):
        reason = f"the {100 * organic:.1f} % of organic matter may also be water of a mineral"
        return Judged(read=True, nature="open", reason=reason)
    peak = _has_peak_of_dioxide(curve, boundaries)
    if left <= _MUCH_MINERAL and not peak:
        reasons = []
        if curve.inert:
            text = f"the residue ({100 * left:.0f} %) loses no CO2, unlike mineral of tissue, and may all be char"
            reasons.append(text)
        if salts := curve.burn is None and _leaves_no_char(curve, boundaries):
            text = f"almost none of the {100 * organic:.0f} % lost in the range of organic matter is lost as late as "
            text += "char, and there is no CO2 of a mineral of tissue; ammonium salts behave in the same way"
            reasons.append(text)
        if reasons:
            return Judged(read=True, nature="open", reason="; ".join(reasons), may_be_none=salts)
    # in an inert gas what is more than hydroxides lose is fat, or the resin in which a specimen was embedded
    beside = left > _MUCH_MINERAL and peak and organic <= _MOST_HYDROXIDE_WATER * float(mass[0])
    if beside and (half_c := _as_one_reaction(curve, boundaries)) is not None:
        reason = f"half of the {100 * organic:.1f} % lost in the range of organic matter is lost within {half_c:.0f} "
        reason += "°C, as from fat and polymers in an inert gas and from hydroxides in any gas"
        return Judged(read=True, nature="open", reason=reason, may_be_none=True)
    return _doubt_of_losses(curve, boundaries)


def _doubt_of_losses(curve: SmoothedCurve, boundaries: Boundaries) -> Judged | None:
    """Doubt of a loss that is narrower than organic matter's, and of the gas; None where both are as they should be.

    Nothing narrow is looked for in what was said to be tissue, nor where too little is left for a hydroxide: plants go
    as narrowly.
    """
    mass, told = boundaries.mass, curve.recipe.assignment == "tissue"
    gas = _doubt_of_gas(curve, boundaries)
    notes = () if gas is None else (GAS_DOUBTED(f"{gas[0].upper()}{gas[1:]}. {GAS_DOUBTED.remedy}"),)
    seek = float(mass[-1]) > _MUCH_MINERAL and not told
    found = (_narrow_loss(curve, float(mass[0] - mass[1])), _sharp_loss(curve, boundaries)) if seek else ()
    narrow = max((loss for loss in found if loss is not None), key=lambda loss: loss.in_all, default=None)
    polymers_c = shift_with_rate(_POLYMERS_FROM_C, curve.raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    many = narrow is not None and narrow.lost > _MOST_HYDROXIDE_WATER * float(mass[0])
    if narrow is not None and curve.inert and many and narrow.peak_c > polymers_c:
        narrow = None
    chars_on = None if gas is not None or told else _chars_on(curve, boundaries)
    if narrow is None and gas is None and chars_on is None:
        return None
    reasons = [reason for reason in (gas, chars_on) if reason is not None]
    if narrow is not None:
        text = f"{100 * narrow.lost:.1f} % are lost near {narrow.peak_c:.0f} °C in one narrow reaction, as from a "
        text += "hydroxide, "
        if narrow.late:
            text += "a carbonate of magnesium or iron, a nitrate or an oxalate"
        else:
            text += "a carbonate of copper, zinc or lead, "
            text += "a salt, fat or a polymer" if curve.inert else "an ammonium salt, sulfur or an organic crystal"
        reasons.insert(0, text)
    return Judged(
        read=True,
        nature="tissue" if narrow is None and chars_on is None else "open",
        reason="; ".join(reasons),
        narrow=narrow,
        gas_doubted=gas is not None,
        chars_on=chars_on is not None,
        messages=notes,
    )


def _doubt_of_gas(curve: SmoothedCurve, boundaries: Boundaries) -> str | None:
    """Reason to take the gas for another than was said, by what becomes of the char; else None.

    In an inert gas organic matter only chars on above 475 °C: a maximum that is too wide for a mineral's single
    reaction is char that burns, in a furnace that leaks, was not purged, or held air. In air char burns: where no
    maximum shows it and little goes as late, the gas was inert, unless most was a vinyl polymer. In oxygen it may have
    burnt before.
    """
    raw, mass = curve.raw, boundaries.mass
    organic = float(mass[0] - mass[1])
    if curve.burn is not None or organic < _NOTICEABLE or curve.gases[-1] == "oxygen":
        return None
    first_c, late_c, last_c = (
        shift_with_rate(t, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
        for t in (_CHAR_GOES_C, _NARROW_FROM_C[_CHAR_PLACE], _NARROW_TO_C)
    )
    for top in _maxima_between(curve, late_c if curve.inert else first_c, last_c):
        wider = float(celsius_to_kelvin(raw.temperature_c[top]) / celsius_to_kelvin(_CHAR_BURNS_C)) ** 2
        peak = _above_valleys(curve, top, _VALLEYS_WITHIN_C * wider)
        if peak.above < _LEAST_NARROW or not np.isfinite(peak.half_c):
            continue
        if not curve.inert:
            return None
        if peak.half_c >= _NARROW_INERT_HALF_C[_CHAR_PLACE] * wider:
            text = f"{100 * peak.above:.1f} % are lost in a peak at {raw.temperature_c[top]:.0f} °C, where in "
            text += f"{curve.atmosphere} organic matter only continues to char; either char burnt or a mineral lost "
            return text + "its water"
    if curve.inert:
        return None
    burns_c = shift_with_rate(_CHAR_BURNS_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    left = np.interp([burns_c, first_c], np.maximum.accumulate(raw.temperature_c), curve.mass) - float(mass[1])
    late = float(left[1])
    least = _LEAST_BURNT_UNTOLD if curve.atmosphere == "unknown" else _LEAST_BURNT
    # a vinyl polymer has gone before char burns
    if late >= least * organic or float(left[0]) < _LEAST_CHAR * organic:
        return None
    gas = "an unknown gas" if curve.atmosphere == "unknown" else curve.atmosphere
    text = (
        f"of the {100 * organic:.1f} % lost in the range of organic matter in {gas} only {100 * late:.1f} % are lost "
    )
    return text + f"above {first_c:.0f} °C, where char burns; the char may have remained, as in an inert gas"


class _Narrow(NamedTuple):
    """A narrow loss: what goes in it, of the start mass, where it is fastest, if so late that of organic matter only
    char goes on, so that it may be CO2, and what may go `in_all` with other stages of the same mineral or salt.
    """

    lost: float
    peak_c: float
    late: bool
    in_all: float


def _chars_on(curve: SmoothedCurve, boundaries: Boundaries) -> str | None:
    """Reason to take organic matter in an inert gas for lignin, humic matter or coal: it goes on charring; else None.

    A polymer that goes as late does so in one reaction.
    """
    raw, mass = curve.raw, boundaries.mass
    organic = float(mass[0] - mass[1])
    if not curve.inert or organic < _NOTICEABLE:
        return None
    late_c = shift_with_rate(_CHAR_LASTS_C, raw.heating_rate_k_min, _CHAR_ENERGY_KJ)
    late = float(np.interp(late_c, np.maximum.accumulate(raw.temperature_c), curve.mass)) - float(mass[1])
    half_c = half_width_c(curve, *(raw.index_at(p) for p in boundaries.progress[:2]))
    if late < _CHARS_ON * organic or half_c < _HALF_OF_TISSUE_C:
        return None
    text = f"of the {100 * organic:.1f} % lost in the range of organic matter {100 * late:.1f} % are lost above "
    return text + f"{late_c:.0f} °C, as from lignin, humic matter or coal, of which up to half remains as char"


def _narrow_loss(curve: SmoothedCurve, organic: float) -> _Narrow | None:
    """Find the largest loss that one narrow reaction takes among organic matter, above its valleys; None for none.

    For half of what stands above the valleys (at 420 °C, elsewhere as T²) tissue takes 31 °C and more before 318 °C, 26
    up to 375 and 24 up to 475 °C; gibbsite, sulfur, ammonium salts, brucite and uric acid take 14 to 23. In an inert
    gas fat and polymers may go as narrowly up to 475 °C, and from then to 620 °C tissue shows no maximum at all:
    carbonates of magnesium and iron, oxalates, nitrates and hydroxides take 18 to 26 °C. In oxygen char burns there:
    from 540 °C on over 34 °C and more, and before as narrowly, but no more than what of the `organic` matter chars.
    """
    raw, reached = curve.raw, curve.raw.temperature_c
    from_c = [shift_with_rate(t, raw.heating_rate_k_min, _EARLY_ENERGY_KJ) for t in _NARROW_FROM_C]
    last_c = shift_with_rate(_NARROW_TO_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    found: _Narrow | None = None
    for top in _maxima_between(curve, from_c[0], last_c):
        at, inert = float(reached[top]), curve.gases[top] in INERT_GASES
        place = int(np.searchsorted(from_c, at, side="right")) - 1
        late = place >= _CHAR_PLACE
        wider = float(celsius_to_kelvin(at) / celsius_to_kelvin(_CHAR_BURNS_C)) ** 2
        peak = _above_valleys(curve, top, _VALLEYS_WITHIN_C * max(wider, _LEAST_REACH))
        least = _LEAST_BESIDE_FAT if inert and not late else _LEAST_NARROW
        if place == _CHAR_PLACE and not inert:
            least = max(least, curve.recipe.char_fraction * organic)
        if peak.above < least or (found is not None and peak.lost <= found.lost):
            continue
        if peak.half_c < (_NARROW_INERT_HALF_C if inert else _NARROW_HALF_C)[place] * wider:
            found = _Narrow(peak.lost, at, late, _WITH_FIRST_STAGE * peak.lost)
    return found


def _crystal_water(curve: SmoothedCurve, water_end_c: float) -> float:
    """Largest loss that one narrow reaction takes beside moisture, of the start mass: from 110 to 215 °C, or as far as
    what goes is taken for water (sugars melt and go at 220 °C).

    Moisture and bound water take 21 °C and more for half of what stands above the valleys; crystal water of gypsum,
    brushite, newberyite and oxalates, and water and CO2 of hydrogencarbonates, 9 to 17 (at 150 °C, elsewhere as T²).
    """
    raw, most = curve.raw, 0.0
    first_c, last_c = (shift_with_rate(t, raw.heating_rate_k_min, _BOUND_ENERGY_KJ) for t in _CRYSTAL_WATER_C)
    for top in _maxima_between(curve, first_c, max(last_c, water_end_c)):
        wider = float(celsius_to_kelvin(raw.temperature_c[top]) / celsius_to_kelvin(_CRYSTAL_WATER_AT_C)) ** 2
        peak = _above_valleys(curve, top, _VALLEYS_WITHIN_C * max(wider, _LEAST_REACH))
        if peak.above >= _LEAST_NARROW and peak.half_c < _CRYSTAL_WATER_HALF_C * wider:
            most = max(most, peak.lost)
    return most


def _maxima_between(curve: SmoothedCurve, first_c: float, last_c: float) -> list[int]:
    """Grid points between two temperatures where the rate is highest of its neighbours."""
    rate = curve.dtg
    first, last = np.searchsorted(curve.raw.temperature_c, [first_c, last_c]).clip(1, len(rate) - 2)
    places = np.arange(first, last)
    highest: list[int] = places[(rate[places - 1] < rate[places]) & (rate[places] >= rate[places + 1])].tolist()
    return highest


def _sharp_loss(curve: SmoothedCurve, boundaries: Boundaries) -> _Narrow | None:
    """Find what goes in reactions sharper than organic matter's, whether or not valleys set them off; None for none.

    On the flank of protein a mineral's reaction has no valleys of its own, but the rate bends over it as over no
    distribution of reactions. A quartic through the mass gives rate and bend at each place, the sharpest place of a
    band the width of a Gaussian of that bend, and its area what may be the mineral's.
    """
    raw, mass = curve.raw, curve.raw.mass
    bands = [[shift_with_rate(t, raw.heating_rate_k_min, _EARLY_ENERGY_KJ) for t in band] for band in _SHARP_BANDS_C]
    first, last = np.searchsorted(raw.temperature_c, [bands[0][0], bands[-1][1]])
    if last - first < 3:
        return None
    highest = float(curve.dtg[first:last].max())
    burns_c = shift_with_rate(_CHAR_BURNS_C, raw.heating_rate_k_min, _CHAR_ENERGY_KJ)
    late_share = float(np.interp(burns_c, raw.temperature_c, curve.mass) - boundaries.mass[1])
    late_share /= max(float(boundaries.mass[0] - boundaries.mass[1]), 1e-6)
    lost, largest, peak_c, late = 0.0, 0.0, 0.0, False
    for band, (low_c, high_c) in enumerate(bands):
        wider = float(celsius_to_kelvin(0.5 * (low_c + high_c)) / celsius_to_kelvin(_CHAR_BURNS_C)) ** 2
        half = max(round(_FIT_C * wider / raw.step), 3)
        low, high = np.searchsorted(raw.temperature_c, [low_c, high_c]).clip(half, len(mass) - half)
        if high <= low:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(mass[low - half : high + half], 2 * half + 1)
        fit = np.linalg.pinv(np.vander(np.arange(-half, half + 1) * raw.step, 5, increasing=True))
        rate, bend = -windows @ fit[1], 6.0 * windows @ fit[3]
        sure = bend - _SHARP_SIGMAS * 6.0 * float(np.linalg.norm(fit[3])) * raw.bin_noise
        # on a hold any reaction breaks off, and across a gap nothing is known
        reached = np.lib.stride_tricks.sliding_window_view(raw.temperature_c[low - half : high + half], 2 * half + 1)
        heats = reached[:, -1] - reached[:, 0] > _HEATING_ON * 2 * half * raw.step
        counts = np.lib.stride_tricks.sliding_window_view(raw.counts[low - half : high + half], 2 * half + 1)
        seen = (rate > _SHARP_HEIGHT * highest) & (sure > 0.0) & heats & (counts > 0).all(axis=1)
        if not seen.any():
            continue
        width = np.where(seen, np.sqrt(8.0 * np.log(2.0) * np.abs(rate) / np.where(seen, sure, 1.0)), np.inf)
        at = int(np.argmin(width))
        burns = band >= _CHAR_BAND and curve.gases[low + at] not in INERT_GASES
        if burns and band == _CHAR_BAND and late_share < _MOST_BURNT:
            continue
        kelvin = celsius_to_kelvin(float(raw.temperature_c[low + at]))
        most = _SHARP_BURNING_C if burns else _SHARP_C
        area = float(np.sqrt(np.pi / np.log(16.0)) * rate[at] * width[at])
        if width[at] > most * float(kelvin / celsius_to_kelvin(_CHAR_BURNS_C)) ** 2 or area < _LEAST_NARROW:
            continue
        lost += area
        if area > largest:
            largest, peak_c, late = area, float(raw.temperature_c[low + at]), band >= _CHAR_BAND
    return _Narrow(lost, peak_c, late, _WITH_OTHER_STAGES * lost) if lost > 0.0 else None


class _AboveValleys(NamedTuple):
    """What goes between the valleys beside a maximum, what of it above them (both of the start mass), and the °C of
    progress for half of that, infinite where the maximum hardly stands out or is on a hold.
    """

    lost: float
    above: float
    half_c: float


def _above_valleys(curve: SmoothedCurve, top: int, within_c: float) -> _AboveValleys:
    raw, mass, rate = curve.raw, curve.mass, curve.dtg * curve.raw.step
    reach = max(int(within_c / raw.step), 3)
    low, high = max(top - reach, 0), min(top + reach, len(mass) - 1)
    low, high = low + int(np.argmin(rate[low : top + 1])), top + int(np.argmin(rate[top : high + 1]))
    valleys = np.linspace(rate[low], rate[high], high - low + 1)
    above = np.cumsum(np.clip(rate[low : high + 1] - valleys, 0.0, None))
    stands = rate[top] > _OVER_VALLEYS * max(float(rate[low]), float(rate[high]))
    # on a hold any reaction breaks off
    heats = raw.temperature_c[high] - raw.temperature_c[low] > _HEATING_ON * (high - low) * raw.step
    half_c = np.inf
    if stands and heats and above[-1] > 0.0:
        places = np.interp(np.linspace(0.0, float(above[-1]), 201), above, raw.progress[low : high + 1])
        half_c = float((places[100:] - places[:-100]).min())
    return _AboveValleys(float(mass[low] - mass[high]), float(above[-1]), half_c)


def find_open_reading(curve: SmoothedCurve, boundaries: Boundaries, judged: Judged, values: FloatArray) -> OpenReading:
    """How much less and more there may be than was read (`values`), of the start mass, where nothing says tissue.

    Less organic matter by all of it where it is no more than sepiolite, zeolites and cement hold of water so late,
    whose hydroxyl goes where CO2 does; else by what goes in one narrow reaction, and by a fourth beside it, the first
    stage of ammonium sulfate; more by all that is left in an inert gas where no CO2 shows a mineral. More carbonate by
    a narrow loss: malachite, azurite, cerussite and smithsonite lose CO2 from 280 °C on, siderite and magnesite where
    char burns. Less water by what goes as crystal water does, a hydrogencarbonate, or a liquid that evaporates,
    whatever the specimen is.
    """
    if judged.doubted:
        return OpenReading()
    water, organic, residue = (max(float(values[part]), 0.0) for part in (0, 1, -1))
    crystal_water = min(_crystal_water(curve, float(boundaries.temperature_c[0])), water)
    more = 0.0
    if judged.gas_doubted and curve.atmosphere == "air":  # the char of what went, if nothing burnt it
        char = with_char_of_kind(curve.recipe, curve, boundaries, gas_doubted=False)
        most = min(char.char_fraction + Z95 * char.char_std, 0.5)
        more = min(most / (1.0 - most) * organic, residue)
    if curve.inert:
        more = min(_char_of_polysaccharide(curve, boundaries), residue)
    if judged.nature != "open":
        return OpenReading(water_less=crystal_water, organic_more=more)
    less, carbonate = 0.0, 0.0
    if judged.may_be_none or (len(values) > 3 and organic < _MOST_SILANOL * (1.0 - water)):
        less = organic
    elif (narrow := judged.narrow) is not None:
        less = carbonate = min(narrow.in_all, organic)
    if curve.inert and residue <= _MUCH_MINERAL:
        more = residue
    elif judged.chars_on:  # at most half of it stayed as char
        more = max(more, min(_char_not_taken(curve, boundaries, _MOST_CHAR), residue))
    return OpenReading(organic_less=less, organic_more=more, carbonate_more=carbonate, water_less=crystal_water)


def _char_of_polysaccharide(curve: SmoothedCurve, boundaries: Boundaries) -> float:
    """Char in an inert gas beyond what was read, where one reaction may be a polysaccharide's, of the start mass.

    Chitin, cellulose and resins go in one reaction at 300 to 400 °C and leave up to 0.28 of themselves; acrylics, fat
    and polyolefins, which go as narrowly, next to nothing.
    """
    start, end = (curve.raw.index_at(p) for p in boundaries.progress[:2])
    half_c = half_width_c(curve, start, end)
    fastest_c = float(curve.raw.temperature_c[start + int(np.argmax(curve.dtg[start : end + 1]))])
    if half_c > _HALF_OF_SALT_C or fastest_c > shift_with_rate(
        _LAST_POLYSACCHARIDE_C, curve.raw.heating_rate_k_min, _EARLY_ENERGY_KJ
    ):
        return 0.0
    return _char_not_taken(curve, boundaries, _MOST_CHAR_OF_ONE)


def _char_not_taken(curve: SmoothedCurve, boundaries: Boundaries, most: float) -> float:
    """Char beyond what was taken for it, of the start mass, if a fraction `most` of the organic matter is char."""
    taken = with_char_of_kind(curve.recipe, curve, boundaries, gas_doubted=False).char_fraction
    lost = float(boundaries.mass[0] - boundaries.mass[1])
    return max(lost / (1.0 - most) - lost / (1.0 - taken), 0.0)


def _leaves_no_char(curve: SmoothedCurve, boundaries: Boundaries) -> bool:
    """Tell if next to nothing of the loss in the organic's window goes as late as char burns, or goes on charring.

    Ammonium salts have gone by then, to the last; of organic matter vinyl polymers alone leave so little. In an inert
    gas protein may too, but then goes slowly and leaves its char.
    """
    raw, mass = curve.raw, boundaries.mass
    late_c = shift_with_rate(_CHAR_LASTS_C, raw.heating_rate_k_min, _CHAR_ENERGY_KJ)
    late = float(np.interp(late_c, raw.temperature_c, curve.mass)) - float(mass[1])
    if late >= _LEAST_LATE * float(mass[0] - mass[1]):
        return False
    slow = half_width_c(curve, *(raw.index_at(p) for p in boundaries.progress[:2])) > _HALF_OF_SALT_C
    return not (curve.inert and slow and float(mass[-1]) > _NOTICEABLE)


def _doubt_of_organic(curve: SmoothedCurve, boundaries: Boundaries) -> str | None:
    """Reason to take what goes where organic matter does for a mineral's water, or what stays for char; else None.

    CO2 in a peak of its own vouches for a mineral of tissue. What only fades from the organic's window on is silanol of
    a gel where it is little, a hydroxide where it is narrow, and charring of coal or resin in an inert gas. In oxygen
    organic matter leaves char that burns later; a loss without it is of a hydroxide or a vinyl polymer.
    """
    mass, raw = boundaries.mass, curve.raw
    organic, left = float(mass[0] - mass[1]), float(mass[2])
    share = organic / max(float(mass[0]), 1e-6)
    cut, end = (raw.index_at(p) for p in boundaries.progress[:2])
    if left > _MUCH_MINERAL and not _has_peak_of_dioxide(curve, boundaries):
        half_c = half_width_c(curve, cut, end)
        fades = "the loss after it only fades, without a peak of CO2"
        if share < _MOST_SILANOL:
            return f"only {100 * organic:.1f} % are lost in the range of organic matter, and {fades}: silanol of a gel"
        if half_c < _HALF_OF_TISSUE_C:
            return f"half of the {100 * organic:.1f} % is lost within {half_c:.0f} °C, and {fades}: a hydroxide"
        if curve.inert and not _has_peak_of_dioxide(curve, boundaries, rise=_RISE_OVER_CHARRING):
            return f"{fades}: the residue ({100 * left:.0f} %) may be char of a resin or a coal"
    fastest_c = float(raw.temperature_c[cut + int(np.argmax(curve.dtg[cut : _begun(curve, cut, end)]))])
    if share < _MOST_HYDROXIDE_WATER and fastest_c < shift_with_rate(
        _FASTEST_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ
    ):
        text = f"the {100 * organic:.1f} % in the range of organic matter are lost fastest at {fastest_c:.0f} °C, "
        return text + "earlier than organic matter: water of a gel or of cement"
    burns_c = shift_with_rate(_CHAR_BURNS_C, raw.heating_rate_k_min, _CHAR_ENERGY_KJ)
    late = float(np.interp(burns_c, np.maximum.accumulate(raw.temperature_c), curve.mass)) - float(mass[1])
    burns = curve.gases[end] not in INERT_GASES
    if burns and share < _MOST_HYDROXIDE_WATER and late < _LEAST_CHAR * organic:
        text = (
            f"of the {100 * organic:.1f} % lost in the range of organic matter only {100 * late:.1f} % are lost above "
        )
        return text + f"{burns_c:.0f} °C, where its char would burn: water of a hydroxide, or a polymer without char"
    return None


def _has_peak_of_dioxide(curve: SmoothedCurve, boundaries: Boundaries, rise: float = 1.5) -> bool:
    """Tell if the loss in the carbonate's window rises to a peak of its own, by a factor `rise`.

    By half as a rule: of 200 specimens of the kinetics world (seed 3001) the 10 with less than a tenth of organic
    matter rise twofold or more, silanol of gels drawn over 200 to 900 °C by a third.
    """
    end, last = (curve.raw.index_at(p) for p in boundaries.progress[1:3])
    rate = np.maximum(curve.dtg[end : last + 1], 0.0)
    top, left = int(np.argmax(rate)), float(boundaries.mass[2])
    valley = float(rate[: top + 1].min())
    above = float(np.clip(rate - valley, 0.0, None).sum()) * curve.raw.step
    enough = above > _LEAST_PEAK * left and float(boundaries.mass[1]) - left > _LEAST_DIOXIDE * left
    return left > _NOTICEABLE and enough and float(rate[top]) > rise * valley


def silicate_hydroxyl(tga: TgaResult, minerals: float = 1.0, *, alone: bool = False) -> float:
    """Most of the carbonate's loss that may as well be hydroxyl of a clay or another silicate, of the start mass.

    By thermogravimetry `alone` it is beside organic matter all of a loss larger than mineral of tissue's that does not
    end as calcite's does: nitrates, alum and alunite lose theirs there too.

    Smectites, illite and serpentine lose it between 500 and 750 °C (at 10 K/min) in a peak that no shape tells from
    CO2 of apatite or calcite. It is no more than what goes by then, nor than 15 % of the mineral that is no calcium
    carbonate, nor of `minerals`, the mass fraction of those that may be silicates.
    """
    if len(tga.boundary_c) < 3 or "carbonate" not in tga.balance_names:
        return 0.0
    shape = tga.temperature_c, tga.mass_fraction, tga.heating_rate_k_min, tga.boundary_c, tga.boundary_mass
    if tga.nature == "open" and _as_of_calcite(*shape):
        return 0.0
    dioxide = max(float(tga.balance[tga.balance_names.index("carbonate")]), 0.0)
    beside = alone and float(tga.boundary_mass[0] - tga.boundary_mass[1]) >= _NOTICEABLE
    least = max(_MOST_OF_TISSUE * float(tga.boundary_mass[1]), _NOTICEABLE)
    if beside and dioxide > least and not _shrinks_as_calcite(*shape[:4]):
        return dioxide
    before, start_c = float(tga.boundary_mass[1]), float(tga.boundary_c[1])
    end_c = shift_with_rate(_CLAYS_LOST_IT_C, tga.heating_rate_k_min, _CLAY_ENERGY_KJ)
    lost_by = np.maximum.accumulate(tga.temperature_c)
    places = np.searchsorted(lost_by, [start_c, end_c]).clip(0, len(lost_by) - 1)
    early = float(tga.mass_fraction[places[0]] - tga.mass_fraction[places[1]])
    if tga.nature == "open":  # sepiolite, talc and mica lose it later, and no organic matter says that they are not it
        early = dioxide
    # x of calcium carbonate loses its share of CO2 and the rest at most its share of water: together the whole loss
    calcite, most = _CALCITE / _CO2, _MOST_LATE_HYDROXYL
    no_calcite = most * max(before - dioxide * calcite, 0.0) / (1.0 - most * calcite)
    return float(np.clip(min(early, no_calcite, most * minerals), 0.0, dioxide))


def _as_of_calcite(
    temperature_c: FloatArray,
    curve: FloatArray,
    rate_k_min: float | None,
    boundary_c: FloatArray,
    boundary_mass: FloatArray,
) -> bool:
    """Tell if the loss after the organic's end is a reaction that ends at a shrinking surface, as calcite's, and alone.

    No moisture of clay went before.
    """
    alone = len(boundary_mass) > 1 and 1.0 - float(boundary_mass[1]) <= _NOTICEABLE
    return alone and _shrinks_as_calcite(temperature_c, curve, rate_k_min, boundary_c)


def _shrinks_as_calcite(
    temperature_c: FloatArray, curve: FloatArray, rate_k_min: float | None, boundary_c: FloatArray
) -> bool:
    """Tell if the loss after the organic's end is mostly a reaction that ends at a shrinking surface, as calcite's.

    A grain that reacts at its surface goes faster to its end, while what is left of a first-order reaction, or of
    sites of many kinds, lingers: the hydroxyl of clays, serpentine and mica. From half to nine tenths takes less than
    two thirds of the °C from a tenth to half, both together what calcite's activation energy asks for, and half has
    gone where calcite's has.
    """
    if len(boundary_c) < 3:
        return False
    reached = np.maximum.accumulate(temperature_c)
    first, last = np.searchsorted(reached, boundary_c[1:3]).clip(0, len(curve) - 1)
    part = np.maximum.accumulate(curve[first] - curve[first : last + 1])
    if part[-1] < _DOUBTED:
        return False
    low, half, high = np.interp(np.array([0.1, 0.5, 0.9]) * part[-1], part, reached[first : last + 1]).tolist()
    length_c = GAS_CONSTANT * (half + CELSIUS_ZERO_K) ** 2 / (1e3 * _CALCITE_ENERGY_KJ)
    at_rate = [shift_with_rate(t, rate_k_min, _CALCITE_ENERGY_KJ) for t in _HALF_OF_CALCITE_C]
    if high - half >= _SHRINKING * (half - low) or not at_rate[0] < half < at_rate[1]:
        return False
    return bool(_CALCITE_WIDTH[0] < (high - low) / length_c < _CALCITE_WIDTH[1])


def _as_one_reaction(curve: SmoothedCurve, boundaries: Boundaries) -> float | None:
    """Least progress (°C) for half of the loss in the organic's window where that is one narrow reaction, else None.

    Half of what tissue loses goes within 80 °C or more, of wood within 50; a hydroxide's or oxalate's single reaction
    takes 25 to 38, and leaves more than half of the mass (10 K/min). Slow heating has reactions sooner, and as R T²/E
    narrower.
    """
    mass, rate_k_min = boundaries.mass, curve.raw.heating_rate_k_min
    if curve.burn is not None or not _NOTICEABLE < mass[0] - mass[1] < _MOST_OF_MINERAL * mass[0]:
        return None
    half_c = half_width_c(curve, *(curve.raw.index_at(p) for p in boundaries.progress[:2]))
    sooner = celsius_to_kelvin(shift_with_rate(_EARLY_C, rate_k_min, _EARLY_ENERGY_KJ)) / celsius_to_kelvin(_EARLY_C)
    return half_c if half_c < _HALF_ORGANIC_C * sooner**2 else None


def _only_slows_down(curve: SmoothedCurve, boundaries: Boundaries) -> bool:
    """Tell if the rate after the water never doubles while organic matter begins: bound water on its way out.

    What comes after 400 °C (at 10 K/min) is not looked at: portlandite of a cement paste goes then.
    """
    cut, end = (curve.raw.index_at(p) for p in boundaries.progress[:2])
    rate = curve.dtg[cut : _begun(curve, cut, end)]
    return len(rate) > 0 and float(rate.max()) < _RISE_OF_ORGANIC * max(float(rate[0]), 0.0)


def _begun(curve: SmoothedCurve, cut: int, end: int) -> int:
    """Grid point after `cut`, no later than `end`, by which organic matter goes in any gas: 400 °C at 10 K/min."""
    raw = curve.raw
    begun_c = shift_with_rate(_BEGUN_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    return max(min(end, int(np.searchsorted(raw.temperature_c, begun_c))), cut + 1)


def _reasons_against(curve: SmoothedCurve, boundaries: Boundaries) -> list[str]:
    raw, smooth = curve.raw, curve.mass
    mass, place_c = boundaries.mass, boundaries.temperature_c
    reasons = []
    if raw.temperature_c[0] > _LATEST_START_C:
        reasons.append(f"the run starts at {raw.temperature_c[0]:.0f} °C, above most of the water")
    if not _LEAST_START <= float(smooth[0]) <= _MOST_START:
        reasons.append(
            f"the curve starts at {100 * float(smooth[0]):.3g} % of its start mass, so that the stated unit or start "
            "mass is wrong"
        )
    if raw.untared:
        reasons.append(
            f"the curve starts at {raw.start_mass_mg:.4g} mg, more than the weighed mass of the header; the crucible "
            "may have been weighed with the specimen, so that fractions of the specimen are not known"
        )
    # Organic matter of tissue begins to go by 250 to 300 °C in any gas. Where less than a fifth of a noticeable loss in
    # the organic window has gone by 355 °C (at 10 K/min), it is the single reaction of something else: a hydroxide, an
    # oxalate, a plastic. Where nothing burns fat goes later than protein, and of a loss that bound water cannot explain
    # a tenth is enough.
    total = float(mass[0] - mass[1])
    early_c = shift_with_rate(_EARLY_C, raw.heating_rate_k_min, _EARLY_ENERGY_KJ)
    early = float(mass[0] - float(np.interp(early_c, raw.temperature_c, smooth)))
    share = _EARLY_SHARE_OF_FAT if curve.inert and total > _MOST_BOUND_WATER else _EARLY_SHARE
    # more than hydroxides lose, beside a carbonate: fat, or the resin in which a specimen is embedded
    peak = len(mass) > 2 and _has_peak_of_dioxide(curve, boundaries)
    beyond = peak and total > _MOST_HYDROXIDE_WATER * mass[0]
    if curve.inert and beyond:
        share = 0.0
    if total > _NOTICEABLE and early < share * total:
        reasons.append(
            f"of the {100 * total:.1f} % lost between {place_c[0]:.0f} and {place_c[1]:.0f} °C only "
            f"{100 * early / total:.0f} % were lost up to {early_c:.0f} °C, unlike organic matter of tissue"
        )
    unsure = float(np.sqrt(boundaries.covariance["placement"].diagonal()[:2].max()))
    if unsure > _UNSURE:
        reasons.append(
            f"no minimum of the rate separates water from organic matter (their boundary is uncertain by "
            f"{100 * unsure:.0f} %)"
        )
    # Calcium carbonate itself loses 44 %; more cannot be the CO2 of a carbonate. Of a run that ends before the
    # carbonate has gone, all that is lost after the organic counts.
    before, whole = float(mass[1]), len(mass) > 2
    loss = before - float(mass[2] if whole else smooth[-1])
    end_c = float(place_c[2] if whole else raw.temperature_c[-1])
    measured = ("noise", "buoyancy", "drift", "start_mass")
    doubt = 3.0 * float(np.sqrt(sum(boundaries.covariance[name][-1, -1] for name in measured)))
    least = max(_NOTICEABLE_CARBONATE, LATE_MOST * total)  # else char that little mineral enclosed
    if loss >= least and loss > _CO2 / _CALCITE * before + doubt:
        reasons.append(
            f"the {100 * loss:.1f} % lost between {place_c[1]:.0f} and {end_c:.0f} °C are {100 * loss / before:.0f} % "
            "of the mass before this loss, and calcium carbonate loses no more than 44 %"
        )
    # Moisture leaves over 60 to 100 °C from the first degrees on. One narrow loss, late and without organic matter, is
    # water (and ammonia) of crystals.
    cut, end = (raw.index_at(p) for p in boundaries.progress[:2])
    water, burnt = 1.0 - float(mass[0]), 0.0 if curve.burn is None else curve.burn.mass
    gone = shares_gone(curve, 0, cut)
    tenth = gone[[20, 180]]
    low_c, high_c = np.interp(tenth, np.arange(len(smooth)), raw.temperature_c).tolist()
    # as on a hold, °C of progress
    narrow = float(np.diff(tenth)[0]) * raw.step < _NARROW_C and low_c > raw.temperature_c[0] + _LATE_C
    narrow |= low_c > shift_with_rate(_BOUND_C, raw.heating_rate_k_min, _BOUND_ENERGY_KJ)
    # beside moisture, or in two steps: the half that goes fastest is late
    fastest = int(np.argmin(gone[100:] - gone[:-100]))
    begins_c = float(np.interp(gone[fastest], np.arange(len(smooth)), raw.temperature_c))
    narrow |= float(gone[fastest + 100] - gone[fastest]) * raw.step < _HALF_WATER_C and begins_c > shift_with_rate(
        _HALF_BEGINS_C, raw.heating_rate_k_min, _BOUND_ENERGY_KJ
    )
    if water > _NOTICEABLE and total + burnt < _LEAST_ORGANIC * water and narrow:
        reasons.append(
            f"{100 * water:.1f} % are lost, from a tenth to nine tenths of it between {low_c:.0f} and {high_c:.0f} °C, "
            "and almost nothing in the range of organic matter: the crystal water of a hydrate (struvite, gypsum, "
            "brushite)"
        )
    # In an inert gas fat goes so too, but later than gibbsite and, judged above, not without a beginning as brucite and
    # portlandite do: beside CO2 of its own peak it is read, and left open.
    half_c = None if beyond else _as_one_reaction(curve, boundaries)
    half_by_c = float(np.interp(shares_gone(curve, cut, end)[100], np.arange(len(smooth)), raw.temperature_c))
    chain_c = [shift_with_rate(t, raw.heating_rate_k_min, _EARLY_ENERGY_KJ) for t in (CHAIN_FROM_C, CHAIN_TO_C)]
    as_fat = curve.inert and chain_c[0] < half_by_c < chain_c[1] and (peak or total > _MOST_HYDROXIDE_WATER * mass[0])
    if half_c is not None and (reasons or not as_fat):
        reasons.append(
            f"half of the {100 * total:.1f} % lost between {place_c[0]:.0f} and {place_c[1]:.0f} °C is lost within "
            f"{half_c:.0f} °C, in one reaction, as from a hydroxide, and not by decomposition of organic matter"
        )
    # A rate that only falls is what water leaves on its way out of a gel, a glass or a zeolite, unless what is left
    # loses CO2 as mineral of tissue does: enamel holds more bound water than organic matter.
    later = curve.dtg[end : raw.index_at(boundaries.progress[2]) if whole else end]
    carbonated = len(later) > 0 and loss > _LEAST_DIOXIDE * before
    carbonated = carbonated and float(later.max()) > _RISE_OF_ORGANIC * max(float(later[0]), 0.0)
    if total > _TAIL and not (burnt or carbonated) and _only_slows_down(curve, boundaries):
        reasons.append(
            f"the loss of {100 * total:.1f} % between {place_c[0]:.0f} and {place_c[1]:.0f} °C only slows down, "
            "without the peak of organic matter: the tail of bound water of a gel, a glass or a zeolite"
        )
    gain = float((smooth - np.minimum.accumulate(smooth)).max())
    if gain > _GAIN:
        reasons.append(f"the mass increases by {100 * gain:.1f} % during the run")
    return reasons
