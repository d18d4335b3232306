"""Augmentation and normalisation, by pixels that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shared.config.data import AugmentConfig
from shared.data.images.augment import build_transform, change_intensity, draw_affine, draw_intensity, resample

OFF = dict.fromkeys(AugmentConfig.model_fields, 0.0)


@pytest.fixture
def batch():
    """64 different images, [64, 1, 8, 8], float32."""
    return torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def settings(**changes):
    return AugmentConfig(**{**OFF, **changes})


def affine(batch, **changes):
    return resample(batch, draw_affine(settings(**changes), len(batch)))


def theta_of(batch, **changes):
    torch.manual_seed(0)
    return draw_affine(settings(**changes), len(batch))


def test_all_zero_is_the_identity(batch):
    torch.testing.assert_close(affine(batch), batch, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 2), (-3, 1)])
def test_a_shift_by_whole_pixels_is_exact(batch, right, down):
    # theta leads from output to input, in units of half the image, 4 pixels: what moves right comes from the
    # left, and what comes from outside is the pixel at the edge.
    theta = torch.tensor([[1.0, 0.0, -right / 4], [0.0, 1.0, -down / 4]]).expand(64, 2, 3)
    moved = resample(batch, theta)
    place = torch.arange(8)
    expected = batch[:, :, (place - down).clamp(0, 7)][:, :, :, (place - right).clamp(0, 7)]
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-6)


def test_a_quarter_turn_is_exact(batch):
    theta = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]).expand(64, 2, 3)
    torch.testing.assert_close(resample(batch, theta), torch.rot90(batch, 1, (2, 3)), rtol=0, atol=1e-6)


def test_a_flip_that_is_certain(batch):
    torch.testing.assert_close(affine(batch, hflip=1.0), batch.flip(3), rtol=0, atol=1e-6)


def test_half_of_the_images_are_flipped(batch):
    torch.manual_seed(0)
    flipped = affine(batch, hflip=0.5)
    per_image = [
        torch.allclose(one, image.flip(2), atol=1e-6) for one, image in zip(flipped, batch, strict=True)
    ]
    untouched = [torch.allclose(one, image, atol=1e-6) for one, image in zip(flipped, batch, strict=True)]
    assert all(a != b for a, b in zip(per_image, untouched, strict=True))
    assert 16 < sum(per_image) < 48


def test_shifts_stay_in_their_range_and_differ_between_images(batch):
    theta = theta_of(batch, shift=0.25)
    assert (theta[:, :, :2] == torch.eye(2)).all()
    shift = theta[:, :, 2]  # the image is 2 wide here
    assert shift.abs().max() <= 0.5
    assert shift.abs().max() > 0.4
    assert len(shift[:, 0].unique()) == 64
    assert not torch.equal(shift[:, 0], shift[:, 1])


def test_angles_and_scales_stay_in_their_range(batch):
    theta = theta_of(batch, rotate=30.0, scale=0.1)
    angle = torch.atan2(theta[:, 1, 0], theta[:, 0, 0]).rad2deg()
    zoom = 1 / theta[:, 0, :2].norm(dim=1)
    assert 25 < angle.abs().max() <= 30 + 1e-4
    assert 0.9 - 1e-5 <= zoom.min() < 0.92
    assert 1.08 < zoom.max() <= 1.1 + 1e-5
    assert len(angle.unique()) == len(zoom.unique()) == 64
    # One draw for each: the matrix is a rotation times a scale.
    torch.testing.assert_close(theta[:, 0, 0], theta[:, 1, 1])
    torch.testing.assert_close(theta[:, 0, 1], -theta[:, 1, 0])


def test_the_draw_is_torch_s_seed_alone(batch):
    first, again = theta_of(batch, rotate=10.0), theta_of(batch, rotate=10.0)
    assert torch.equal(first, again)
    assert not torch.equal(first, draw_affine(settings(rotate=10.0), len(batch)))


def test_normalisation(make_config):
    data = make_config("data.mean=[0.2]", "data.std=[0.4]").data
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 1, 8, 8).contiguous()
    for train in (True, False):
        result = build_transform(data, train=train)(images)
        assert result.dtype == torch.float32
        assert result.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_allclose(result[:, 0, 0, 0], [-0.5, 0.0, 2.0], atol=1e-6)
    assert images.unique().tolist() == [0, 51, 255]  # the memory-mapped pixels are not written to


def test_normalisation_by_channel(make_config):
    data = make_config("data.channels=3", "data.mean=[0,0.5,1]", "data.std=[1,0.5,0.25]").data
    result = build_transform(data, train=False)(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8))
    np.testing.assert_allclose(result[1, :, 3, 3], [1.0, 1.0, 0.0], atol=1e-6)
    one = make_config("data.channels=3", "data.mean=[0.5]", "data.std=[0.5]").data
    assert (build_transform(one, train=False)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)) == -1).all()


def test_each_image_is_standardised_by_itself(make_config):
    # Pixels 0 and 51 in equal numbers: mean 0.1, deviation 0.1; 0 and 255: mean 0.5, deviation 0.5.
    rows = torch.tensor([[0, 51], [0, 255], [7, 7]], dtype=torch.uint8)
    images = rows.view(3, 1, 1, 2).expand(3, 1, 8, 2).repeat(1, 1, 1, 4)
    data = make_config("data.standardize=image").data
    for train in (True, False):
        result = build_transform(data, train=train)(images)
        assert result.is_contiguous(memory_format=torch.channels_last)
        expected = [[-0.1 / 0.101, 0.1 / 0.101], [-0.5 / 0.501, 0.5 / 0.501], [0.0, 0.0]]
        np.testing.assert_allclose(result[:, 0, 5, :2], expected, atol=1e-6)


def test_standardised_images_do_not_depend_on_exposure(make_config, batch):
    data = make_config("data.standardize=image").data
    bright = (batch * 100 + 100).to(torch.uint8)
    dark = (bright - 100).to(torch.uint8)
    transform = build_transform(data, train=False)
    torch.testing.assert_close(transform(bright), transform(dark), rtol=0, atol=1e-5)


def test_only_training_is_augmented(make_config, batch):
    data = make_config("data.augment.rotate=20", "data.augment.shift=0.1").data
    images = (batch * 255).to(torch.uint8)
    train, evaluation = build_transform(data, train=True), build_transform(data, train=False)
    assert torch.equal(evaluation(images), evaluation(images))
    assert not torch.equal(train(images), evaluation(images))
    assert not torch.equal(train(images), train(images))


@pytest.mark.parametrize("override", [f"data.augment.{name}=0.4" for name in OFF])
def test_every_setting_changes_something(make_config, batch, override):
    images = (batch * 255).to(torch.uint8)
    plain = build_transform(make_config().data, train=True)(images)
    torch.manual_seed(0)
    changed = build_transform(make_config(override).data, train=True)(images)
    assert not torch.allclose(plain, changed)
    assert changed.isfinite().all()


def test_contrast_and_brightness_by_hand():
    image = torch.tensor([[0.2, 0.4], [0.6, 0.8]]).expand(2, 1, 2, 2)  # mean 0.5
    factor = torch.tensor([0.5, 2.0]).view(2, 1, 1, 1)
    offset = torch.tensor([0.1, 0.0]).view(2, 1, 1, 1)
    changed = change_intensity(image, factor, offset)
    torch.testing.assert_close(changed[0, 0], torch.tensor([[0.45, 0.55], [0.65, 0.75]]))
    torch.testing.assert_close(changed[1, 0], torch.tensor([[-0.1, 0.3], [0.7, 1.1]]))


def test_intensities_stay_in_their_range_and_differ_between_images():
    torch.manual_seed(0)
    factor, offset = draw_intensity(settings(contrast=0.3, brightness=0.1), 64)
    assert factor.shape == offset.shape == (64, 1, 1, 1)
    assert 0.7 <= factor.min() < 0.75
    assert 1.25 < factor.max() <= 1.3
    assert 0.08 < offset.abs().max() <= 0.1
    assert len(factor.unique()) == len(offset.unique()) == 64


def test_brightness_alone_moves_the_mean(batch):
    torch.manual_seed(0)
    changed = change_intensity(batch, *draw_intensity(settings(brightness=0.2), len(batch)))
    difference = (changed - batch).flatten(1)
    torch.testing.assert_close(difference, difference[:, :1].expand(64, 64))
    assert 0.15 < difference.abs().max() <= 0.2 + 1e-6


def test_a_white_image_stays_white_wherever_it_is_moved(make_config):
    data = make_config("data.augment.rotate=45", "data.augment.shift=0.3").data
    torch.manual_seed(1)
    white = build_transform(data, train=True)(torch.full((16, 1, 8, 8), 255, dtype=torch.uint8))
    torch.testing.assert_close(white, torch.ones_like(white))
