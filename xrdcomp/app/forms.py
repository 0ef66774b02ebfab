"""The form of a specimen: settings as texts of fields, and back, with what is wrong beside the field it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xrdcomp.app.looks import Look
from xrdcomp.batch.specimen_file import Measured, SpecimenFile
from xrdcomp.data import parse_gases
from xrdcomp.errors import ArgumentError, RecipeError
from xrdcomp.present.toml import to_toml
from xrdcomp.recipe import Recipe

RADIATIONS = ("CuKa", "CuKa1", "CoKa", "CoKa1", "MoKa", "MoKa1", "CrKa", "FeKa", "AgKa")
GASES = ("air", "nitrogen", "argon", "helium", "oxygen", "carbon_dioxide")
NEEDS = {"xrd": "xrd", "blank": "xrd", "tga": "tga", "tga_blank": "tga"}
"""Kind of file that each field takes."""
UNITS = {
    "mass_unit": ("mg", "ug", "g", "percent", "fraction"),
    "temperature_unit": ("C", "K"),
    "time_unit": ("s", "min", "h"),
}
_PLAIN = {
    "radiation": "instrument.radiation", "instrument": "instrument.file", "atmosphere": "thermal.atmosphere",
    "basis": "composition.basis", "specimen_kind": "specimen.kind", "spike": "internal_standard",
    "history": "history.file",
}  # fmt: skip
"""Fields that are one setting of text."""
_OTHERS = ("sample_id", "phases", "fit.two_theta_range", "internal_standard_fraction")


def values_of(item: SpecimenFile) -> dict[str, Any]:
    """Texts of the fields for a saved state; `phases` is a list."""
    measured, changed = item.measured, item.recipe.changed()
    values: dict[str, Any] = {name: getattr(measured, name) for name in (*NEEDS, *UNITS, "input_format")}
    values |= {"scan": _text(measured.scan), "initial_mass_mg": _text(measured.initial_mass_mg)}
    values |= {field: changed.get(key, "") for field, key in _PLAIN.items()}
    low, high = changed.get("fit.two_theta_range") or ("", "")
    fraction = changed.get("internal_standard_fraction")
    values |= {
        "range_min": _text(low), "range_max": _text(high), "phases": list(item.recipe.phases),
        "spike_percent": "" if fraction is None else f"{100 * fraction:.6g}",
    }  # fmt: skip
    rest = {key: msgspec.to_builtins(value) for key, value in changed.items()
            if key not in (*_PLAIN.values(), *_OTHERS)}  # fmt: skip
    values["further"] = "".join(to_toml({"v": value}).replace("v", key, 1) for key, value in rest.items())
    return values


def _text(value: Any) -> str:
    return "" if value is None or value == "" else f"{value:.8g}"


def read_form(
    form: Mapping[str, Any], name: str, looks: Sequence[Look]
) -> tuple[Measured | None, Recipe | None, dict[str, str]]:
    """Measurements and recipe of a form, and what is wrong by field; None for what cannot be made of it.

    `form` has a text for every field and a list for ``phases``.
    """
    errors: dict[str, str] = {}
    recipe, measured = _recipe_of(form, name, errors), _measured_of(form, looks, errors)
    return (None, None, errors) if errors else (measured, recipe, errors)


def _measured_of(form: Mapping[str, Any], looks: Sequence[Look], errors: dict[str, str]) -> Measured:
    known = {f"files/{look.name}": look for look in looks}
    files: dict[str, Any] = {field: str(form.get(field, "")) for field in NEEDS}
    for field, file in files.items():
        if not file:
            continue
        if file not in known:
            errors[field] = f"{file.removeprefix('files/')} is not in the project. Choose another file, or drop it in."
        elif known[file].kind != NEEDS[field]:
            errors[field] = f"{known[file].name} is not of this kind: {known[file].kind_in_words}."
    if not files["xrd"] and not files["tga"]:
        errors["xrd"] = "A specimen needs a pattern, a TGA run, or both."
    for blank, of in (("blank", "xrd"), ("tga_blank", "tga")):
        if files[blank] and not files[of]:
            errors.setdefault(blank, "There is nothing to take it off: choose the measurement as well.")
    scan, mass = _number(form, "scan", errors), _number(form, "initial_mass_mg", errors)
    if mass is not None and mass <= 0:
        errors["initial_mass_mg"] = "The mass weighed in is above zero."
    units: dict[str, Any] = {unit: form.get(unit, "") for unit in UNITS if form.get(unit, "") in UNITS[unit]}
    return Measured(
        **files, **units, scan=None if scan is None else int(scan), initial_mass_mg=mass,
        input_format=str(form.get("input_format", "")),
    )  # fmt: skip


def _recipe_of(form: Mapping[str, Any], name: str, errors: dict[str, str]) -> Recipe:  # noqa: C901 - field after field
    settings: dict[str, dict[str, Any]] = {"": {"sample_id": name}}
    for field, key in _PLAIN.items():
        if text := str(form.get(field, "")).strip():
            settings[field] = {key: text}
    if "atmosphere" in settings:
        try:
            parse_gases(settings["atmosphere"]["thermal.atmosphere"])
        except ArgumentError as error:
            errors["atmosphere"] = str(error)
    if phases := list(form.get("phases", ())):
        settings["phases"] = {"phases": phases}
    low, high = (_number(form, f"range_{end}", errors) for end in ("min", "max"))
    if (low is None) != (high is None):
        errors.setdefault("range_max", "A range has two ends: give both, or none.")
    elif low is not None:
        settings["range_max"] = {"fit.two_theta_range": [low, high]}
    percent = _number(form, "spike_percent", errors)
    if "spike" in settings:
        if percent is None or not 0 < percent < 100:
            errors.setdefault("spike_percent", "Say how much of the powder the spike is: above 0, below 100 wt%.")
        else:
            settings["spike"]["internal_standard_fraction"] = percent / 100
    elif percent:
        errors["spike_percent"] = "Choose the phase of the spike as well."
    for line in str(form.get("further", "")).splitlines():
        key, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals:
            errors["further"] = f"{line.strip()}: expected KEY = VALUE, e.g. fit.mode = peaks."
            continue
        settings.setdefault("further", {})[key.strip()] = value.strip()
    for field, own in settings.items():
        _checked(field, own, errors)
    if errors:
        return Recipe()
    further = settings.pop("further", {})
    return _checked("further", {key: value for own in settings.values() for key, value in own.items()}, errors, further)


def _checked(
    field: str, settings: Mapping[str, Any], errors: dict[str, str], further: Mapping[str, str] | None = None
) -> Recipe:
    """Recipe with values as they are and `further` ones as TOML; what is wrong with them goes to the field."""
    if field == "further" and further is None:
        settings, further = {}, settings
    try:
        return Recipe.of(None, **settings).with_settings(further or {})
    except RecipeError as error:
        errors.setdefault(field, str(error).removeprefix("settings: ").removeprefix("setting "))
        return Recipe()


def _number(form: Mapping[str, Any], field: str, errors: dict[str, str]) -> float | None:
    text = str(form.get(field, "")).strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e9:
        errors[field] = f"{text} is no number."
        return None
    return value
