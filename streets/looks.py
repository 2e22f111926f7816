"""The two looks of a street: `game`, the clean synthetic source, and `camera`, the photographed target.

A look is only data: palettes (RGB in 0..1), ranges (low, high) and weights. The scene generator, the textures
and the camera read it; nothing else differs between source and target.
"""

from dataclasses import dataclass

from cotrain.errors import InputError

Range = tuple[float, float]
Palette = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class CameraRanges:
    """The effects of a cheap camera on the picture; see `camera_effects`."""

    exposure: Range
    dark_share: float
    contrast: Range
    saturation: Range
    cast: float
    blur_px: Range
    vignette: Range
    noise: Range
    jpeg_quality: tuple[int, int]
    glare: Range


@dataclass(frozen=True)
class Look:
    """Everything that defines a look. Lengths are in metres; rates are mean numbers per side of a street."""

    name: str
    suffix: str
    drives_on_left: float
    # Street.
    half_width: Range
    sidewalk_width: Range
    frontages: dict[str, float]
    crossing_share: float
    curve: float
    slope: float
    asphalt: Range
    asphalt_tint: float
    paving: Palette
    marking: Palette
    kerb_line: dict[str, float]
    # Buildings.
    storeys: dict[str, float]
    facades: dict[str, float]
    brick_share: float
    brick: Palette
    render: Palette
    modern: Palette
    roofs: Palette
    roof_kinds: dict[str, float]
    shop_share: float
    shops: Palette
    frames: Palette
    glass: Palette
    walls: Palette
    fences: Palette
    railings: Palette
    # Plants.
    grass: Palette
    foliage: Palette
    bark: Palette
    bare_share: float
    trees: float
    # Traffic.
    car_paints: Palette
    parked: Range
    traffic: Range
    people: float
    cyclists: float
    heavy: float
    double_decker: float
    clothes: Palette
    # Light.
    skies: dict[str, float]
    sun: Range
    sky_light: Range
    sky_gain: Range
    warmth: float
    haze_distance: Range
    texture_contrast: float
    # Camera.
    camera_height: Range
    field_of_view: Range
    pitch: Range
    camera: CameraRanges | None


SHOPS: Palette = (
    (0.10, 0.15, 0.35),
    (0.55, 0.10, 0.12),
    (0.08, 0.28, 0.20),
    (0.85, 0.82, 0.75),
    (0.12, 0.12, 0.14),
    (0.80, 0.60, 0.15),
    (0.10, 0.40, 0.60),
    (0.45, 0.20, 0.40),
    (0.75, 0.35, 0.10),
)
CLOTHES: Palette = (
    (0.08, 0.08, 0.10),
    (0.15, 0.17, 0.25),
    (0.30, 0.28, 0.27),
    (0.55, 0.50, 0.42),
    (0.20, 0.28, 0.48),
    (0.50, 0.12, 0.14),
    (0.75, 0.74, 0.72),
    (0.25, 0.33, 0.22),
    (0.45, 0.32, 0.22),
)

