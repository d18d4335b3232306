"""Settings of the group ``model``: which network."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from shared.config.section import TARGET, CustomSection, Positive, Section

REGISTRY = "registry:"  # before NAME@VERSION or RUN, in place of a file of weights
ResNetName = Literal["resnet18", "resnet34", "resnet50"]


def _no_file(value: object) -> object:
    if value is not None:
        raise ValueError("model.weights: expected null, as this model starts from no file; leave it out")
    return value


NoFile = Annotated[None, BeforeValidator(_no_file)]  # of what is no network


class CnnConfig(Section):
    """The small convolutional network."""

    name: Literal["cnn"]
    widths: tuple[Positive, Positive]
    kernel: Literal[3, 5, 7] = 3  # stored runs of before have no such key
    hidden: Positive
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    norm: Literal["none", "batch", "group"]
    weights: str | None


class ResNetConfig(Section):
    """A torchvision ResNet."""

    name: ResNetName
    stem: Literal["small", "strided", "imagenet"]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    norm: Literal["batch", "group"]
    finetune_stages: Annotated[int, Field(ge=0, le=4)] | None
    weights: str | None


class LinearConfig(Section):
    """Linear or logistic regression."""

    name: Literal["linear"]
    weights: str | None


class MlpConfig(Section):
    """A multilayer perceptron, for tables."""

    name: Literal["mlp"]
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    norm: Literal["none", "batch", "layer"]
    weights: str | None


class LstmConfig(Section):
    """A long short-term memory, for time series."""

    name: Literal["lstm"]
    hidden: Positive
    layers: Positive
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    weights: str | None


class TcnConfig(Section):
    """Dilated causal convolutions, for time series."""

    name: Literal["tcn"]
    channels: Positive
    kernel: Annotated[int, Field(ge=2)]
    blocks: Annotated[int, Field(ge=1, le=16)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    weights: str | None


class TreesConfig(Section):
    """Gradient-boosted histogram trees, for tables; see `shared.trees.settings.TreeSettings`."""

    name: Literal["trees"]
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    growth: Literal["depthwise", "leafwise"]
    max_depth: Positive
    max_leaves: Annotated[int, Field(ge=2)] | None
    lambda_l1: Annotated[float, Field(ge=0.0)]
    lambda_l2: Annotated[float, Field(ge=0.0)]
    min_child_weight: Annotated[float, Field(ge=0.0)]
    min_samples_leaf: Positive
    min_gain: Annotated[float, Field(ge=0.0)]
    max_bins: Annotated[int, Field(ge=2, le=255)]
    category_smoothing: Annotated[float, Field(ge=0.0)]
    category_l2: Annotated[float, Field(ge=0.0)]
    colsample: Annotated[float, Field(gt=0.0, le=1.0)]
    weights: NoFile


class XgboostConfig(Section):
    """Boosted trees of XGBoost, for tables."""

    name: Literal["xgboost"]
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    growth: Literal["depthwise", "leafwise"]
    max_depth: Annotated[int, Field(ge=1, le=16)]
    max_leaves: Annotated[int, Field(ge=2, le=65_536)] | None
    lambda_l1: Annotated[float, Field(ge=0.0)]
    lambda_l2: Annotated[float, Field(ge=0.0)]
    min_child_weight: Annotated[float, Field(ge=0.0)]
    min_gain: Annotated[float, Field(ge=0.0)]
    max_bins: Annotated[int, Field(ge=2, le=65_535)]
    subsample: Annotated[float, Field(gt=0.0, le=1.0)]
    colsample: Annotated[float, Field(gt=0.0, le=1.0)]
    weights: NoFile


class LightgbmConfig(Section):
    """Boosted trees of LightGBM, for tables."""

    name: Literal["lightgbm"]
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    max_leaves: Annotated[int, Field(ge=2, le=65_536)]
    max_depth: Positive | None
    lambda_l1: Annotated[float, Field(ge=0.0)]
    lambda_l2: Annotated[float, Field(ge=0.0)]
    min_child_weight: Annotated[float, Field(ge=0.0)]
    min_samples_leaf: Positive
    min_gain: Annotated[float, Field(ge=0.0)]
    max_bins: Annotated[int, Field(ge=2, le=65_535)]
    category_smoothing: Annotated[float, Field(ge=0.0)]
    category_l2: Annotated[float, Field(ge=0.0)]
    subsample: Annotated[float, Field(gt=0.0, le=1.0)]
    colsample: Annotated[float, Field(gt=0.0, le=1.0)]
    weights: NoFile


class ForestConfig(Section):
    """A random forest, for tables, whose trees scikit-learn grows."""

    name: Literal["forest"]
    max_depth: Annotated[int, Field(ge=1, le=64)] | None
    max_leaves: Annotated[int, Field(ge=2, le=65_536)] | None
    min_samples_leaf: Positive
    colsample: Literal["sqrt"] | Annotated[float, Field(gt=0.0, le=1.0)]
    bootstrap: bool
    weights: NoFile


class KMeansConfig(Section):
    """Centroids of clusters, for tables; how many is a setting of the task."""

    name: Literal["kmeans"]
    weights: NoFile


class GmmConfig(Section):
    """A Gaussian mixture, for clusters of tables; how many components is a setting of the task."""

    name: Literal["gmm"]
    covariance: Literal["diag", "full"]
    regularization: Annotated[float, Field(gt=0.0, le=1.0)]
    weights: NoFile


class PcaConfig(Section):
    """Principal components, for anomalies: T-squared and Q."""

    name: Literal["pca"]
    components: Positive | Annotated[float, Field(gt=0.0, le=1.0)]
    weights: NoFile


class IsolationForestConfig(Section):
    """An isolation forest, for anomalies."""

    name: Literal["isolation_forest"]
    trees: Annotated[int, Field(ge=1, le=10_000)]
    samples: Annotated[int, Field(ge=2, le=2**14)]
    weights: NoFile


class AutoencoderConfig(Section):
    """A dense autoencoder, for anomalies."""

    name: Literal["autoencoder"]
    hidden: tuple[Positive, ...]
    code: Positive
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    weights: str | None


class ConvAutoencoderConfig(Section):
    """A convolutional autoencoder of windows of rows, for anomalies."""

    name: Literal["conv_autoencoder"]
    window: Annotated[int, Field(ge=2, le=100_000)]
    channels: Annotated[tuple[Positive, ...], Field(min_length=1)]
    kernel: Literal[3, 5, 7, 9]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    weights: str | None


class CustomModelConfig(CustomSection):
    """A model of the user's own; further keys are arguments of the class that ``_target_`` names."""

    name: str
    weights: str | None


