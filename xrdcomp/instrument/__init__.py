"""The diffractometer: what a file and the user say of it, its calibration, checks of its radiation."""
