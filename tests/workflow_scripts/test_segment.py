import logging
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.networks.build import build_network
from cotrain.networks.weights import load_networks, save_weights
from cotrain.reporting.pictures import LEGEND_GAP, legend, overlay
from workflow_scripts.segment import _number_of_frames as number_of_frames
from workflow_scripts.segment import main

SPACE = label_space("camvid11")


@pytest.fixture
def model(tmp_path, network_settings):
    torch.set_num_threads(1)
    network = build_network(network_settings, SPACE.number_of_classes, 1, pretrained=False)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    save_weights(tmp_path / "final" / "weights.safetensors", network, network_settings, SPACE)
    return tmp_path / "final"


def pictures(number):
    rng = np.random.default_rng(0)
    blocks = np.repeat(rng.integers(0, 256, (number, 6, 8, 1), np.uint8), 3, axis=3)
    return [np.kron(block, np.ones((8, 8, 1), np.uint8)) for block in blocks]


def segment(model, subject, output, *more):
    main(["--model", str(model), "--input", str(subject), "--output", str(output), "--device", "cpu", *more])


def test_a_folder_of_images(model, tmp_path):
    for index, picture in enumerate(pictures(2)):
        write_image(tmp_path / "images" / f"{index}.png", picture)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    segment(model, tmp_path / "images", tmp_path / "out", "--opacity", "0.25")
    assert sorted(path.name for path in (tmp_path / "out" / "labels").iterdir()) == ["0.png", "1.png"]
    label = read_label(tmp_path / "out" / "labels" / "1.png")
    assert label.shape == (48, 64)
    assert label.max() < SPACE.number_of_classes
    shown = read_image(tmp_path / "out" / "overlays" / "1.jpg").astype(int)
    expected = overlay(pictures(2)[1], label, SPACE.palette, 0.25)
    # JPEG moves grey levels, and sharp edges of colour most.
    assert np.abs(shown[:48, :64] - expected).mean() < 10
    # Below it the legend, as wide as the longest name needs.
    strip = legend(SPACE.classes, SPACE.palette, 64)
    assert shown.shape == (48 + LEGEND_GAP + strip.shape[0], strip.shape[1], 3)
    assert np.abs(shown[-strip.shape[0] :] - strip).mean() < 10
    # The weights file itself is taken as well.
    segment(model / "weights.safetensors", tmp_path / "images", tmp_path / "again")
    assert np.array_equal(read_label(tmp_path / "again" / "labels" / "1.png"), label)


def labels_in(folder):
    return sorted(path.name for path in (folder / "labels").iterdir())