GAME = Look(
    name="game",
    suffix=".jpg",
    drives_on_left=0.5,
    half_width=(3.4, 7.5),
    sidewalk_width=(1.8, 5.0),
    frontages={"flush": 0.5, "yard": 0.2, "park": 0.3},
    crossing_share=0.5,
    curve=0.0012,
    slope=0.0005,
    asphalt=(0.26, 0.58),
    asphalt_tint=0.02,
    paving=((0.62, 0.60, 0.57), (0.70, 0.66, 0.60), (0.55, 0.55, 0.56), (0.66, 0.56, 0.50)),
    marking=((0.92, 0.92, 0.90), (0.92, 0.92, 0.90), (0.90, 0.78, 0.25)),
    kerb_line={"none": 0.4, "single": 0.3, "double": 0.3},
    storeys={"low": 0.45, "middle": 0.35, "high": 0.2},
    facades={"sash": 0.4, "wide": 0.3, "ribbon": 0.15, "curtain": 0.15},
    brick_share=0.5,
    brick=(
        (0.60, 0.32, 0.25),
        (0.68, 0.45, 0.32),
        (0.50, 0.28, 0.24),
        (0.72, 0.60, 0.42),
        (0.42, 0.34, 0.32),
    ),
    render=(
        (0.85, 0.78, 0.62),
        (0.80, 0.62, 0.50),
        (0.88, 0.86, 0.82),
        (0.62, 0.70, 0.72),
        (0.78, 0.70, 0.70),
    ),
    modern=((0.60, 0.62, 0.66), (0.40, 0.44, 0.52), (0.78, 0.76, 0.72), (0.70, 0.60, 0.50)),
    roofs=((0.55, 0.28, 0.20), (0.30, 0.30, 0.34), (0.45, 0.34, 0.28)),
    roof_kinds={"along": 0.4, "front": 0.15, "flat": 0.45},
    shop_share=0.5,
    shops=SHOPS,
    frames=((0.92, 0.92, 0.92), (0.30, 0.25, 0.22), (0.20, 0.22, 0.25)),
    glass=((0.26, 0.34, 0.44), (0.14, 0.17, 0.22), (0.40, 0.52, 0.62)),
    walls=((0.62, 0.42, 0.34), (0.66, 0.64, 0.60), (0.75, 0.70, 0.58)),
    fences=((0.50, 0.36, 0.24), (0.28, 0.34, 0.30), (0.60, 0.60, 0.58), (0.42, 0.30, 0.24)),
    railings=((0.12, 0.12, 0.13), (0.16, 0.22, 0.18), (0.30, 0.30, 0.31), (0.24, 0.15, 0.12)),
    grass=((0.36, 0.48, 0.20), (0.42, 0.50, 0.26), (0.30, 0.42, 0.18)),
    foliage=((0.26, 0.42, 0.14), (0.34, 0.46, 0.18), (0.20, 0.34, 0.16), (0.46, 0.46, 0.18)),
    bark=((0.34, 0.27, 0.21), (0.28, 0.25, 0.22)),
    bare_share=0.25,
    trees=0.55,
    car_paints=(
        (0.75, 0.10, 0.10),
        (0.12, 0.25, 0.60),
        (0.88, 0.88, 0.88),
        (0.10, 0.10, 0.11),
        (0.55, 0.57, 0.60),
        (0.90, 0.72, 0.15),
        (0.15, 0.45, 0.28),
        (0.30, 0.32, 0.36),
        (0.55, 0.40, 0.25),
    ),
    parked=(0.1, 0.85),
    traffic=(0.1, 0.6),
    people=4.5,
    cyclists=0.6,
    heavy=0.16,
    double_decker=0.25,
    clothes=(*CLOTHES, (0.80, 0.20, 0.20), (0.20, 0.50, 0.75), (0.85, 0.65, 0.20)),
    skies={"clear": 0.35, "cloudy": 0.3, "white": 0.35},
    sun=(0.25, 0.85),
    sky_light=(0.60, 0.95),
    sky_gain=(0.95, 1.1),
    warmth=0.06,
    haze_distance=(300.0, 900.0),
    texture_contrast=1.0,
    camera_height=(1.2, 1.8),
    field_of_view=(50.0, 75.0),
    pitch=(-5.0, 3.0),
    camera=None,
)

