"""What a training run can be told, as one frozen tree of values with a default for each.

A run is decided by this tree and its data alone. The defaults here leave out what the preset ``adele`` adds (``presets.py``); how
presets, files, options and flags become a tree stands in ``resolving.py``.

Sources: the method is algorithm section 3 (onset), 4 (correction), 5 (loss) and 6 (presets) of ADELE, arXiv 2110.03740.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Scale = tuple[Count, Count]


class DataSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How volumes become slices. ``None`` and ``"auto"`` are decided once from the data and then fixed."""

    axis: Literal["auto", "z", "y", "x"] = "auto"
    """Slice axis in the canonical frame; ``auto`` takes the coarsest."""
    max_size: Count = 256
    """Longest in-plane side in pixels; larger slices are shrunk to it."""
    spacing: tuple[Positive, Positive] | None = None
    """In-plane spacing (row, column) in mm; ``None``: native where the cases agree, else their median."""
    intensity: Literal["auto", "fixed", "volume"] = "auto"
    """``fixed``: one window for all volumes (CT); ``volume``: percentiles and z-score of each volume (MR)."""
    val_share: Share = 0.15
    """Share of the patients held out for validation where no list is given."""
    patient: str | None = None
    """Regular expression whose first group is the patient in a case id; ``None``: each case is a patient."""
    slices_per_epoch: Natural = 2000
    """Slices shown in one epoch; 0 shows all. Bounds the time of an epoch, whatever the size of the data set."""
    slices_per_case: Natural = 0
    """Slices of each training case that are learnt from: so many with labelled foreground, evenly spread; 0 takes all slices."""
    empty_share: Share = 0.2
    """Largest share of slices without any labelled foreground in an epoch."""
    trusted_weight: Annotated[float, Meta(ge=1)] = 2.0
    """How many times an epoch shows a slice of a trusted case; the part after the point is a chance. 1: like any other."""
    val_slices: Natural = 600
    """Slices on which an epoch is validated, evenly spread; 0 takes all."""
    classes: dict[str, Natural] | None = None
    """Label ids by class name, ``background = 0`` among them; ``None``: from the data set, else from the masks."""
    ignore: Natural | None = 255
    """The label id that means "do not know", where the data set names none."""


class NetworkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The U-Net: MONAI's ``DynUNet`` with ``width * 2**level`` channels at each of ``depth + 1`` levels."""

    width: Count = 12
    depth: Annotated[int, Meta(ge=2, le=6)] = 3
    """At least 2: ``DynUNet`` has no smaller form."""
    norm: Literal["batch", "group", "instance"] = "group"
    prior_bias: bool = True
    """Start the output bias at the log of the class shares, so that no epoch is spent on learning "all background"."""


class OptimiserSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """SGD or AdamW at a constant rate after a linear warm-up (a decaying rate would bend the onset's curve)."""

    name: Literal["adamw", "sgd"] = "adamw"
    lr: Positive = 2e-3
    momentum: Share = 0.9
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-4
    batch_size: Count = 8
    warmup_steps: Natural = 20
    clip_norm: Annotated[float, Meta(ge=0)] = 5.0
    """Largest gradient norm; 0 switches clipping off."""


class LossSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """``mean_s CE + weight * JSD`` over the scales (algorithm section 5), plus soft Dice in the first epochs."""

    kind: Literal["ce", "gce", "tloss"] = "ce"
    """Cross-entropy, or a rival in its place: generalised cross-entropy, T-Loss (``robust.py``)."""
    q: Annotated[float, Meta(gt=0, le=1)] = 0.7
    """Of generalised cross-entropy."""
    scales: tuple[Scale, ...] = ((7, 10), (1, 1), (3, 2))
    """Integer fractions: only those export exactly."""
    temperature: Positive = 1.0
    """Cross-entropy is taken on ``z / temperature``; consistency always on ``z``."""
    reduction: Literal["mean", "sum"] = "mean"
    """``sum`` multiplies cross-entropy and consistency by the number of scales."""
    weight: Annotated[float, Meta(ge=0)] = 1.0
    gate: Share = 0.8
    """Consistency counts for images where the mean probability reaches this somewhere."""
    dice_steps: Natural = 300
    """First steps in which soft Dice is added: cross-entropy alone may leave small classes unlearnt for long. It stays while some class
    is (its IoU of the last epoch below ``descent.LEARNT``); 0: never."""


class OnsetSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """When memorisation of a class begins (algorithm section 3)."""

    rule: Literal["fit", "trimmed"] = "fit"
    """``fit``: section 3; ``trimmed``: the reference code's, which waits for a rise of 0.1 within one epoch."""
    reference: Literal["original", "current"] = "original"
    """The labels against which the curve is measured: the original ones, or those that the epoch showed."""
    forced_epoch: Natural = 0
    """Epoch at which every class triggers that has not yet; 0: never."""
    r: Share = 0.9
    consecutive: Count = 2
    min_points: Annotated[int, Meta(ge=4)] = 4
    learnt: Share = 0.05
    min_iou: Share = 0.1


class CorrectionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pixels are corrected (algorithm section 4)."""

    enabled: bool = True
    tau: Share = 0.6
    constraint: Literal["slice", "volume", "none"] = "slice"
    guard: Share = 0.5
    """Cancel a correction that removes more than this share of a class from a case; 1 switches the guard off."""
    fill_ignore: bool = False
    outline: Share = 0.0
    """Weight with which predictions are averaged along the outline that the labels draw (``labels.outline``); 0: not at all."""
    restore: bool = False
    """Give a case a class that it lacks altogether where networks plainly see it (``labels.omission``); needs ``noise.enabled``."""
    any_source: bool = False
    """Let labels of classes that have not triggered take a prediction too."""
    scales: tuple[Scale, ...] | None = None
    """Scales that predict (in correction, validation and export); ``None``: those of the loss."""
    temperature: Positive = 1.0
    """Probabilities are ``softmax(z / temperature)``."""
    predictions: Literal["eval", "epoch"] = "eval"
    """``eval``: in eval mode after the epoch; ``epoch``: those made while training on it (scale 1, train mode)."""
    mode: Literal["restart", "accumulate"] = "restart"
    """Correct the original labels each time, or the labels as corrected so far."""
    interval: Count = 1
    """Correct after every epoch that is a multiple of this."""
    start: Share = 0.0
    """Correct no earlier than after this share of the epochs, whenever the classes triggered."""
    when: Literal["interval", "onset"] = "interval"
    """``onset``: a class also right after the epoch in which it triggers."""

    @property
    def outlives_epoch(self) -> bool:
        """Whether labels must be kept from one epoch to the next, because they cannot be made again from the originals."""
        kept = self.mode == "accumulate" or self.predictions == "epoch" or self.interval > 1
        return self.enabled and kept


class NoiseSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How noisy the labels are, asked before anything is corrected (``crossfit.py``): clean labels are left alone."""

    enabled: bool = False
    steps: Count = 600
    """Optimiser steps of each of the two networks that are compared."""
    cases: Count = 400
    """Largest number of training cases that are compared, evenly spread."""


class TeacherSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Exponential moving average of the weights, used in eval mode for correction and export."""

    enabled: bool = True
    decay: Share = 0.99


class CoteachingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A second network beside the first, a rival to the correction (``coteaching.py``); off by default."""

    enabled: bool = False
    forget: Share = 0.05
    """Share of the pixels, those with the largest losses, that are not learnt from; best the share of wrong labels."""
    warmup_epochs: Count = 5
    """Epochs over which that share rises from 0."""


class AugmentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Changes of a slice while training, off by default as in the paper's preset; spatial ones move image and labels alike."""

    brightness: Annotated[float, Meta(ge=0)] = 0.0
    """Standard deviation of an additive shift, in units of the normalised image."""
    contrast: Share = 0.0
    """Largest relative change of contrast."""
    noise: Annotated[float, Meta(ge=0)] = 0.0
    """Standard deviation of added Gaussian noise."""
    flip: Share = 0.0
    """Probability of a mirror image, for each in-plane axis."""
    rotate: Annotated[float, Meta(ge=0, le=180)] = 0.0
    """Largest turn in degrees, either way."""
    scale: Annotated[float, Meta(ge=0)] = 0.0
    """Largest relative zoom: 0.25 enlarges or shrinks by up to 1.25."""
    shift: Share = 0.0
    """Largest shift along each axis, as a share of the side."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides a run besides its data."""

    preset: str = "adele"
    epochs: Count = 15
    seed: Natural = 0
    patience: Natural = 0
    """Stop after this many epochs without a better validation IoU; 0 never stops early."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the network's passes in training; losses, weights, teacher and correction are always float32."""
    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    loss: LossSettings = LossSettings()
    onset: OnsetSettings = OnsetSettings()
    correction: CorrectionSettings = CorrectionSettings()
    noise: NoiseSettings = NoiseSettings()
    teacher: TeacherSettings = TeacherSettings()
    coteaching: CoteachingSettings = CoteachingSettings()
    augment: AugmentSettings = AugmentSettings()

    @property
    def ensemble_scales(self) -> tuple[Scale, ...]:
        """The scales of correction, validation and export."""
        return self.correction.scales or self.loss.scales
