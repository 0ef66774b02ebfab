"""One writer per diffraction format, from the layouts' descriptions and independent of the readers.

`WRITERS` maps a format id to (suffix, function of a `Scan` to bytes). Every writer stores the same scan.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ALPHA1, ALPHA2, RATIO = 1.5406, 1.5444, 0.5


@dataclass(frozen=True)
class Scan:
    """Counts on an even grid of angles."""

    start: float
    step: float
    counts: npt.NDArray[np.int64]
    seconds: float = 0.5

    @property
    def n(self) -> int:
        return len(self.counts)

    @property
    def end(self) -> float:
        return self.start + self.step * (self.n - 1)

    @property
    def two_theta(self) -> npt.NDArray[np.float64]:
        return self.start + self.step * np.arange(self.n, dtype=np.float64)


def example(n: int = 401, *, start: float = 20.0, step: float = 0.02, seed: int = 7) -> Scan:
    """Poisson counts of three lines on a sloping background."""
    x = start + step * np.arange(n)
    shape = 150.0 - 0.5 * (x - start)
    for share, height in ((0.2, 900.0), (0.5, 2500.0), (0.8, 600.0)):
        shape += height / (1.0 + ((x - start - share * step * n) / 0.06) ** 2)
    return Scan(start, step, np.random.default_rng(seed).poisson(shape))


def text_rows(scan: Scan, separator: str = " ", decimal: str = ".", figures: int = 4) -> str:
    rows = [f"{x:.{figures}f}{separator}{y}" for x, y in zip(scan.two_theta, scan.counts, strict=True)]
    return "\n".join(rows).replace(".", decimal) + "\n"


def xy(scan: Scan) -> bytes:
    return text_rows(scan).encode()


def gsas_std(scan: Scan) -> bytes:
    rows = [scan.counts[i : i + 10] for i in range(0, scan.n, 10)]
    body = "\r\n".join("".join(f"{y:8d}" for y in row).ljust(80) for row in rows)
    head = f"BANK 1 {scan.n} {len(rows)} CONST {scan.start * 100:g} {scan.step * 100:g} 0 0 STD"
    return f"{'example'.ljust(80)}\r\n{head.ljust(80)}\r\n{body}\r\n".encode()


def gsas_esd(scan: Scan) -> bytes:
    rows = [scan.counts[i : i + 5] for i in range(0, scan.n, 5)]
    body = "\n".join("".join(f"{y:8d}{max(y, 1) ** 0.5:8.3f}" for y in row) for row in rows)
    head = f"BANK 1 {scan.n} {len(rows)} CONST {scan.start * 100:g} {scan.step * 100:g} 0 0 ESD"
    return f"example\n{head}\n{body}\n".encode()


def gsas_fxye(scan: Scan) -> bytes:
    body = "\n".join(
        f"{x * 100:.4f} {y} {max(y, 1) ** 0.5:.6f}" for x, y in zip(scan.two_theta, scan.counts, strict=True)
    )
    head = f"BANK 1 {scan.n} {scan.n} CONS {scan.start * 100:g} {scan.step * 100:g} 0 0 FXYE"
    return f"example\n# Calibrated wavelength = {ALPHA1}\n{head}\n{body}\n".encode()


def gsas_alt(scan: Scan) -> bytes:
    """A time-of-flight bank: four triplets of position, value and deviation per record."""
    cells = [f"{32 * (1000 + i):8d}{y / 1000:7.4f}{0.01:5.3f}" for i, y in enumerate(scan.counts)]
    rows = ["".join(cells[i : i + 4]) for i in range(0, scan.n, 4)]
    head = f"BANK 1 {scan.n} {len(rows)} RALF 32000 32 32000 0 ALT"
    return ("example\n" + head + "\n" + "\n".join(rows) + "\n").encode()


def fullprof(scan: Scan) -> bytes:
    rows = ["".join(f"{y:8d}" for y in scan.counts[i : i + 10]) for i in range(0, scan.n, 10)]
    return (f"{scan.start:8.3f}{scan.step:8.4f}{scan.end:9.3f} example\n" + "\n".join(rows) + "\n").encode()


def dbws(scan: Scan) -> bytes:
    body = "\r".join(str(y) for y in scan.counts)
    return f"example\r{scan.n} {scan.step:g} {scan.start:g} {ALPHA1} 1\r{body}\r".encode()


def chi(scan: Scan) -> bytes:
    body = "\n".join(f" {x:.6E}  {y:.6E}" for x, y in zip(scan.two_theta, scan.counts, strict=True))
    return f"example.tif\n 2-Theta Angle (Degrees)\n Intensity\n       {scan.n}\n{body}\n".encode()


def cpi(scan: Scan) -> bytes:
    head = ["SIETRONICS XRD SCAN", f"{scan.start:.3f}", f"{scan.end:.3f}", f"{scan.step:.3f}", "Cu", f"{ALPHA1:.5f}"]
    head += ["29-4-2002", "0.080", "example", "SCANDATA"]
    return ("\r\n".join(head) + "\r\n" + "\r\n".join(map(str, scan.counts)) + "\r\n").encode()


def mdi(scan: Scan) -> bytes:
    line = f" {scan.start:.4f} {scan.step:.4f} 2.0000 CU {ALPHA1} {scan.end:.4f} {scan.n}"
    cells = [f"{y:8d}" for y in scan.counts]
    rows = ["".join(cells[i : i + 8]) for i in range(0, scan.n, 8)]
    return "\r\n".join(["example 05/12/03 15:17 DIF", line, *rows, ""]).encode()


def jcamp(scan: Scan) -> bytes:
    head = [
        "##TITLE=example", "##JCAMP-DX=4.24", "##DATA TYPE=X-RAY DIFFRACTION", "##XUNITS=DEGREES 2-THETA",
        "##YUNITS=COUNTS", f"##FIRSTX={scan.start}", f"##LASTX={scan.end}", f"##NPOINTS={scan.n}", "##XFACTOR=1",
        "##YFACTOR=1", "##XYDATA=(X++(Y..Y))",
    ]  # fmt: skip
    rows = [f"{scan.two_theta[i]:.4f} " + " ".join(map(str, scan.counts[i : i + 10])) for i in range(0, scan.n, 10)]
    return "\r\n".join([*head, *rows, "##END=", ""]).encode()


def udf(scan: Scan) -> bytes:
    head = [
        "SampleIdent,example ,/", "DiffrType,PW3710,/", "Anode,Cu,/", f"LabdaAlpha1, {ALPHA1},/",
        f"LabdaAlpha2, {ALPHA2},/", f"RatioAlpha21, {RATIO},/", "DivergenceSlit,Automatic, ,/",
        "ScanType,CONTINUOUS,/", f"DataAngleRange, {scan.start:9.4f}, {scan.end:9.4f},/",
        f"ScanStepSize, {scan.step:9.4f},/", f"ScanStepTime, {scan.seconds:9.2f},/", "RawScan",
    ]  # fmt: skip
    cells = [f"{y:8d}" for y in scan.counts]
    rows = [",".join(cells[i : i + 8]) for i in range(0, scan.n, 8)]
    return ("\n".join(head) + "\n" + ",\n".join(rows) + "/\n").encode()


def _rd(scan: Scan, version: bytes, length: int) -> bytes:
    head = bytearray(length)
    head[0:4] = version
    head[84:87] = bytes((3, 0, 3))
    struct.pack_into("<3d", head, 94, ALPHA1, ALPHA2, RATIO)
    head[138:166] = b"EXAMPLE ".ljust(8) + b"example".ljust(20)
    struct.pack_into("<3d", head, 214, scan.step, scan.start, scan.end)
    packed = np.round(10 * np.sqrt(scan.counts)).astype("<u2")
    return bytes(head) + packed.tobytes()


def rd(scan: Scan) -> bytes:
    return _rd(scan, b"V3RD", 250)


def sd(scan: Scan) -> bytes:
    return _rd(scan, b"V5RD", 810)


def raw1(scan: Scan) -> bytes:
    head = struct.pack("<4sIffIIffff", b"RAW ", scan.n, scan.seconds, scan.step, 0, 0, scan.start, 0, 0, 0)
    head += b"example".ljust(32) + struct.pack("<ff", ALPHA1, ALPHA2) + bytes(72) + struct.pack("<I", 0)
    return head + scan.counts.astype("<f4").tobytes()


def raw2(*scans: Scan) -> bytes:
    head = bytearray(256)
    struct.pack_into("<4sH", head, 0, b"RAW2", len(scans))
    head[8:40] = b"example".ljust(32)
    head[168:183] = b"19-12-199721:57"
    head[188:190] = b"Cu"
    struct.pack_into("<4f", head, 190, ALPHA1, ALPHA2, RATIO, 0.0)
    out = bytes(head)
    for scan in scans:
        block = bytearray(60)
        struct.pack_into("<HH4xfff", block, 0, 60, scan.n, scan.seconds, scan.step, scan.start)
        out += bytes(block) + scan.counts.astype("<f4").tobytes()
    return out


def raw3(*scans: Scan, kind: int = 0) -> bytes:
    head = bytearray(712)
    struct.pack_into("<8sII", head, 0, b"RAW1.01\x00", 1, len(scans))
    head[16:36] = b"03/04/10\x00\x0020:59:14\x00\x00"
    head[326:333] = b"example"
    struct.pack_into("<f", head, 564, 217.5)
    head[608:610] = b"Cu"
    struct.pack_into("<5d", head, 616, 1.54184, ALPHA1, ALPHA2, 1.39222, RATIO)
    out = bytes(head)
    for scan in scans:
        block = bytearray(304)
        struct.pack_into("<IIdd", block, 0, 304, scan.n, scan.start / 2, scan.start)
        struct.pack_into("<d", block, 176, scan.step)
        struct.pack_into("<fI", block, 192, scan.seconds, kind)
        struct.pack_into("<dIII", block, 240, ALPHA1, 0, 4, 40)
        out += bytes(block) + bytes(40) + scan.counts.astype("<f4").tobytes()
    return out


def raw4(scan: Scan, *, scan_type: bytes = b"Locked Coupled", record: int = 8) -> bytes:
    def text(name: bytes, value: bytes) -> bytes:
        return struct.pack("<III", 10, 36 + len(value), 0) + name.ljust(24, b"\x00") + value

    tube = bytearray(136)
    struct.pack_into("<II", tube, 0, 30, 136)
    struct.pack_into("<5d", tube, 72, 1.5418, ALPHA1, ALPHA2, 1.39222, RATIO)
    tube[116:118] = b"Cu"
    drive = bytearray(92)
    struct.pack_into("<III", drive, 0, 50, 92, 2)
    drive[12:18] = b"2Theta"
    struct.pack_into("<d", drive, 56, scan.start)
    block = bytearray(160)
    struct.pack_into("<II", block, 0, 0, scan.n)
    block[32:56] = scan_type.ljust(24, b"\x00")
    struct.pack_into("<ddIf", block, 72, scan.start, scan.step, scan.n, scan.seconds)
    struct.pack_into("<II", block, 136, record, len(drive))
    head = b"RAW4.00\x00".ljust(12, b"\x00") + b"06/10/2026\x00\x0009:32:15\x00\x00"
    rows = np.zeros((scan.n, record), np.uint8)
    rows[:, :4] = scan.counts.astype("<f4").view(np.uint8).reshape(scan.n, 4)
    return (
        head.ljust(61, b"\x00")
        + text(b"SAMPLEID", b"example")
        + bytes(tube)
        + bytes(block)
        + bytes(drive)
        + rows.tobytes()
    )


def stoe(scan: Scan) -> bytes:
    data_blocks = -(-4 * scan.n // 512)
    head = bytearray(2560)
    head[0:14] = b"RAW_1.06Powdat"
    head[16:31] = b"22-Sep-20 17:18"
    head[32:39] = b"example"
    struct.pack_into("<ff", head, 0x142, ALPHA1, ALPHA2)
    struct.pack_into("<HH", head, 0x1DA, data_blocks, data_blocks + 5)
    struct.pack_into("<H", head, 2560 - 0x1DE, scan.n)
    struct.pack_into(
        "<6f", head, 2560 - 0x1D4, scan.start, scan.start / 2, scan.end, scan.end / 2, scan.step, scan.step / 2
    )
    struct.pack_into("<II", head, 2560 - 0x188, int(scan.counts.min()), int(scan.counts.max()))
    return bytes(head) + scan.counts.astype("<u4").tobytes().ljust(512 * data_blocks, b"\x00")


def uxd(*scans: Scan, drive: str = "COUPLED", pairs: bool = True) -> bytes:
    out = ["_FILEVERSION=2", "_SAMPLE='example'", "_WL_UNIT='A'", f"_WL1={ALPHA1}", f"_WL2={ALPHA2}"]
    out += [f"_WLRATIO={RATIO}", "_ANODE='Cu'"]
    for scan in scans:
        out += [
            f"_DRIVE='{drive}'",
            f"_STEPTIME={scan.seconds}",
            f"_STEPSIZE={scan.step:.6f}",
            f"_START={scan.start:.6f}",
        ]
        if pairs:
            out += ["_2THETACOUNTS"] + [f"{x:.3f}\t{y}" for x, y in zip(scan.two_theta, scan.counts, strict=True)]
        else:
            out += ["_COUNTS"] + ["".join(f"{y:8d}" for y in scan.counts[i : i + 8]) for i in range(0, scan.n, 8)]
    return ("\n".join(out) + "\n").encode()


def ras(*scans: Scan, axis: str = "TwoThetaTheta", attenuator: float = 1.0) -> bytes:
    out = ["*RAS_DATA_START"]
    for scan in scans:
        out += [
            "*RAS_HEADER_START", '*FILE_SAMPLE "example"', '*HW_XG_TARGET_NAME "Cu"',
            f'*HW_XG_WAVE_LENGTH_ALPHA1 "{ALPHA1}"', f'*HW_XG_WAVE_LENGTH_ALPHA2 "{ALPHA2}"',
            f'*MEAS_DATA_COUNT "{scan.n}.0000000000"', '*MEAS_COND_XG_WAVE_TYPE "Ka"',
            '*DISP_TAB_NAME "2θ/θ"', f'*MEAS_SCAN_AXIS_X_INTERNAL "{axis}"',
            f'*MEAS_SCAN_SPEED "{60 * scan.step / scan.seconds:.4f}"', '*MEAS_SCAN_SPEED_UNIT "deg/min"',
            f'*MEAS_SCAN_START "{scan.start:.4f}"', f'*MEAS_SCAN_STEP "{scan.step:.4f}"',
            f'*MEAS_SCAN_STOP "{scan.end:.4f}"', '*MEAS_SCAN_UNIT_Y "counts"', "*RAS_HEADER_END", "*RAS_INT_START",
        ]  # fmt: skip
        out += [f"{x:.4f} {y:.4f} {attenuator:.4f}" for x, y in zip(scan.two_theta, scan.counts, strict=True)]
        out += ["*RAS_INT_END"]
    return ("\r\n".join([*out, "*RAS_DATA_END"]) + "\r\n").encode("cp932")


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def rasx(scan: Scan, *, damaged: bool = False) -> bytes:
    rows = "\r\n".join(f"{x:.4f}\t{y}\t1" for x, y in zip(scan.two_theta, scan.counts, strict=True))
    profile = (rows + "\r\n").encode()
    conditions = f"""<?xml version="1.0"?><MeasurementConditions><GeneralInformation><SampleName>example</SampleName>
    </GeneralInformation><HWConfigurations><XrayGenerator><TargetName>Cu</TargetName><WaveType>Ka</WaveType>
    <WavelengthKalpha1>{ALPHA1}</WavelengthKalpha1><WavelengthKalpha2>{ALPHA2}</WavelengthKalpha2></XrayGenerator>
    </HWConfigurations><ScanInformation><AxisName>TwoThetaTheta</AxisName><Start>{scan.start:.4f}</Start>
    <Stop>{scan.end:.4f}</Stop><Step>{scan.step:.4f}</Step><Speed>{60 * scan.step / scan.seconds}</Speed>
    <SpeedUnit>deg/min</SpeedUnit><IntensityUnit>counts</IntensityUnit><DataCount>{scan.n}</DataCount>
    </ScanInformation></MeasurementConditions>""".encode()
    digest = hashlib.md5(profile + b"x" * damaged, usedforsecurity=False).hexdigest()
    root = f'<Root><Data0 Type="Profile"><ContentHashList Name="Profile0.txt" ContentHash="{digest}"/></Data0></Root>'
    return _zip(
        {
            "Data0/Profile0.txt": b"\xef\xbb\xbf" + profile,
            "Data0/MesurementConditions0.xml": conditions,
            "root.xml": root.encode(),
        }
    )


def brml(scan: Scan, *, folder: str = "", absorber: float = 1.0, live_time_last: bool = True) -> bytes:
    y = scan.counts * absorber
    extra = f",{scan.seconds}" if live_time_last else ""
    datum = "".join(
        f"<Datum>{scan.seconds},{absorber:g},{x:.6g},{x / 2:.6g},{v:.10g}{extra}</Datum>"
        for x, v in zip(scan.two_theta, y, strict=True)
    )
    view = '<RawDataView xsi:type="FixedRawDataView" Start="{}" Length="1" LogicName="{}"/>'
    xml = f"""<?xml version="1.0"?><RawData xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <TimeStampStarted>2026-01-05T14:36:36</TimeStampStarted><DataRoutes><DataRoute RouteFlag="Measured"><ScanInformation
    ScanName="LockedCoupled" VisibleName="Coupled TwoTheta/Theta"><MeasurementPoints>{scan.n}</MeasurementPoints>
    <ScanAxes><ScanAxisInfo AxisId="TwoTheta"><Start>{scan.start}</Start><Stop>{scan.end}</Stop>
    <Increment>{scan.step}</Increment></ScanAxisInfo><ScanAxisInfo AxisId="Theta"/></ScanAxes></ScanInformation>
    <SubScans><SubScanInfo MeasuredSteps="{scan.n}"/></SubScans>{datum}<DataViews>
    {view.format(0, "MeasuredTime")}{view.format(1, "AbsorptionFactor")}
    <RawDataView xsi:type="VaryingRawDataView" Start="2" Length="2"><Varying LogicName="ScanAxes"/></RawDataView>
    <RawDataView xsi:type="RecordedRawDataView" Start="4" Length="1"><Recording Category="Count" VisibleName="counter"/>
    <Statistics Mean="{y.mean()}" Maximum="{y.max()}" Minimum="{y.min()}" Status="Succeeded"/></RawDataView>
    <RawDataView xsi:type="RecordedRawDataView" Start="5" Length="1"><Recording Category="Time"/></RawDataView>
    </DataViews></DataRoute></DataRoutes><FixedInformation><InfoItem Name="SampleName" Value="example"/><Tube>
    <WaveLengthAlpha1 Value="{ALPHA1}"/><WaveLengthAlpha2 Value="{ALPHA2}"/><WaveLengthRatio Value="{RATIO}"/>
    <TubeMaterial>Cu</TubeMaterial></Tube></FixedInformation></RawData>"""
    return _zip({f"{folder}experimentCollection.xml": b"<x/>", f"{folder}Experiment0/RawData0.xml": xml.encode()})


def xrdml(*scans: Scan, version: str = "2.2", axis: str = "Gonio", factors: npt.ArrayLike | None = None) -> bytes:
    out = [f'<?xml version="1.0"?><xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/{version}">']
    out += ["<sample><id>example</id></sample><xrdMeasurement measurementType='Scan'><usedWavelength>"]
    out += [f"<kAlpha1>{ALPHA1}</kAlpha1><kAlpha2>{ALPHA2}</kAlpha2>"]
    out += [f"<ratioKAlpha2KAlpha1>{RATIO}</ratioKAlpha2KAlpha1></usedWavelength>"]
    out += ["<incidentBeamPath><xRayTube><anodeMaterial>Cu</anodeMaterial></xRayTube></incidentBeamPath>"]
    for scan in scans:
        attenuated = np.ones(scan.n) if factors is None else np.asarray(factors, float)
        old = version.startswith("1")
        values = scan.counts * attenuated if old else scan.counts
        tag = "intensities" if old else "counts"
        listed = " ".join(f"{v:g}" for v in attenuated)
        out += [f'<scan scanAxis="{axis}" status="Completed"><dataPoints>']
        out += [f'<positions axis="2Theta" unit="deg"><startPosition>{scan.start}</startPosition>']
        out += [f"<endPosition>{scan.end}</endPosition></positions>"]
        out += ["" if factors is None else f"<beamAttenuationFactors>{listed}</beamAttenuationFactors>"]
        out += [f'<commonCountingTime unit="seconds">{scan.seconds}</commonCountingTime>']
        out += [f'<{tag} unit="counts">' + " ".join(f"{v:g}" for v in values) + f"</{tag}></dataPoints></scan>"]
    return ("".join(out) + "</xrdMeasurement></xrdMeasurements>").encode()


def pdcif(scan: Scan) -> bytes:
    rows = "\n".join(f" {x:.4f} {y}" for x, y in zip(scan.two_theta, scan.counts, strict=True))
    head = f"data_example\n_pd_meas_number_of_points {scan.n}\n"
    head += "loop_\n _diffrn_radiation_wavelength\n _diffrn_radiation_wavelength_wt\n"
    head += f" {ALPHA1} 1.0\n {ALPHA2} {RATIO}\n"
    return (head + "loop_\n _pd_meas_2theta_scan\n _pd_meas_counts_total\n" + rows + "\n").encode()


def rigaku_ascii(scan: Scan, *, kind: str = "Standard measurement") -> bytes:
    head = [
        "*TYPE\t\t=  Raw", f"*CLASS\t\t=  {kind}", "*SAMPLE\t\t=  example", "*GROUP_COUNT\t=  1",
        "*SCAN_AXIS\t=  2theta/theta",
        "*TARGET\t\t=  29", f"*WAVE_LENGTH1\t=  {ALPHA1}", f"*WAVE_LENGTH2\t=  {ALPHA2}", "*SPEED_DIM\t=  sec./step",
        "*YUNIT\t\t=  counts", "*BEGIN", "*GROUP\t\t=  0",
        f"*START\t\t=  {scan.start:.4f}", f"*STOP\t\t=  {scan.end:.4f}",
        f"*STEP\t\t=  {scan.step:.4f}", f"*SPEED\t\t=  {scan.seconds}", f"*COUNT\t\t=  {scan.n}",
    ]  # fmt: skip
    rows = [", ".join(map(str, scan.counts[i : i + 4])) for i in range(0, scan.n, 4)]
    return ("\r\n".join([*head, *rows, "*END", "", "*EOF"]) + "\r\n").encode()


def nja(scan: Scan) -> bytes:
    head = [
        "#MeasParameter", "&Sample=example", "&Anode=Cu\t&kV=40", "#ScanTableParameter",
        f"&Start={scan.start:.4f}\t&End={scan.end:.4f}\t&Step={scan.step:.4f}", f"&Time={scan.seconds}", "#Values",
        f"&NoValues={scan.n}",
    ]  # fmt: skip
    rows = [f"{x:9.4f}\t{y:9d}" for x, y in zip(scan.two_theta, scan.counts, strict=True)]
    return ("\r\n".join(head + rows) + "\r\n").encode()


def ascii_raw(scan: Scan) -> bytes:
    head = [".RAW", "18-MAR-99", "15:34:16", "example", " 1", f"{scan.end:8.3f}", "1.541871", f"{ALPHA1}", f"{ALPHA2}"]
    head += [
        "1.539062",
        f"{scan.start:8.3f}",
        f"{scan.step:8.3f}",
        f"{scan.n:6d} 1",
        " 8.00",
        " ",
        f"{scan.counts.max()}.",
        " ",
    ]
    return ("\r".join(head) + "\r" + "\r".join(f"{y:7d}." for y in scan.counts) + "\r").encode()


def workbook(scan: Scan) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Sample", "example"])
    sheet.append(["2Theta (°)", "Intensity (counts)"])
    for x, y in zip(scan.two_theta, scan.counts, strict=True):
        sheet.append([round(float(x), 4), int(y)])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


WRITERS: dict[str, tuple[str, Callable[[Scan], bytes]]] = {
    "xrd_text": ("xy", xy),
    "gsas": ("gsa", gsas_std),
    "fullprof_dat": ("dat", fullprof),
    "dbws_dat": ("dat", dbws),
    "chi": ("chi", chi),
    "sietronics_cpi": ("cpi", cpi),
    "philips_udf": ("udf", udf),
    "philips_rd": ("rd", rd),
    "bruker_raw_v1": ("raw", raw1),
    "bruker_raw_v2": ("raw", raw2),
    "bruker_raw_v3": ("raw", raw3),
    "bruker_raw_v4": ("raw", raw4),
    "stoe_raw": ("raw", stoe),
    "uxd": ("uxd", uxd),
    "ras": ("ras", ras),
    "rasx": ("rasx", rasx),
    "brml": ("brml", brml),
    "xrdml": ("xrdml", xrdml),
    "pdcif": ("cif", pdcif),
    "rigaku_ascii": ("asc", rigaku_ascii),
    "seifert_nja": ("nja", nja),
    "ascii_raw": ("raw", ascii_raw),
    "xrd_excel": ("xlsx", workbook),
    "jade_mdi": ("mdi", mdi),
    "jcamp_xrd": ("jdx", jcamp),
}