def test_a_folder_of_every_format(model, tmp_path, caplog):
    names = ["a.jpg", "b.JPEG", "c.webp", "d.tiff", "e.bmp", "F.PNG", "g.avif", "h.jp2", "i.ppm"]
    photos = tmp_path / "photos"
    (photos / "raw").mkdir(parents=True)
    for name in names:
        Image.fromarray(pictures(1)[0]).save(photos / name)
    Image.fromarray(pictures(1)[0]).convert("LA").save(photos / "j.png")
    (photos / "notes.txt").write_text("no image")
    (photos / "k.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    # What a phone writes is an image, too: it is named as one that cannot be read.
    with pytest.raises(InputError, match=r"1 of 11 images cannot be read.*\n.*k\.heic: has the format HEIF"):
        segment(model, photos, tmp_path / "out")
    assert labels_in(tmp_path / "out") == [f"{letter}.png" for letter in "Fabcdeghij"]
    assert "photos: left out 1, by their names no images: notes.txt" in caplog.text
    assert "photos: left out 1, folders, which are not looked into: raw" in caplog.text
    assert "1 of 11 images has 2 channels (grey, alpha): alpha is dropped" in caplog.text


def test_broken_images_do_not_end_a_folder(model, tmp_path, caplog):
    photos, output = tmp_path / "photos", tmp_path / "out"
    for index, picture in enumerate(pictures(4)):
        write_image(photos / f"{index}.png", picture)
    content = (photos / "1.png").read_bytes()
    (photos / "1.png").write_bytes(content[: len(content) // 2])
    (photos / "2.png").write_text("a web page")
    with pytest.raises(InputError) as caught:
        segment(model, photos, output)
    head, *lines = str(caught.value).splitlines()
    assert head.startswith(f"2 of 4 images cannot be read; the rest is in {output}.")
    assert [re.search(r"(\d)\.png: (is no image|cannot be decoded)", line)[1] for line in lines] == ["2", "1"]
    assert labels_in(output) == ["0.png", "3.png"]
    # The same command makes what is missing, and only that.
    kept = (output / "labels" / "0.png").stat().st_mtime_ns
    (photos / "1.png").write_bytes(content)
    (photos / "2.png").unlink()
    segment(model, photos, output)
    assert labels_in(output) == ["0.png", "1.png", "3.png"]
    assert "2 of 3 images are segmented already" in caplog.text
    assert (output / "labels" / "0.png").stat().st_mtime_ns == kept


def test_all_that_is_left_out_is_counted_and_ten_are_named(model, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    for index, picture in enumerate(pictures(2)):
        write_image(photos / f"{index}.png", picture)
    # Their headers are whole: they are refused when their turn comes.
    for name in "ab":
        content = (photos / "0.png").read_bytes()
        (photos / f"{name}.png").write_bytes(content[: len(content) // 2])
    for name in range(10):
        (photos / f"empty{name}.png").touch()
    (photos / "dangling.png").symlink_to("gone.png")
    (photos / "two\nlines.png").write_bytes(content)
    (photos / "caf\udce9.png").write_bytes(content)
    with pytest.raises(InputError) as caught:
        segment(model, "photos", "out")
    assert labels_in(tmp_path / "out") == ["0.png", "1.png"]
    assert str(caught.value).splitlines() == [
        "15 of 17 images cannot be read; the rest is in out. Repair, rename or remove them and give the "
        "same command again: it makes only what is missing. The first 10:",
        *(
            f"  photos: the name {name!r} holds a tab or line end, or is not UTF-8 text, so no list can hold "
            "it; rename the file"
            for name in ("caf\udce9.png", "two\nlines.png")
        ),
        "  photos/dangling.png: is a link to gone.png, which does not exist",
        *(f"  photos/empty{name}.png: is empty (0 bytes), expected an image" for name in range(7)),
    ]
    # Those that could not be made are not counted.
    assert "segment: 2 images in " in caplog.text


def test_a_folder_of_nothing_but_an_odd_name(model, tmp_path):
    write_image(tmp_path / "photos" / "two\nlines.png", pictures(1)[0])
    with pytest.raises(InputError) as caught:
        segment(model, tmp_path / "photos", tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path}/photos: the name 'two\\nlines.png' holds a tab or line end, or is not UTF-8 text, so "
        "no list can hold it; rename the file"
    )


def test_what_changed_is_segmented_again(model, tmp_path, caplog):
    for index, picture in enumerate(pictures(2)):
        write_image(tmp_path / "photos" / f"{index}.png", picture)
    segment(model, tmp_path / "photos", tmp_path / "out")
    expected = (tmp_path / "out" / "labels" / "1.png").read_bytes()
    # Another photo of the same name, and a picture that a full disk cut off.
    write_image(tmp_path / "photos" / "0.png", pictures(2)[1])
    (tmp_path / "out" / "labels" / "1.png").write_bytes(expected[:20])
    segment(model, tmp_path / "photos", tmp_path / "out")
    assert [(tmp_path / "out" / "labels" / f"{i}.png").read_bytes() for i in (0, 1)] == [expected] * 2
    assert "segmented already" not in caplog.text
    segment(model, tmp_path / "photos", tmp_path / "out", "--opacity", "0.2")
    assert "segmented already" not in caplog.text
    segment(model, tmp_path / "photos", tmp_path / "out", "--opacity", "0.2")
    assert "2 of 2 images are segmented already" in caplog.text


@pytest.mark.parametrize("name", ["photo", "photo.mp4", "photo.heic", "photo.gif"])
def test_a_still_picture_is_no_video(model, tmp_path, name):
    path = tmp_path / name
    if name == "photo.heic":
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    else:
        kind = "GIF" if name == "photo.gif" else "AVIF"
        Image.fromarray(pictures(1)[0]).save(path, format=kind)
        if kind == "AVIF":
            segment(model, path, tmp_path / "out")
            assert labels_in(tmp_path / "out") == ["photo.png"]
            return
    with pytest.raises(InputError, match=r"has the format (HEIF|GIF), which is not read"):
        segment(model, path, tmp_path / "out")


def write_video(path, number, code="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10.0, (64, 48))
    for picture in pictures(number):
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()


def test_a_video(model, tmp_path, caplog, capfd):
    write_video(tmp_path / "drive.mp4", 7)
    segment(model, tmp_path / "drive.mp4", tmp_path / "out", "--write-labels")
    assert "FFMPEG" not in capfd.readouterr().err
    video = cv2.VideoCapture(str(tmp_path / "out" / "drive.webm"))
    # What browsers play: VP8 in WebM.
    assert video.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"VP80")
    assert (tmp_path / "out" / "drive.webm").read_bytes()[:64].count(b"webm") == 1
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    labels = [f"{number:06d}.png" for number in range(7)]
    assert sorted(path.name for path in (tmp_path / "out" / "labels" / "drive").iterdir()) == labels
    assert "ends early" not in caplog.text


def test_labels_of_a_video_are_those_of_the_last_call(model, tmp_path, caplog):
    video, labels = tmp_path / "drive.mp4", tmp_path / "out" / "labels" / "drive"
    write_video(video, 3)
    segment(model, video, tmp_path / "out", "--write-labels")
    (labels / "notes.png").write_bytes(b"of the user's own")
    (labels / ".000001.77.partial.png").write_bytes(b"of a killed call")
    assert "labels of an earlier call" not in caplog.text
    # Another video of the folder has its own.
    shutil.copy(video, tmp_path / "other.mp4")
    segment(model, tmp_path / "other.mp4", tmp_path / "out", "--write-labels")
    assert len(list(labels.iterdir())) == 5
    write_video(video, 2)
    segment(model, video, tmp_path / "out")
    assert len(list(labels.iterdir())) == 5
    assert "labels/drive holds the labels of an earlier call" in caplog.text
    segment(model, video, tmp_path / "out", "--write-labels")
    assert sorted(path.name for path in labels.iterdir()) == ["000000.png", "000001.png", "notes.png"]


def test_a_video_of_jpeg_pictures_of_an_odd_size_loses_no_pixel(model, tmp_path, caplog):
    caplog.set_level(logging.INFO, "cotrain")
    # OpenCV's writer would cut the size.
    encoded = [cv2.imencode(".jpg", picture[:33, :35])[1].tobytes() for picture in pictures(3)]
    (tmp_path / "drive.mjpeg").write_bytes(b"".join(encoded))
    segment(model, tmp_path / "drive.mjpeg", tmp_path / "out", "--write-labels", "--opacity", "0")
    assert "has 35 × 33 pixels, and only even sizes can be written; the video" in caplog.text
    assert "has 36 × 34: its last column and row are repeated" in caplog.text
    assert read_label(tmp_path / "out" / "labels" / "drive" / "000002.png").shape == (33, 35)
    frame = cv2.VideoCapture(str(tmp_path / "out" / "drive.webm")).read()[1]
    strip = legend(SPACE.classes, SPACE.palette, 36)
    shape = 34 + LEGEND_GAP + strip.shape[0], strip.shape[1]
    assert frame.shape == (*(side + side % 2 for side in shape), 3)
    below = frame[34 + LEGEND_GAP : shape[0], : shape[1], ::-1].astype(int)
    assert np.abs(below - strip).mean() < 10
    assert np.abs(frame[:33, :35].astype(int) - pictures(2)[0][:33, :35]).mean() < 10


def test_frames_of_a_video_that_was_cut_off_are_counted(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.webm"), cv2.VideoWriter.fourcc(*"VP80"), 25.0, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8):
        writer.write(frame)
    writer.release()
    assert number_of_frames(tmp_path / "a.webm") == 20
    cut_off(tmp_path / "a.webm", 0.6)
    # Its head still says 20.
    assert cv2.VideoCapture(str(tmp_path / "a.webm")).get(cv2.CAP_PROP_FRAME_COUNT) == 20
    assert 8 <= number_of_frames(tmp_path / "a.webm") <= 16


def test_a_video_on_a_full_disk(model, tmp_path, small_disk):
    write_video(tmp_path / "drive.mp4", 120)
    before = sorted(small_disk.rglob("*"))
    (small_disk / "more").write_bytes(bytes(12 * 1024))
    with pytest.raises(InputError, match=r"could be written as a video; is the disk full"):
        segment(model, tmp_path / "drive.mp4", small_disk / "out")
    (small_disk / "more").unlink()
    assert [path for path in sorted(small_disk.rglob("*")) if path not in (*before, small_disk / "out")] == []


def test_a_photo_that_is_replaced_meanwhile_is_segmented_again(model, tmp_path, monkeypatch, caplog):
    write_image(tmp_path / "photos" / "0.png", pictures(2)[0])

    def write_and_replace(path, *arguments):
        write_label(path, *arguments)
        write_image(tmp_path / "photos" / "0.png", pictures(2)[1])

    monkeypatch.setattr("workflow_scripts.segment.write_label", write_and_replace)
    segment(model, tmp_path / "photos", tmp_path / "out")
    monkeypatch.undo()
    segment(model, tmp_path / "photos", tmp_path / "out")
    assert "segmented already" not in caplog.text


def cut_off(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def test_a_video_that_ends_early_is_told_and_kept(model, tmp_path, caplog):
    write_video(tmp_path / "drive.mkv", 9, "MJPG")
    cut_off(tmp_path / "drive.mkv", 0.6)
    segment(model, tmp_path / "drive.mkv", tmp_path / "out", "--write-labels")
    found = re.search(r"drive\.mkv: the video ends early: (\d) of 9 frames could be read", caplog.text)
    assert 2 <= int(found[1]) <= 7
    video = cv2.VideoCapture(str(tmp_path / "out" / "drive.webm"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == int(found[1])
    assert len(list((tmp_path / "out" / "labels" / "drive").iterdir())) == int(found[1])


def test_all_frames_of_a_gif_without_times(model, tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3)).astype(np.uint8)
    first, *others = map(Image.fromarray, noise)
    first.save(tmp_path / "walk.gif", save_all=True, append_images=others)
    # The beginning of a part that holds a time.
    assert b"\x21\xf9\x04" not in (tmp_path / "walk.gif").read_bytes()
    segment(model, tmp_path / "walk.gif", tmp_path / "out", "--write-labels")
    assert number_of_frames(tmp_path / "out" / "walk.webm") == 3
    assert len(list((tmp_path / "out" / "labels" / "walk").iterdir())) == 3
    assert "ends early" not in caplog.text


def test_a_video_without_its_end_is_told(model, tmp_path):
    write_video(tmp_path / "drive.mp4", 7)
    cut_off(tmp_path / "drive.mp4", 0.9)
    with pytest.raises(InputError, match=r"drive\.mp4: .* was cut off, it may lack its index"):
        segment(model, tmp_path / "drive.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_models_are_averaged(model, tmp_path, network_settings):
    other = build_network(network_settings, SPACE.number_of_classes, 2, pretrained=False)
    torch.nn.init.normal_(other.model.classifier.weight, std=3.0)
    save_weights(tmp_path / "other.safetensors", other, network_settings, SPACE)
    write_image(tmp_path / "images" / "0.png", pictures(1)[0])
    arguments = ["--input", str(tmp_path / "images"), "--device", "cpu", "--output", str(tmp_path / "out")]
    main(["--model", str(model), str(tmp_path / "other.safetensors"), *arguments])
    networks, _ = load_networks([model / "weights.safetensors", tmp_path / "other.safetensors"])
    images = torch.from_numpy(pictures(1)[0]).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = [F.interpolate(n.eval()(images), (48, 64), mode="bilinear") for n in networks]
    mean = (logits[0].softmax(1) + logits[1].softmax(1)) / 2
    found = read_label(tmp_path / "out" / "labels" / "0.png")
    assert np.array_equal(found, mean.argmax(1)[0].numpy())
    assert not np.array_equal(found, logits[0].argmax(1)[0].numpy())


def test_models_of_two_label_spaces(model, tmp_path, network_settings):
    space = label_space("cityscapes7")
    network = build_network(network_settings, space.number_of_classes, 1, pretrained=False)
    save_weights(tmp_path / "other.safetensors", network, network_settings, space)
    write_image(tmp_path / "images" / "0.png", pictures(1)[0])
    arguments = ["--input", str(tmp_path / "images"), "--output", str(tmp_path / "out")]
    with pytest.raises(
        InputError, match=r"weights for cityscapes7 .* expected the label space of .* camvid11"
    ):
        main(["--model", str(model), str(tmp_path / "other.safetensors"), *arguments])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "there is no such folder, image or video"),
        (lambda folder: (folder / "in").mkdir(), "holds no image"),
        (
            lambda folder: (folder / "in").write_text("no video"),
            "in: cannot be read as a video, expected a folder of images, an image such",
        ),
    ],
)
def test_what_cannot_be_segmented(model, tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(InputError, match=message):
        segment(model, tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_two_images_of_one_name(model, tmp_path):
    for suffix in ("png", "jpg"):
        write_image(tmp_path / "in" / f"a.{suffix}", pictures(1)[0])
    with pytest.raises(InputError, match=r"outputs of a\.jpg and a\.png would have the same name"):
        segment(model, tmp_path / "in", tmp_path / "out")


def test_images_of_several_sizes_are_each_what_they_are_alone(model, tmp_path):
    for index, picture in enumerate([*pictures(3), *(picture[:40] for picture in pictures(2))]):
        write_image(tmp_path / "in" / f"{index}.png", picture)
        write_image(tmp_path / f"in {index}" / f"{index}.png", picture)
    segment(model, tmp_path / "in", tmp_path / "out")
    for index, shape in enumerate([(48, 64)] * 3 + [(40, 64)] * 2):
        segment(model, tmp_path / f"in {index}", tmp_path / "alone")
        together, alone = (
            read_label(tmp_path / folder / "labels" / f"{index}.png") for folder in ("out", "alone")
        )
        assert together.shape == shape
        # Sums in another order may change the class of a tie.
        assert (together != alone).mean() < 0.002


def test_an_image_that_cannot_be_read_is_named(model, tmp_path):
    write_image(tmp_path / "in" / "0.png", pictures(1)[0])
    (tmp_path / "in" / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"1\.png: is empty"):
        segment(model, tmp_path / "in", tmp_path / "out")


def test_what_is_segmented_is_not_overwritten(model, tmp_path):
    (image,) = pictures(1)
    write_image(tmp_path / "out" / "overlays" / "a.jpg", image)
    with pytest.raises(InputError, match=r"overlays/a\.jpg is also an input and would be overwritten"):
        segment(model, tmp_path / "out" / "overlays", tmp_path / "out")
    video = tmp_path / "drive.webm"
    video.write_bytes(b"a video")
    with pytest.raises(InputError, match=r"drive\.webm is also an input and would be overwritten"):
        segment(model, video, tmp_path)
    assert video.read_bytes() == b"a video"


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_made_from_another_image_is_not_replaced(model, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    first, second, third = pictures(3)
    for path, picture in (
        ("s1/a", first),
        ("s1/b", first),
        ("s2/a", second),
        ("s2/b", second),
        ("s2/c", third),
    ):
        write_image(tmp_path / f"{path}.png", picture)
    segment(model, "s1", "out")
    before = files_in(tmp_path / "out")
    with pytest.raises(InputError) as caught:
        segment(model, "s2", "out")
    assert str(caught.value) == (
        "--output: out/labels/a.png was made from s1/a.png, and the result of s2/a.png would replace it (so "
        "for 2 of 3 images); choose another folder, or remove the earlier results"
    )
    # Also if the two are called by one name, each from its own folder.
    monkeypatch.chdir(tmp_path / "s2")
    with pytest.raises(InputError) as caught:
        segment(model, "b.png", "../out")
    assert str(caught.value) == (
        f"--output: ../out/labels/b.png was made from {tmp_path}/s1/b.png, and the result of b.png would "
        "replace it; choose another folder, or remove the earlier results"
    )
    segment(model, "c.png", "../out")
    after = files_in(tmp_path / "out")
    assert all(after[path] == content for path, content in before.items() if path.name != "done.jsonl")
    assert labels_in(tmp_path / "out") == ["a.png", "b.png", "c.png"]
    # What is removed may be made from another image.
    for path in ("labels/b.png", "overlays/b.jpg"):
        (tmp_path / "out" / path).unlink()
    segment(model, "b.png", "../out")
    assert "segmented already" not in caplog.text


@pytest.mark.parametrize(
    "line", ['{"version": 3}', '{"version": 3, "input": 4}', '{"version": 3, "input": []}']
)
def test_a_strange_line_of_the_journal_says_nothing(model, tmp_path, line):
    write_image(tmp_path / "photos" / "a.png", pictures(1)[0])
    segment(model, tmp_path / "photos", tmp_path / "out")
    expected = files_in(tmp_path / "out" / "labels")
    (tmp_path / "out" / "done.jsonl").write_text(line.replace("{", '{"name": "a", ') + "\n")
    (tmp_path / "out" / "labels" / "a.png").write_bytes(b"")
    segment(model, tmp_path / "photos", tmp_path / "out")
    assert files_in(tmp_path / "out" / "labels") == expected


def test_an_image_is_the_same_when_it_is_moved_or_called_from_elsewhere(model, tmp_path, monkeypatch, caplog):
    project = tmp_path / "project"
    write_image(project / "photos" / "a.png", pictures(1)[0])
    monkeypatch.chdir(project)
    segment(model, "photos", "out")
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    segment(model, "photos", "out")
    assert caplog.text.count("1 of 1 image is segmented already") == 1
    # Edited, and called from another folder.
    write_image(tmp_path / "moved" / "photos" / "a.png", pictures(2)[1])
    monkeypatch.chdir(tmp_path)
    segment(model, "moved/photos", "moved/out")
    assert caplog.text.count("segmented already") == 1
    # Moved alone.
    (tmp_path / "moved" / "photos").rename(tmp_path / "renamed")
    segment(model, "renamed", "moved/out")


def test_what_was_made_from_another_video_is_not_replaced(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "film.avi", 2, "MJPG")
    write_video(tmp_path / "film.mp4", 3)
    write_image(tmp_path / "film.png", pictures(1)[0])
    segment(model, "film.avi", "out", "--write-labels")
    before = files_in(tmp_path / "out")
    with pytest.raises(InputError) as caught:
        segment(model, "film.mp4", "out", "--write-labels")
    assert str(caught.value) == (
        "--output: out/film.webm was made from film.avi, and the result of film.mp4 would replace it; choose "
        "another folder, or remove the earlier results"
    )
    assert files_in(tmp_path / "out") == before
    # The same video again, and an image of this name, which has outputs of its own.
    write_video(tmp_path / "film.avi", 4, "MJPG")
    segment(model, "film.avi", "out")
    segment(model, "film.png", "out")
    assert number_of_frames(tmp_path / "out" / "film.webm") == 4
    assert labels_in(tmp_path / "out") == ["film", "film.png"]


def test_an_averaged_model_stands_for_its_folder(model, tmp_path):
    write_image(tmp_path / "photos" / "a.png", pictures(1)[0])
    segment(model, tmp_path / "photos", tmp_path / "last")
    (model / "weights.safetensors").rename(model / "averaged.safetensors")
    (model / "weights.safetensors").write_bytes(b"not to be read")
    segment(model, tmp_path / "photos", tmp_path / "averaged")
    label = (tmp_path / "last" / "labels" / "a.png").read_bytes()
    assert (tmp_path / "averaged" / "labels" / "a.png").read_bytes() == label


def test_a_folder_without_weights_is_no_model(tmp_path, capsys):
    (tmp_path / "begun").mkdir()
    with pytest.raises(SystemExit):
        segment(tmp_path / "begun", tmp_path, tmp_path / "out")
    # One mark ends it.
    assert capsys.readouterr().err == (
        f"error: --model: {tmp_path}/begun: holds no weights.safetensors; is its training unfinished? "
        "`python -m workflow_scripts.segment --help` shows all flags and an example\n"
    )


def test_a_single_image(model, tmp_path):
    write_image(tmp_path / "photos" / "a.png", pictures(1)[0])
    segment(model, tmp_path / "photos", tmp_path / "folder")
    segment(model, tmp_path / "photos" / "a.png", tmp_path / "alone")
    files = ["labels/a.png", "overlays/a.jpg"]
    written = [path for path in (tmp_path / "alone").rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path / "alone")) for path in written) == ["done.jsonl", *files]
    for name in files:
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()
