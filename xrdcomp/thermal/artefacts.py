"""What the balance shows and no specimen does: settling, outliers, jumps of lost grains and knocks."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import msgspec
import numpy as np
from scipy.special import ndtr

from xrdcomp.data import Diagnostic, TgaRun, message_kind
from xrdcomp.thermal.programme import CHARRED_FROM_C
from xrdcomp.thermal.smoothing import UNIFORM_STD, derivative, estimate_noise
from xrdcomp.units import GAS_CONSTANT, MG_PER_UNIT, BoolArray, FloatArray, IntArray, celsius_to_kelvin

ASSUMED_MG = 10.0  # start mass where none is stated: relative curves are allowed
JUMP = message_kind("TGA_JUMP", "warning",
    "The mass jumps from one reading to the next because a grain was lost or the balance was knocked. The jump was "
    "removed and is not counted as a loss; whether the masses after it must be rescaled is included as uncertainty.",
    remedy="Repeat the run, with a lid if grains jump out.",
    threshold="0.05 %, 8.5 standard uncertainties and ten times the curvature beside it; info below 0.3 %",
)  # fmt: skip
SETTLES = message_kind("TGA_SETTLES", "warning",
    "The mass increases at the beginning of heating, because the balance or the gas had not settled. The readings "
    "before are not used, and the increase is included in the uncertainty of the start mass.",
    remedy="Wait for a steady reading before the programme starts, or state the mass weighed in.",
    threshold="0.3 % and six standard deviations within 20 °C of the start, 1 % and 0.1 mg within 80 °C",
)  # fmt: skip
OUTLIERS = message_kind("TGA_OUTLIERS", "info",
    "Single readings, up to three in a row, lie far from those on both sides, because of a vibration or a damaged "
    "value. They are not used.",
    threshold="0.05 % and 12 robust standard deviations from the median of seven; warning above 1 % of the readings",
)  # fmt: skip
# °C above the start, and rises that are the balance's: of the mass, and mg (buoyancy of a whole carrier of 0.28 cm³
# gains 0.07 mg over 80 °C)
_SETTLES_WITHIN, _SETTLING_SIGMAS = ((20.0, 0.003, 0.0), (80.0, 0.01, 0.1)), 6.0


def without_settling(run: TgaRun) -> tuple[TgaRun, float, tuple[Diagnostic, ...]]:
    """Run whose mass does not rise while the heating begins, the rise over the mass, and a message of it.

    No specimen gains mass within 20 °C of where it starts, nor 1 % within 80 °C, and buoyancy changes by less: a
    balance that was just closed, or a gas just turned on, settles. Readings before the highest are set to it.
    """
    half, noise = _MEDIAN_OF // 2, _lasting_noise(run.mass)
    for within_c, least, least_mg in _SETTLES_WITHIN:
        early = run.mass[: int(np.argmax(run.temperature_c > run.temperature_c[0] + within_c))]
        if len(early) < _MEDIAN_OF:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(early, half, mode="edge"), _MEDIAN_OF)
        medians = np.median(windows, axis=1)
        top = int(np.argmax(medians))
        highest = float(medians[top])
        scale = MG_PER_UNIT.get(run.mass_unit) or (run.initial_mass_mg or ASSUMED_MG) / max(highest, 1e-12)
        rise = highest - float(early[0])
        if highest <= 0.0 or rise <= max(least * highest, least_mg / scale, _SETTLING_SIGMAS * noise):
            continue
        mass, share = run.mass.copy(), rise / highest
        mass[:top] = highest
        text = f"The mass increases by {100 * share:.2f} % up to {run.temperature_c[top]:.0f} °C, at the beginning of "
        text += f"heating; the balance or the gas had not settled. {SETTLES.remedy}"
        return replace(run, mass=mass), share, (SETTLES(text, rise=share),)
    return run, 0.0, ()


# Hampel's filter [Hampel, J. Am. Stat. Assoc. 69 (1974) 383]: readings of a median, which up to three in a row do not
# move; standard deviations off it, far beyond what noise does; last digits; share of readings that deserves a warning
_MEDIAN_OF, _OUTLIER_SIGMAS, _LEAST_OUTLIER, _DIGITS, _MANY_OUTLIERS = 7, 12.0, 5e-4, 3.0, 0.01


def without_outliers(mass: FloatArray, progress: FloatArray) -> tuple[FloatArray, tuple[Diagnostic, ...]]:
    """Mass with readings that leave their neighbours and come back put onto the line between these.

    No specimen gains and loses mass within three readings. The median of seven readings follows any loss that goes one
    way, a jump too, so that only what comes back lies off it.
    """
    half = _MEDIAN_OF // 2
    if len(mass) < 4 * _MEDIAN_OF:
        return mass, ()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mass, half, mode="edge"), _MEDIAN_OF)
    off = np.abs(mass - np.median(windows, axis=1))
    steps = np.abs(np.diff(mass))
    last_digit = float(steps[steps > 0].min()) if steps.any() else 0.0  # rounded masses go to and fro by it
    limit = max(_LEAST_OUTLIER, _OUTLIER_SIGMAS * _lasting_noise(mass), _DIGITS * last_digit)
    out = np.zeros(len(mass), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (off > limit).astype(int), [0]))))
    for begin, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        # off the lines of both sides, and to one side: the first reading after a jump lies on what follows
        if stop - begin <= half <= begin and stop + half <= len(mass):
            inside, beside = np.arange(begin, stop), np.arange(half)
            before = np.polyval(np.polyfit(beside - half, mass[begin - half : begin], 1), inside - begin)
            after = np.polyval(np.polyfit(beside, mass[stop : stop + half], 1), inside - stop)
            apart = np.stack((mass[inside] - before, mass[inside] - after))
            out[inside] = (np.abs(apart) > limit).all() and len(np.unique(np.sign(apart))) == 1
    if not out.any():
        return mass, ()
    mended, kept = mass.copy(), ~out
    mended[out] = np.interp(np.flatnonzero(out), np.flatnonzero(kept), mass[kept])
    first = progress[int(np.argmax(out))]
    text = f"{int(out.sum())} of {len(mass)} readings, the first at {first:.0f} °C of progress, lie "
    text += f"up to {100 * off[out].max():.2f} % from those before and after them and are not used."
    note = OUTLIERS(text, readings=int(out.sum()), farthest=float(off[out].max()))
    return mended, (replace(note, severity="warning") if out.mean() > _MANY_OUTLIERS else note,)


# A mass of few digits goes in stairs: least height of one that is seen in steps of tissue, fewest levels that show it,
# share of them that lie evenly (all, but for the arithmetic of a converted export), and how evenly
_LEAST_STAIR, _FEWEST_LEVELS, _EVEN_LEVELS, _OFF_LEVEL = 2e-4, 5, 0.95, 0.05


def stairs_of(mass: FloatArray, written: FloatArray) -> FloatArray:
    """Height of the stairs of a mass that was `written` with few digits, at each reading; 0 where there are none.

    It is another for each power of ten where the digits that count are given, and not those after the point.
    """
    stairs = np.zeros(len(mass))
    decades = np.floor(np.log10(np.maximum(np.abs(written), 1e-12)))
    for decade in np.unique(decades):
        rows = decades == decade
        between = np.diff(np.unique(np.round(mass[rows], 9)))
        if len(between) + 1 < _FEWEST_LEVELS:
            continue
        stair = float(np.median(between[between < 1.5 * float(between.min())]))
        apart = between / stair
        if stair >= _LEAST_STAIR and (np.abs(apart - np.round(apart)) < _OFF_LEVEL).mean() >= _EVEN_LEVELS:
            stairs[rows] = stair
    return stairs


def without_stairs(mass: FloatArray, progress: FloatArray, stairs: FloatArray) -> FloatArray:
    """Mass whose stairs are straight lines from edge to edge: there the mass passed the middle between two levels.

    A change over more than one level from one reading to the next is no edge of a stair, and its readings stay.
    """
    if not stairs.any():
        return mass
    steps, stair = np.abs(np.diff(mass)), np.maximum(stairs[1:], stairs[:-1])
    edge, single = steps > 0.5 * stair, (steps < 1.5 * stair) & (stair > 0.0)
    one, more = np.flatnonzero(edge & single), np.flatnonzero(edge & ~single)
    ends = np.array([0, len(mass) - 1])
    stay = np.concatenate((more, more + 1, ends))
    places = np.concatenate((0.5 * (progress[one] + progress[one + 1]), progress[stay]))
    values = np.concatenate((0.5 * (mass[one] + mass[one + 1]), mass[stay]))
    places, first = np.unique(places, return_index=True)
    return np.asarray(np.interp(progress, places, values[first]))


# Readings beside a jump, through which lines are drawn; times their residuals that the lines lie apart, by the readings
# that the jump takes: a logistic step over 1.5 readings (full width at half maximum of its rate) comes to 9.5, one over
# 2 readings to 18 and over 3 to 21, a loss that begins at once and decays over 2 readings or more to 10, 19 and 37.
_JUMP_BESIDE, _JUMP_CONTRAST = (6, 15), (10.0, 20.0, 40.0)
_JUMP_SPAN_C, _JUMP_SIGMAS, _LEAST_JUMP, _JUMP_SLOPES, _EVEN, _NOTICED = 4.0, 8.5, 5e-4, 1.5, 3.0, 0.003
_MOST_OF_A_SPECIMEN = 0.8  # of the mass before: a larger jump is a disturbance of the balance
_STANDS, _STANDS_C, _BLOCK = 6, 5.0, 6  # readings beside a jump, over which temperature stands as on a hold; a block


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """Readings without their jumps; `std` is what stays unsure of each, None where there was no jump."""

    mass: FloatArray
    std: FloatArray | None = None
    messages: tuple[Diagnostic, ...] = ()


def without_jumps(
    mass: FloatArray,
    progress: FloatArray,
    temperature_c: FloatArray,
    may_burn: BoolArray,
    unlike: BoolArray,
    stairs: FloatArray,
) -> Mended:
    """Take out changes of mass over one to three readings that no reaction explains.

    A jump sets two lines through the six (or fifteen) readings before and after it apart, by more than the curvature
    of any reaction, the noise, and the change of slope would. What follows a lost grain belongs to a smaller specimen,
    what follows a knock to the same: the mean of shifting and scaling is taken, anything between as likely. Where char
    may burn (`may_burn`) and the temperature stands, a fall is left to it. Nothing is judged among the first and last
    six readings, where a balance settles, nor beside neighbours that are `unlike`: readings between them were left out,
    or the gas changed. Of a mass of few digits no more than three of its stairs are no jump.
    """
    found: dict[int, tuple[int, float]] = {}  # last reading before each jump: readings it takes, size
    noise, lines = _lasting_noise(mass), [_Lines.through(mass, beside) for beside in _JUMP_BESIDE]
    for width, contrast in enumerate(_JUMP_CONTRAST, start=1):
        for beside, fitted in zip(_JUMP_BESIDE, lines, strict=True):
            for k, size in _breaks(fitted, progress, width, beside, contrast, noise):
                stop = k + width
                taken = any(k < start + taking and start < stop for start, (taking, _) in found.items())
                around = temperature_c[max(k - _STANDS, 0) : stop + _STANDS + 1]
                burns = may_burn[k] and size < 0 and (around[-1] - around[0] < _STANDS_C or width > 1)
                # the edges of a jump over several readings are parts of it: nothing inside may turn back
                one_way = bool((np.diff(mass[k : stop + 1]) * size > 0).all())
                apart = unlike[max(k - beside, 0) : stop + beside].any()
                # readings of nothing, or of less, are no specimen that lost a grain
                weighed = mass[stop] > 0.0 and abs(size) < _MOST_OF_A_SPECIMEN * mass[k]
                far = progress[stop] - progress[k] > _JUMP_SPAN_C
                rounded = abs(size) <= _DIGITS * stairs[k : stop + 1].max()
                if one_way and weighed and not (taken or burns or apart or far or rounded):
                    found[k] = width, size
    if not found:
        return Mended(mass=mass)
    out, std, texts = mass.copy(), np.zeros(len(mass)), []
    for start, (width, size) in sorted(found.items()):
        stop = start + width
        shifted, scaled = out[stop:] - size, out[stop:] * (1.0 - size / max(float(out[stop]), 1e-6))
        if size > 0:  # nothing falls into the pan
            scaled = shifted
        std[stop:] += 0.5 * UNIFORM_STD * np.abs(shifted - scaled)
        out[stop:] = 0.5 * (shifted + scaled)
        out[start + 1 : stop] = np.interp(progress[start + 1 : stop], progress[[start, stop]], out[[start, stop]])
        texts.append(f"{100 * size:+.2f} % at {temperature_c[stop]:.0f} °C")
    text = f"The mass jumps by {', '.join(texts)}, from one reading to the next; a grain was lost, or the balance was "
    note = JUMP(
        text + "knocked. The jump was removed and is not counted as a loss; it is included in the uncertainty.",
        jumps=len(found),
        lost=-sum(size for _, size in found.values()),
    )
    small = sum(abs(size) for _, size in found.values()) < _NOTICED
    return Mended(mass=out, std=std, messages=(replace(note, severity="info") if small else note,))


# A jump that a filter broadened into a Gaussian of standard deviation s changes tenfold over 2.15 s, a reaction over
# 2.30 R T²/E: with more than 600 kJ/mol there is none. Widths tried, over that limit; the misfit of what is taken out,
# and the gain over no jump; half of the windows in limits, and the widest jump found in each.
_FASTEST_KJ, _FILTERED, _MISFIT, _GAIN_OVER_NONE = 600.0, (0.1, 0.15, 0.25, 0.4, 0.63, 1.0, 1.6, 2.5), 0.02, 4.0
_WINDOWS = (5.0, 0.63), (2.5, 0.4)
_FEWEST_BINS, _LEAST_FILTERED, _MOST_JUMPS, _STEPLIKE, _HEATED, _STANDS_OUT = 8, 0.002, 6, 0.4, 0.8, 0.65
_OFFSETS = np.arange(-1.5, 1.51, 0.25)
# char over the loss that left it is 0.14 or more of protein and polysaccharide; of fat and vinyl polymers it is so
# little that the interval of their char holds it, burnt or not
_LEAST_OF_CHARRED = 0.08
_MOST_FILTERED = 0.05  # more is rather a decomposition that heated itself (15 % of a coordination polymer at 360 °C)


def without_filtered_jumps(
    mass: FloatArray,
    progress: FloatArray,
    temperature_c: FloatArray,
    may_burn: BoolArray,
    counts: FloatArray,
    stairs: FloatArray,
    *,
    told: bool = True,
) -> Mended:
    """Take out jumps that smoothing of the export broadened, of even bins of readings.

    Around each place a cubic and a broadened step, symmetric as of most filters or decaying as of a time constant, are
    fitted over a range in which reactions bend little, for widths below and above the limit of what a reaction can be.
    A jump is what a width below that limit describes best, to 2 % of it, and four times as well as the cubic alone.
    A fall where char may burn is left to it; where no change of gas was `told`, only one that may be all the char of
    what went before.
    """
    step = float(progress[1] - progress[0])
    charring = float(np.interp(CHARRED_FROM_C, np.maximum.accumulate(temperature_c), mass))
    limits = GAS_CONSTANT * celsius_to_kelvin(temperature_c) ** 2 / (1e3 * _FASTEST_KJ)
    noise = estimate_noise(mass, counts) / float(np.sqrt(max(counts[counts > 0].mean(), 1.0)))
    out, std = mass.copy(), np.zeros(len(mass))
    sizes: list[float] = []
    texts: list[str] = []
    # the change of mass within two limits that a rate which changes evenly does not explain, and within four: of a
    # smooth curve it grows with the third power of the range, of a step hardly
    reach = np.maximum((2.0 * limits / step).astype(int), 2)
    near, wide = (_uneven(mass, factor * reach) for factor in (1, 2))
    candidates = np.where(np.abs(near) > np.maximum(0.5 * _LEAST_FILTERED, _STEPLIKE * np.abs(wide)), np.abs(near), 0.0)
    change, taken = derivative(mass, step), np.zeros(len(mass), dtype=bool)
    for near_it in np.argsort(-candidates).tolist():
        if candidates[near_it] <= 0.0 or len(sizes) == _MOST_JUMPS:
            break
        first, last = max(near_it - reach[near_it], 0), min(near_it + reach[near_it], len(mass) - 1)
        # a jump down is where most is lost, one up where the mass rises
        place = first + int(np.argmax(-np.sign(near[near_it]) * change[first : last + 1]))
        if taken[place] or place in (first, last) or change[place] * near[near_it] > 0.0:
            continue
        taken[place] = True
        found, low, high = None, 0, 0
        for window, most in _WINDOWS:
            least = max(int(_WINDOWS[-1][0] * limits[place] / step), _FEWEST_BINS)
            half = min(max(int(window * limits[place] / step), least), place, len(mass) - 1 - place)
            low, high = place - half, place + half + 1
            heated = temperature_c[high - 1] - temperature_c[low] > _HEATED * (high - 1 - low) * step
            # at the ends nothing is judged, nor where readings are missing, or a hold begins or ends
            if half < least or not heated or (counts[low:high] == 0).any():
                continue
            found = _filtered_jump(out[low:high], step, float(limits[place]), most, max(noise, 1e-7))
            if found is not None:
                break
        if found is None:
            continue
        little = not told and -found.size < _LEAST_OF_CHARRED * (charring - float(out[low]))
        if may_burn[place] and found.size < 0 and not little:
            continue
        # it stands out of the rates on both sides, which the sharp end of a reaction does not
        away = max(int(np.ceil(1.1 * found.width_c / step)), 2)
        rates = np.sign(found.size) * change[[place - away, place, place + away]]
        if rates[1] - max(rates[0], rates[2]) < _STANDS_OUT * abs(found.size) * derivative(found.shape, step).max():
            continue
        taken[max(place - 2 * reach[place], 0) : place + 2 * reach[place] + 1] = True
        done = np.concatenate((np.zeros(low), found.shape, np.ones(len(mass) - high)))
        after = float(out[high - 1])
        if after <= 0.0 or not _DIGITS * stairs[place] < abs(found.size) <= _MOST_FILTERED:
            continue
        shifted = out - found.size * done
        scaled = shifted if found.size > 0 else out * (1.0 - done * found.size / after)
        std = np.hypot(std, np.hypot(0.5 * UNIFORM_STD * (shifted - scaled), found.std * done))
        out = 0.5 * (shifted + scaled)
        sizes.append(found.size)
        texts.append(f"{100 * found.size:+.2f} % at {temperature_c[place]:.0f} °C, over {found.width_c:.0f} °C")
    if not sizes:
        return Mended(mass=mass)
    text = f"The mass changes by {', '.join(texts)}, faster than in any reaction: a jump that was broadened by "
    text += "smoothing of the export. It was removed and is not counted as a loss; it is included in the uncertainty."
    note = JUMP(text, jumps=len(sizes), lost=-sum(sizes))
    return Mended(mass=out, std=std, messages=(note,))


class _Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """A broadened jump: size and standard uncertainty, what of it has come at each bin, full width at half maximum."""

    size: float
    std: float
    shape: FloatArray
    width_c: float


def _filtered_jump(mass: FloatArray, step: float, limit_c: float, most: float, noise: float) -> _Filtered | None:
    """Broadened jump in the middle of some bins, no wider than `most` of the limit, or None where they show none."""
    half = len(mass) // 2
    u = step * (np.arange(len(mass)) - half)
    basis = _cubics(half)  # without what a cubic describes
    left, flattest = mass - basis @ (basis.T @ mass), ndtr(u / (most * limit_c))
    # of all jumps that may count this one leaves the least; nearly everywhere not even that is left
    if left @ left < _LEAST_FILTERED**2 * (flattest @ flattest - float(((basis.T @ flattest) ** 2).sum())):
        return None
    widths = np.array(_FILTERED) * limit_c
    tried = [(width, offset) for width in widths.tolist() for offset in (max(width, step) * _OFFSETS).tolist()]
    since = (u[:, None] - np.array([offset for _, offset in tried])) / np.array([width for width, _ in tried])
    shapes = np.hstack((ndtr(since), -np.expm1(-np.clip(since, 0.0, None))))
    rest = shapes - basis @ (basis.T @ shapes)
    power = np.maximum((rest**2).sum(axis=0), 1e-9)
    sizes = left @ rest / power
    misfits = np.sqrt(np.clip(left @ left - sizes**2 * power, 0.0, None) / len(mass))
    best = int(np.argmin(misfits))
    width, size, misfit = tried[best % len(tried)][0], float(sizes[best]), float(misfits[best])
    std = max(misfit, noise) / float(np.sqrt(power[best]))
    clear = misfit < max(1.5 * noise, _MISFIT * abs(size)) and float(np.sqrt(left @ left / len(mass))) > (
        _GAIN_OVER_NONE * misfit
    )
    if not clear or width > most * limit_c or abs(size) < max(_LEAST_FILTERED, _JUMP_SIGMAS * std):
        return None
    full = 2.355 if best < len(tried) else float(np.log(2.0))
    return _Filtered(size=size, std=std, shape=shapes[:, best], width_c=full * width)


@lru_cache(maxsize=64)
def _cubics(half: int) -> FloatArray:
    """Orthonormal basis (2 half + 1, 4) of the cubics on even bins about their middle."""
    basis: FloatArray = np.linalg.qr(np.vander(np.arange(-half, half + 1) / half, 4))[0]
    basis.flags.writeable = False
    return basis


def _lasting_noise(mass: FloatArray) -> float:
    """Noise of a reading where balances that filter or wander have some that lasts a few readings."""
    blocks = mass[: len(mass) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).mean(axis=1)
    lasting = float(np.sqrt(_BLOCK)) * estimate_noise(blocks, np.ones(len(blocks)))
    return max(estimate_noise(mass, np.ones(len(mass))), lasting)


def _uneven(mass: FloatArray, reach: IntArray) -> FloatArray:
    """Loss of mass within `reach` of each bin beyond what the loss within twice as much explains."""
    places, last = np.arange(len(mass)), len(mass) - 1
    change = [mass[(places - k * reach).clip(0)] - mass[(places + k * reach).clip(0, last)] for k in (1, 2)]
    return np.asarray(2.0 * change[0] - change[1])


class _Lines(msgspec.Struct, frozen=True, kw_only=True):
    """Straight lines through some readings each, one after another: mean, slope a reading, sum of squares beside."""

    mean: FloatArray
    slope: FloatArray
    left_over: FloatArray

    @classmethod
    def through(cls, mass: FloatArray, readings: int) -> _Lines:
        """Lines through every `readings` successive readings; none where there are fewer."""
        if len(mass) < readings:
            return cls(mean=np.empty(0), slope=np.empty(0), left_over=np.empty(0))
        place = np.arange(readings) - 0.5 * (readings - 1)
        power = float((place**2).sum())
        windows = np.lib.stride_tricks.sliding_window_view(mass, readings)
        mean, slope = windows.mean(axis=1), windows @ place / power
        left_over = np.clip((windows**2).sum(axis=1) - readings * mean**2 - power * slope**2, 0.0, None)
        return cls(mean=mean, slope=slope, left_over=left_over)


def _breaks(
    lines: _Lines, progress: FloatArray, width: int, beside: int, contrast: float, noise: float
) -> list[tuple[int, float]]:
    """Readings after which the mass breaks over `width` readings, and by how much, the largest first.

    `lines` are those through `beside` readings.
    """
    n = len(progress) - 2 * beside - width + 1
    if n < 1:
        return []
    mean, slope, left_over = lines.mean, lines.slope, lines.left_over
    power = (beside**3 - beside) / 12.0  # sum of the squared places about their middle
    before, after = slice(0, n), slice(beside + width - 1, beside + width - 1 + n)
    reach = 0.5 * (beside - 1 + width)
    size = mean[after] - mean[before] - reach * (slope[after] + slope[before])
    # what needs no residuals decides nearly everywhere
    away = np.maximum(_LEAST_JUMP, _JUMP_SLOPES * np.abs(slope[after] - slope[before]))
    k = np.flatnonzero(np.abs(size) > away)
    residual = np.sqrt((left_over[k] + left_over[k + beside + width - 1]) / (2 * beside - 4))
    curved = np.sqrt(np.clip(residual**2 - 1.5 * noise**2, 0.0, None))
    unsure = np.maximum(residual, noise) * np.sqrt(2.0 / beside + 2.0 * reach**2 / power)
    k = k[np.abs(size[k]) > np.maximum(_JUMP_SIGMAS * unsure, contrast * curved)]
    # lines by readings: where those stand closer than the jump is long, in °C of progress, it is a gap
    first, last = k + beside - 1, k + beside - 1 + width
    typical = (progress[first] - progress[k] + progress[last + beside - 1] - progress[last]) / (2.0 * (beside - 1))
    k = k[progress[last] - progress[first] <= _EVEN * width * np.maximum(typical, 1e-9)]
    return sorted(((int(i) + beside - 1, float(size[i])) for i in k), key=lambda found: -abs(found[1]))