CAMERA = Look(
    name="camera",
    suffix=".jpg",
    drives_on_left=1.0,
    half_width=(3.2, 5.6),
    sidewalk_width=(1.6, 3.6),
    frontages={"flush": 0.5, "yard": 0.25, "park": 0.25},
    crossing_share=0.5,
    curve=0.0016,
    slope=0.0006,
    asphalt=(0.27, 0.52),
    asphalt_tint=0.012,
    paving=((0.46, 0.45, 0.44), (0.52, 0.48, 0.43), (0.40, 0.40, 0.42), (0.48, 0.41, 0.38)),
    marking=((0.82, 0.82, 0.78), (0.74, 0.74, 0.70)),
    kerb_line={"none": 0.3, "single": 0.2, "double": 0.5},
    storeys={"low": 0.75, "middle": 0.25},
    facades={"sash": 0.65, "wide": 0.25, "ribbon": 0.1},
    brick_share=0.65,
    brick=(
        (0.66, 0.57, 0.40),
        (0.45, 0.30, 0.24),
        (0.56, 0.46, 0.36),
        (0.40, 0.35, 0.31),
        (0.60, 0.52, 0.42),
    ),
    render=((0.82, 0.80, 0.76), (0.72, 0.70, 0.64), (0.60, 0.64, 0.60), (0.74, 0.66, 0.56)),
    modern=((0.62, 0.55, 0.44), (0.55, 0.55, 0.54), (0.50, 0.42, 0.36)),
    roofs=((0.30, 0.29, 0.31), (0.36, 0.28, 0.25), (0.26, 0.26, 0.27)),
    roof_kinds={"along": 0.75, "front": 0.12, "flat": 0.13},
    shop_share=0.45,
    shops=SHOPS,
    frames=((0.86, 0.86, 0.84), (0.78, 0.77, 0.74), (0.32, 0.28, 0.26)),
    glass=((0.16, 0.18, 0.20), (0.24, 0.26, 0.28), (0.10, 0.10, 0.12)),
    walls=((0.48, 0.36, 0.30), (0.56, 0.50, 0.40), (0.50, 0.49, 0.47)),
    fences=((0.10, 0.11, 0.12), (0.36, 0.28, 0.21), (0.16, 0.22, 0.18), (0.62, 0.62, 0.60)),
    railings=((0.07, 0.07, 0.08), (0.10, 0.14, 0.12), (0.22, 0.22, 0.22)),
    grass=((0.30, 0.37, 0.18), (0.36, 0.38, 0.22), (0.26, 0.32, 0.17)),
    foliage=((0.22, 0.28, 0.14), (0.30, 0.32, 0.18), (0.16, 0.22, 0.13), (0.38, 0.30, 0.17)),
    bark=((0.22, 0.19, 0.17), (0.28, 0.25, 0.23), (0.34, 0.29, 0.25)),
    bare_share=0.65,
    trees=0.45,
    car_paints=(
        (0.62, 0.64, 0.66),
        (0.66, 0.67, 0.68),
        (0.12, 0.14, 0.24),
        (0.36, 0.10, 0.12),
        (0.08, 0.08, 0.09),
        (0.80, 0.80, 0.79),
        (0.30, 0.31, 0.33),
        (0.16, 0.26, 0.34),
        (0.36, 0.34, 0.26),
        (0.20, 0.30, 0.24),
    ),
    parked=(0.05, 0.8),
    traffic=(0.1, 0.6),
    people=4.5,
    cyclists=0.6,
    heavy=0.16,
    double_decker=0.6,
    clothes=CLOTHES,
    skies={"white": 0.55, "cloudy": 0.25, "clear": 0.2},
    sun=(0.05, 0.75),
    sky_light=(0.62, 0.95),
    sky_gain=(1.05, 1.6),
    warmth=0.09,
    haze_distance=(180.0, 900.0),
    texture_contrast=1.3,
    camera_height=(1.15, 1.7),
    field_of_view=(48.0, 68.0),
    pitch=(-4.0, 5.0),
    camera=CameraRanges(
        exposure=(0.9, 1.4),
        dark_share=0.12,
        contrast=(1.0, 1.4),
        saturation=(0.45, 0.95),
        cast=0.07,
        blur_px=(0.35, 1.05),
        vignette=(0.05, 0.38),
        noise=(0.008, 0.035),
        jpeg_quality=(40, 85),
        glare=(0.0, 0.10),
    ),
)

LOOKS = {look.name: look for look in (GAME, CAMERA)}


def look_named(name: str) -> Look:
    """Return the look `name`. Raises InputError that lists the known looks if there is none."""
    if name not in LOOKS:
        raise InputError(f"unknown look of streets {name!r}; known: {', '.join(LOOKS)}")
    return LOOKS[name]
