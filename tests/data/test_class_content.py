import numpy as np
import pytest

from cotrain.data.class_content import chosen_by_classes

#                  car  bus  rider
COUNTS = np.array([[50, 0, 0], [50, 7, 0], [0, 60, 60], [10, 11, 12], [0, 0, 0]])
CAR, BUS, RIDER = range(3)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"any_of": [CAR]}, [0, 1]),
        ({"any_of": [CAR, RIDER]}, [0, 1, 2, 3]),
        ({"all_of": [BUS, RIDER]}, [2, 3]),
        ({"all_of": [CAR, BUS]}, []),
        # More than 11, so 11 are not enough: image 3 has 11 pixels of bus and 10 of car.
        ({"any_of": [CAR, BUS], "more_than": 11}, [0, 1, 2]),
        ({"without": [BUS]}, [0, 4]),
        ({"without": [BUS], "at_most": 7}, [0, 1, 4]),
        ({"any_of": [CAR], "without": [BUS, RIDER]}, [0]),
        ({"any_of": [CAR, BUS], "all_of": [RIDER]}, [2, 3]),
    ],
)
def test_by_hand(conditions, expected):
    selection = chosen_by_classes(COUNTS, **{"more_than": 10, **conditions})
    assert np.flatnonzero(selection).tolist() == expected


def test_no_image_at_all():
    assert chosen_by_classes(np.zeros((0, 3), np.int64), any_of=[0]).shape == (0,)