_KINDS = (
    *("cnn", "linear", "mlp", "lstm", "tcn", "trees", "xgboost", "lightgbm", "forest", "kmeans"),
    *("gmm", "pca", "isolation_forest", "autoencoder", "conv_autoencoder"),
)
# Models of trees that one library grows on the rows of one client.
OF_LIBRARIES = (XgboostConfig, LightgbmConfig, ForestConfig)
OF_TREES = (TreesConfig, *OF_LIBRARIES)
# Models that rebuild their inputs.
AUTOENCODERS = (AutoencoderConfig, ConvAutoencoderConfig)


def kind_of_model(model: Any) -> str | None:
    """Which of the classes above some settings are for; None where no class has their name."""
    given = model if isinstance(model, dict) else dict(model)
    if TARGET in given:
        return "custom"
    name = given.get("name")
    if name in get_args(ResNetName):
        return "resnet"
    return name if name in _KINDS else None


ModelConfig = Annotated[
    Annotated[CnnConfig, Tag("cnn")]
    | Annotated[ResNetConfig, Tag("resnet")]
    | Annotated[LinearConfig, Tag("linear")]
    | Annotated[MlpConfig, Tag("mlp")]
    | Annotated[LstmConfig, Tag("lstm")]
    | Annotated[TcnConfig, Tag("tcn")]
    | Annotated[TreesConfig, Tag("trees")]
    | Annotated[XgboostConfig, Tag("xgboost")]
    | Annotated[LightgbmConfig, Tag("lightgbm")]
    | Annotated[ForestConfig, Tag("forest")]
    | Annotated[KMeansConfig, Tag("kmeans")]
    | Annotated[GmmConfig, Tag("gmm")]
    | Annotated[PcaConfig, Tag("pca")]
    | Annotated[IsolationForestConfig, Tag("isolation_forest")]
    | Annotated[AutoencoderConfig, Tag("autoencoder")]
    | Annotated[ConvAutoencoderConfig, Tag("conv_autoencoder")]
    | Annotated[CustomModelConfig, Tag("custom")],
    Discriminator(
        kind_of_model,
        custom_error_type="unknown_model",
        custom_error_message="expected model.name=cnn, "
        + ", ".join(get_args(ResNetName))
        + f", {', '.join(_KINDS[1:])}, or a _target_ of your own",
    ),
]
