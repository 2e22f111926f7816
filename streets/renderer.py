"""Draws the batches of a scene with panda3d's software renderer: no GPU, no display.

Three passes draw the triangles of a scene. The first gives the picture. The other two have flat colours
instead of textures and light. The second says where the picture shows the sky, and how much light passes the
haze. The third gives the label, drawn as people do it who label photos: what is seen through a thing belongs
to the thing. So the crown of a tree, a fence and a wheel have no holes. This is a rule of Cityscapes' labels.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from panda3d.core import (
    Camera,
    CullFaceAttrib,
    FrameBufferProperties,
    Geom,
    GeomEnums,
    GeomNode,
    GeomTriangles,
    GeomVertexArrayFormat,
    GeomVertexData,
    GeomVertexFormat,
    GraphicsEngine,
    GraphicsOutput,
    GraphicsPipe,
    GraphicsPipeSelection,
    InternalName,
    NodePath,
    PerspectiveLens,
    SamplerState,
    TransparencyAttrib,
    WindowProperties,
    loadPrcFileData,
)
from panda3d.core import Texture as PandaTexture

from streets.assembly import CUT_OUT, FILLED, GROUND, MARKING, SHADOW, Batch, Texture
from streets.textures import Library, filled

SKY = 10
# The label pass writes train id c as the level c * 12 + 6, far from the levels of its neighbours.
LEVELS_PER_CLASS = 12
NEAR, FAR = 0.25, 400.0


@dataclass(frozen=True)
class View:
    """Position and direction of the camera, in metres and degrees. `field_of_view` is horizontal."""

    position: tuple[float, float, float]
    heading: float
    pitch: float
    roll: float
    field_of_view: float


class Drawing(NamedTuple):
    """A drawn scene, with as many rows and columns as the window.

    picture: uint8 (H, W, 3), RGB; black where the sky is.
    shows_sky: bool (H, W), whether the picture shows the sky there.
    passed: uint8 (H, W), the light that passes the haze; 255 is all.
    label: uint8 (H, W), train ids of cityscapes19.
    """

    picture: NDArray[np.uint8]
    shows_sky: NDArray[np.bool_]
    passed: NDArray[np.uint8]
    label: NDArray[np.uint8]


class Pass(Enum):
    """What the triangles of a scene are drawn for."""

    PICTURE = auto()
    DEPTH = auto()
    LABEL = auto()


# What a pass leaves out.
HIDDEN = {Pass.PICTURE: (FILLED,), Pass.DEPTH: (MARKING, SHADOW, FILLED), Pass.LABEL: (MARKING, SHADOW)}


class Renderer:
    """One window of `width` × `height` pixels. A process can have only one renderer."""

    def __init__(self, width: int, height: int, library: Library) -> None:
        loadPrcFileData(
            "",
            "load-display p3tinydisplay\naudio-library-name null\nframebuffer-multisample 0\n"
            "textures-power-2 down\nmax-texture-dimension 512\nnotify-level-display error\n"
            "notify-level-tinydisplay error\nnotify-level-gobj error\n",
        )
        self.width, self.height, self.library = width, height, library
        self.engine = GraphicsEngine.getGlobalPtr()
        pipe = GraphicsPipeSelection.getGlobalPtr().makePipe("TinyOffscreenGraphicsPipe", "p3tinydisplay")
        buffer = FrameBufferProperties()
        buffer.setRgbaBits(8, 8, 8, 0)
        buffer.setDepthBits(24)
        self.window = pipe and self.engine.makeOutput(
            pipe, "street", 0, buffer, WindowProperties.size(width, height), GraphicsPipe.BFRefuseWindow
        )
        if not self.window:
            raise RuntimeError("panda3d could not open its software renderer (display module p3tinydisplay)")
        self.frame = PandaTexture()
        self.window.addRenderTexture(self.frame, GraphicsOutput.RTMCopyRam)
        self.lens = PerspectiveLens()
        self.lens.setNearFar(NEAR, FAR)
        self.camera = NodePath(Camera("camera", self.lens))
        region = self.window.makeDisplayRegion()
        region.setCamera(self.camera)
        self.textures: dict[tuple[Texture, Pass], PandaTexture] = {}
        self.format = _vertex_format()

    def draw(
        self, batches: list[Batch], view: View, shadow: NDArray[np.uint8], haze_distance: float
    ) -> Drawing:
        """Draw a scene. `shadow` (h, w) is the darkness of the ground, the texture of the shadow layer."""
        self.lens.setFov(view.field_of_view)
        self.lens.setAspectRatio(self.width / self.height)
        self.camera.setPosHpr(*view.position, view.heading, view.pitch, view.roll)
        picture, depth, label = (self._pass(batches, view, shadow, haze_distance, of) for of in Pass)
        return Drawing(picture, _train_ids(depth) == SKY, depth[..., 1], _train_ids(label))

    def _pass(
        self, batches: list[Batch], view: View, shadow: NDArray[np.uint8], haze_distance: float, of: Pass
    ) -> NDArray[np.uint8]:
        root = NodePath("scene")
        for order, batch in enumerate(batches):
            if batch.layer not in HIDDEN[of]:
                colours = self._colours(batch, view, haze_distance, of)
                self._attach(root, batch, order, shadow, colours, of)
        self.window.setClearColor((0, 0, 0, 1) if of is Pass.PICTURE else (_level(SKY) / 255, 1, 0, 1))
        self.camera.reparentTo(root)
        self.camera.node().setScene(root)
        self.engine.renderFrame()
        data = np.frombuffer(memoryview(self.frame.getRamImage()), np.uint8)
        channels = data.size // (self.height * self.width)
        # Rows start at the bottom; colours are BGR or BGRA.
        flipped = cv2.flip(data.reshape(self.height, self.width, channels), 0)
        pixels = cv2.cvtColor(flipped, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGB)
        self.camera.detachNode()
        root.removeNode()
        return np.asarray(pixels, np.uint8)

    def _colours(self, batch: Batch, view: View, haze_distance: float, of: Pass) -> NDArray[np.uint8]:
        if of is Pass.PICTURE:
            return batch.colours
        colours = np.full((len(batch.positions), 4), 255, np.uint8)
        colours[:, 0] = batch.train_ids * LEVELS_PER_CLASS + LEVELS_PER_CLASS // 2
        if of is Pass.DEPTH:
            distance = np.linalg.norm(batch.positions - np.asarray(view.position, np.float32), axis=1)
            colours[:, 1] = 255 * np.exp(-distance / haze_distance)
        colours[:, 2] = 0
        return colours

    def _attach(
        self,
        root: NodePath,
        batch: Batch,
        order: int,
        shadow: NDArray[np.uint8],
        colours: NDArray[np.uint8],
        of: Pass,
    ) -> None:
        node = root.attachNewNode(_geometry(batch, colours, self.format))
        node.setBin("fixed", order)
        if batch.layer == SHADOW:
            node.setTexture(_panda_texture(shadow[..., None], smooth=True, mipmaps=False))
        elif batch.layer == CUT_OUT or (batch.texture[0] != "plain" and of is Pass.PICTURE):
            node.setTexture(self._texture(batch.texture, of))
        if batch.layer in (MARKING, SHADOW):
            # Decals lie in the plane of the ground and are drawn right after it, so they need no depth.
            node.setDepthTest(False)
            node.setDepthWrite(False)
            node.setTransparency(TransparencyAttrib.MAlpha)
        elif batch.layer == CUT_OUT:
            node.setTransparency(TransparencyAttrib.MBinary)
            node.setAttrib(CullFaceAttrib.make(CullFaceAttrib.MCullNone))
        elif batch.layer == GROUND:
            node.setTwoSided(False)

    def _texture(self, texture: Texture, of: Pass) -> PandaTexture:
        key = (texture, of)
        if key not in self.textures:
            pixels = self.library.pixels(texture)
            cut_out = pixels.shape[2] == 4
            if of is not Pass.PICTURE:
                # White with the same alpha, sampled in the same way, so both have the same outline.
                pixels = pixels.copy()
                pixels[..., :3] = 255
            if of is Pass.LABEL:
                pixels[..., 3] = filled(texture[0], pixels[..., 3])
            self.textures[key] = _panda_texture(pixels, smooth=not cut_out, mipmaps=not cut_out)
        return self.textures[key]


def _train_ids(flat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the train ids (H, W) of a pass with flat colours (H, W, 3)."""
    level = flat[..., 0]
    # Multiplying by a white texture may change a level slightly; a larger difference is an error.
    if np.abs(level.astype(np.int16) % LEVELS_PER_CLASS - LEVELS_PER_CLASS // 2).max() > 2:
        raise RuntimeError("a pass with flat colours holds colours that belong to no class")
    return level // LEVELS_PER_CLASS


def _level(train_id: int) -> int:
    return train_id * LEVELS_PER_CLASS + LEVELS_PER_CLASS // 2


def _vertex_format() -> GeomVertexFormat:
    places = GeomVertexArrayFormat()
    places.addColumn(InternalName.getVertex(), 3, GeomEnums.NTFloat32, GeomEnums.CPoint)
    places.addColumn(InternalName.getTexcoord(), 2, GeomEnums.NTFloat32, GeomEnums.CTexcoord)
    shades = GeomVertexArrayFormat()
    shades.addColumn(InternalName.getColor(), 4, GeomEnums.NTUint8, GeomEnums.CColor)
    both = GeomVertexFormat()
    both.addArray(places)
    both.addArray(shades)
    return GeomVertexFormat.registerFormat(both)


def _geometry(batch: Batch, colours: NDArray[np.uint8], vertex_format: GeomVertexFormat) -> GeomNode:
    data = GeomVertexData("street", vertex_format, GeomEnums.UHStatic)
    data.uncleanSetNumRows(len(batch.positions))
    places = np.concatenate([batch.positions, batch.texture_coordinates], axis=1, dtype=np.float32)
    memoryview(data.modifyArray(0)).cast("B")[:] = places.tobytes()  # type: ignore[call-overload]
    memoryview(data.modifyArray(1)).cast("B")[:] = colours.tobytes()  # type: ignore[call-overload]
    triangles = GeomTriangles(GeomEnums.UHStatic)
    triangles.setIndexType(GeomEnums.NTUint32)
    indices = triangles.modifyVertices()
    indices.uncleanSetNumRows(batch.triangles.size)
    memoryview(indices).cast("B")[:] = batch.triangles.tobytes()  # type: ignore[call-overload]
    geometry = Geom(data)
    geometry.addPrimitive(triangles)
    node = GeomNode("batch")
    node.addGeom(geometry)
    return node


def _panda_texture(pixels: NDArray[np.uint8], smooth: bool, mipmaps: bool) -> PandaTexture:
    """Return a texture of pixels (H, W, 1 = alpha, 3 = RGB or 4 = RGBA); H and W must be powers of two."""
    height, width, channels = pixels.shape
    if channels == 1:
        pixels = np.concatenate([np.zeros((height, width, 3), np.uint8), pixels], axis=2)
    texture = PandaTexture()
    layout = PandaTexture.FRgb if pixels.shape[2] == 3 else PandaTexture.FRgba
    texture.setup2dTexture(width, height, PandaTexture.TUnsignedByte, layout)
    order = "RGB" if pixels.shape[2] == 3 else "RGBA"
    texture.setRamImageAs(np.ascontiguousarray(pixels[::-1]).tobytes(), order)
    texture.setMagfilter(SamplerState.FTLinear if smooth else SamplerState.FTNearest)
    if mipmaps:
        texture.setMinfilter(SamplerState.FTLinearMipmapNearest)
    else:
        texture.setMinfilter(SamplerState.FTLinear if smooth else SamplerState.FTNearest)
    return texture
