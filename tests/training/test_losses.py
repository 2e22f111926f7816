from math import log

import pytest
import torch
import torch.nn.functional as F

from cotrain.training.losses import hard_pixel_loss, number_of_hard_pixels, pixel_losses


@pytest.fixture
def pixels():
    """Return logits (2, 2, 1, 4) and labels: the true class has the probabilities ½, ¼, 0.8, 0.1."""
    probability = torch.tensor([[0.5, 0.25, 0.3, 0.3], [0.3, 0.8, 0.3, 0.1]]).view(2, 1, 4)
    labels = torch.tensor([[0, 1, 255, 255], [255, 0, 255, 1]]).view(2, 1, 4)
    of_zero = torch.where(labels == 1, 1 - probability, probability)
    return torch.stack([of_zero, 1 - of_zero], 1).log(), labels


@pytest.mark.parametrize(
    ("share", "share_of", "expected"),
    [
        # 4 labelled pixels of 8; losses in descending order: ln 10, ln 4, ln 2, ln 1.25.
        (0.5, "labelled", (log(10) + log(4)) / 2),
        (0.8, "labelled", (log(10) + log(4) + log(2)) / 3),
        # 2.8 pixels are 2.
        (0.7, "labelled", (log(10) + log(4)) / 2),
        (0.01, "labelled", log(10)),
        (1.0, "labelled", (log(10) + log(4) + log(2) + log(1.25)) / 4),
        (0.25, "all", (log(10) + log(4)) / 2),
        (0.5, "all", (log(10) + log(4) + log(2) + log(1.25)) / 4),
        (0.75, "all", (log(10) + log(4) + log(2) + log(1.25)) / 6),
    ],
)
def test_by_hand(pixels, share, share_of, expected):
    number = number_of_hard_pixels(pixels[1], share, share_of)
    assert float(hard_pixel_loss(pixel_losses(*pixels), number)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("share_of", ["labelled", "all"])
def test_nothing_labelled_gives_zero_and_no_gradient(share_of):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    labels = torch.full((2, 4, 4), 255)
    loss = hard_pixel_loss(pixel_losses(logits, labels), number_of_hard_pixels(labels, 0.2, share_of))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_share_one_is_plain_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 5, 6, 7), torch.randint(0, 5, (2, 6, 7))
    labels[0, :2] = 255
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(
        hard_pixel_loss(pixel_losses(logits, labels), number_of_hard_pixels(labels, 1.0, "labelled")),
        expected,
    )


def test_gradient_reaches_only_the_hard_pixels(pixels):
    logits, labels = pixels
    logits.requires_grad_()
    hard_pixel_loss(pixel_losses(logits, labels), 2).backward()
    touched = logits.grad.abs().sum(1) > 0
    assert touched.nonzero().tolist() == [[0, 0, 1], [1, 0, 3]]
