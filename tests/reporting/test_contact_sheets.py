from cotrain.reporting.contact_sheets import choose


def test_count_and_seed_choose():
    assert choose(1000, 12, 0) == choose(1000, 12, 0) == sorted(set(choose(1000, 12, 0)))
    assert len(choose(1000, 12, 0)) == 12
    assert choose(1000, 12, 0) != choose(1000, 12, 1)
    assert choose(3, 12, 0) == [0, 1, 2]
