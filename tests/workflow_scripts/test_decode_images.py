import numpy as np

from cotrain.data.decoded import map_image, read_index
from cotrain.data.images import read_image
from cotrain.data.manifests import write_manifest
from workflow_scripts.decode_images import main


def test_every_image_of_the_manifest_is_decoded(tmp_path, make_items):
    items = make_items("source", 4, seed=3)
    write_manifest(tmp_path / "source.tsv", items)
    output = tmp_path / "decoded"
    main(["--manifest", str(tmp_path / "source.tsv"), "--threads", "2", "--output", str(output)])
    decoded = read_index(output / "index.tsv")
    assert list(decoded) == [item.image for item in items]
    for item, file in zip(items, decoded.values(), strict=True):
        np.testing.assert_array_equal(map_image(file, item), read_image(item.image))
