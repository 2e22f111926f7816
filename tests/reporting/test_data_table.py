from cotrain.reporting.data_table import data_table

REPORT = {
    "images": 12,
    "sizes": {"6x4": 7, "8x4": 2, "9x4": 1, "1x4": 1, "2x4": 1},
    "turned": ["a.jpg", "b.jpg", "c.jpg"],
    "converted": {"1 channel (grey): grey is repeated": 4},
    "warnings": ["not the pixels of streets"],
    "void_pixels": 5,
    "ids": {
        "7": {"name": "road", "class": "ground", "pixels": 90, "images": 12},
        "11": {"name": "parking", "class": None, "pixels": 5, "images": 1},
        "255": {"name": None, "class": None, "pixels": 5, "images": 2},
    },
    "classes": {"ground": {"pixels": 90}, "sky": {"pixels": 0}},
}


def test_every_id_is_listed_with_its_class():
    assert data_table("city", REPORT).splitlines() == [
        "city: 12 images of 6×4 (7), 8×4 (2), 9×4 (1), 1×4 (1) and 1 more",
        "  a.jpg and 2 more are turned upright according to EXIF, but labels are never turned",
        "  4 have 1 channel (grey): grey is repeated",
        "  warning: not the pixels of streets",
        "   id  in the dataset  in the run  pixels %  images",
        "    7  road            ground         90.00      12",
        "   11  parking         ignored         5.00       1",
        "  255  void            ignored         5.00       2",
        "  no pixel of sky",
    ]


def test_images_without_labels_have_one_line():
    assert (
        data_table(
            "camera", {"images": 2, "sizes": {"6x4": 2}, "turned": [], "converted": {}, "warnings": []}
        )
        == "camera: 2 images of 6×4 (2)"
    )
